// Package hotcount is the role that counts the access log over a sliding window
// of event time, finds the products that are hot, and tells every gateway.
//
// Messages: reads the topic of the access log as a consumer group, in all shapes
// that package accesslog knows. Committed offsets are for lag tools; where reading
// begins is said by time.
//
// Nodes (package hotlist): hot/<partition> and top/<partition> are written by the
// partition's holder, rule, pin/<id> and ban/<id> by whoever asks for it here.
//
// # Counting
//
// Each partition has one goroutine with one window; nothing is shared on the way
// of a hit. A published list says how far its partition was counted: the next
// offset and the watermark. Its counts are what the log holds below the offset in
// the window that ends at the watermark, so anybody can count them again, whoever
// held the partition when (invariant 11).
//
//   - Event time is what a counts record states, else the time of the Kafka record.
//   - The watermark is the highest event time seen. When the partition has been
//     read to the end that the brokers confirm once a second, the time of that
//     question moves it on, so that products cool when the traffic stops and not
//     when the brokers hang. The end of a transaction, which is no record, is passed
//     over after some seconds.
//   - An event older than the window is late: it is counted as such and dropped. No
//     list that is published later could contain it.
//   - An event more than a second ahead of this process's clock, or without a time,
//     is counted as of now. (Records without a time cannot be found again after a
//     move: give a topic with producers older than Kafka 0.10
//     message.timestamp.type=LogAppendTime.)
//   - A counts record that was there before, by its sender's sequence, is dropped;
//     gaps in a sequence are counted.
//   - What cannot be read is counted by reason and passed over.
//
// Clocks that differ by more than the window cost hits: what a gateway says whose
// clock is behind by that much is late, all of it. Keep the clocks together, and
// watch _skipped_total and _future_total.
//
// _events_total counts what this process has counted: a window that is rebuilt
// counts again what was counted before, here or elsewhere.
//
// The rule is evaluated every 10 ms while there is something new and on a tick
// otherwise. A changed hot set goes out at once, else every 10 s; a changed ranking
// every 5 s, else every 30 s.
//
// # A partition moves
//
// On assignment it is read from a window and 5 s back (for late records and clocks
// that differ), or from where this process stopped if it held it within the last
// window. Until the end that the log had then has been reached nothing is
// published: a half-built window would cool what is hot. The hot set begins as the
// former holder published it, so a move does not flap. The claim on the lists is a
// fencing token: a former holder that comes back late is refused and stops. Should
// it be the one that comes back late that claims, the true holder claims again,
// keeps its own set, and publishes it at once.
//
// The tokens are those of one ZooKeeper ensemble. After a restore from another one
// the lists may bear higher generations than are given out now, and every process
// takes itself for superseded: delete the nodes below hot/ and top/ then.
//
// # The admin API
//
//	GET /api/hot                 what is hot, with counts, rates and why
//	GET /api/top?n=100           the ranking of all partitions
//	GET|PUT /api/rule            the rule; PUT takes the fields that change
//	POST|DELETE /api/pin?id=     hot whatever the rule says
//	POST|DELETE /api/ban?id=     never hot
//	GET /hot                     the page of what is hot, made of
//	GET /api/live                server-sent events, one a second, see event
//
// Every process answers for all partitions: its own are as of the
// last second, the others as of their last lists. Changes are for all processes and are logged with the author.
//
// # When a dependency is away
//
//	Kafka      the lists stand as they are, also while brokers hang: no end is
//	           confirmed, so no clock runs; the group gives partitions up after its
//	           session timeout and reads on, or again, when brokers are back
//	ZooKeeper  counting goes on with the last known rule, gateways keep the last lists;
//	           afterwards the newest lists are published. At the start: the initial
//	           rule, and publishing when it comes. Pins, bans and rules answer 503
//	a process  its partitions move to the others within the session timeout; one
//	           without partitions stands by
//
// # Metrics
//
// eshop_hotcount_events_total{shape}, _records_total, _skipped_total{reason},
// _future_total, _undated_total, _missing_records_total, _lag_records{partition},
// _watermark_age_seconds{partition}, _window_bytes, _partitions, _waiting_keys,
// _changes_total{change}, _published_total{list}, _publish_errors_total;
// eshop_hot_keys; eshop_hot_detection_seconds, from the time of the newest hit
// counted when a product was found hot to the acknowledgement by ZooKeeper; and
// those of the packages it uses.
//
// # Files
//
//	config.go     Config, Deps
//	hotcount.go   Role: New, Run, readiness
//	follow.go     the rule, the lists and the claims in ZooKeeper
//	holder.go     partitions that come and go, windows kept in between
//	partition.go  the counting loop: evaluate, publish, snapshot
//	counter.go    what each record counts for
//	publish.go    the mailbox and its delivery to ZooKeeper
//	snapshot.go   a partition's state for others
//	board.go      all partitions, from snapshots and lists
//	history.go    a minute of rates, the newest delays
//	api.go        the admin API: reads, pins, bans, the rule
//	live.go       event streams
//	event.go      what an event says
//	dashboard.go  the page /hot, which is in dashboard/
//	status.go     the status page's section
//	metrics.go    the metrics
//	reload.go     nothing of Config is taken over while it runs
package hotcount
