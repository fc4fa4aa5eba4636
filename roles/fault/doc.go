// Package fault holds no code of the product, only its fault suite: real Redis
// Cluster, ZooKeeper ensemble and Kafka brokers, a fleet of three gateways, two
// cache and two hotcount processes, and one thing after the other that goes
// wrong with them while pages are asked for and products change.
//
//	go test ./roles/fault                                       the short form, about four minutes
//	go test ./roles/fault -v -run TestFaults/I12_RedisGone      one scenario, whatever form it belongs to
//	ESHOP_LONG=1 go test ./roles/fault -v -timeout 2h           every scenario, outages of a minute
//
// The servers are installed by testdata/lab-setup.sh. At the end stands a table:
// requests, failures by class of key, marked answers, how stale answers were,
// seconds to normal, growth of memory. When a scenario fails, it says where the
// fleet's logs are.
//
// # A scenario
//
// It has keys of its own, of which the popular ones are warmed; then traffic and
// changes begin, the faults are done, held and healed, and the changes end.
// Requests, at each gateway and in a second: 20 for thirty popular products
// (Zipf), 20 for a hot one, 4 for products that now and then go back on purpose
// (op force), 4 for some that are deleted and created again, 6 for products that are in
// Redis and the heaps of the cache role only, 3 for cold ones, 3 for unknown ids.
// Fourteen ticks a second change something, each eighth time the same product
// four times in a row; messages go out by sixteen senders, in any order, half of
// them without a key and some twice.
//
// The origin's process is played by the link in front of it: killed means that
// connections are reset and refused, paused that they are taken and not answered.
//
// # What is promised, and checked
//
// Each page shows the number of the write that made it. The checker
// (check_test.go) is a function of the answers and writes alone; its own test
// feeds it a violation of each rule.
//
//	a  no unmarked answer shows a state older than one that any gateway had shown before the
//	   request began plus the bound: 3 s (on a machine at rest it is well below one second);
//	   --gateway.max-staleness and that for gateways cut off from Kafka; the length of the
//	   outage where changes have to wait (below)
//	b  the same for one gateway alone, which by a is implied and reported apart;
//	   and no stamp in Redis goes back, read from the masters all the time, except where a master
//	   dies or is silent and its replica takes over
//	c  in calm every page at every gateway is unmarked and equals the origin, and so do Redis and
//	   both cache processes
//	d  in calm every message is committed and none is in the dead letters
//	e  no request fails but of the classes that the scenario names; none may fail of popular and
//	   hot products, ever, at a gateway that is not itself the one killed or stopped
//	f  no process that lives through the scenario grows by more than 64 MiB (growth_test.go,
//	   race_test.go: not under the race detector)
//	g  everything is so within two minutes of healing (at rest: seconds); nothing is restarted
//	   but what was killed
//	h  no auditor of a gateway or a cache process counts a violation
//
// Where changes have to wait — Redis, ZooKeeper or Kafka wholly away — a gateway
// that has no copy gets one from the origin and shows it, while the others go on
// with theirs: nobody can tell them. The bus still carries heartbeats when
// only Redis or ZooKeeper is away, so their copies are not marked either. Such a copy
// from the origin has no token, so Redis outranks it when it is back, until the
// waiting change has been applied: a page may go back for that long.
//
// # Files
//
//	scenario_test.go   Scenario, its body, the table at the end
//	table_test.go      all scenarios
//	special_test.go    what two of them do beside faults
//	verb_test.go       faults: kill, pause, cut, silence, slow, drop, cutFrom; and their targets
//	traffic_test.go    pages and changes         shop_test.go     the origin
//	history_test.go    what was done and seen    check_test.go    the checker
//	quiet_test.go      rules c and d             world_test.go    servers and fleet
//	backwards_test.go  stamps that go back       ports_test.go    addresses that stay
//	holders_test.go    paused holders of locks   list_test.go     the list below
//	audited_test.go    rule h
//
// # Scenarios
//
// The letter and number say which invariant (I) or known pitfall (P) is
// meant; those with a star are played in the short form too.
//
//	I12_RedisMasterKilled *                      I3_WritesLostInAFailover *
//	I12_RedisMasterPaused                        P19_RedisMasterCut
//	P19_RedisMasterSilent                        P20_RedisMasterRestartedEmpty *
//	I3_RedisReplicaKilled                        I3_RedisReplicaPaused
//	I3_RedisReplicaLags *                        P19_RedisConnectionsDropped
//	I12_RedisSlow                                I12_RedisGone *
//	I12_RedisGoneAndEmpty                        I1_RedisMastersKilledInTurn
//	I8_BrokerKilled *                            P24_BrokerPaused
//	P24_BrokerSilent                             P13_BrokerRestarted
//	P7_BrokerConnectionsDropped                  I8_KafkaSlow
//	I12_KafkaGone *                              I12_KafkaCut
//	I8_GatewaysCutOffFromKafka *                 I8_OneGatewayCutOffFromKafka
//	I4_CachesCutOffFromKafka                     I4_OneCacheCutOffFromKafka
//	P40_ZooKeeperLeaderKilled *                  P40_ZooKeeperLeaderPaused
//	I12_ZooKeeperFollowerKilled                  P27_ZooKeeperConnectionsDropped
//	I12_ZooKeeperSlow                            I12_ZooKeeperGone *
//	I12_ZooKeeperCut                             I2_OneCacheCutOffFromZooKeeper
//	I12_GatewaysCutOffFromZooKeeper              I12_OriginGone *
//	I12_OriginPaused                             I7_OriginSlow
//	P17_OriginConnectionsDropped                 I12_OriginFlapping
//	I12_GatewayKilled *                          P16_GatewayPaused *
//	P16_GatewayCutOffFromPeers                   P16_GatewaySilentToPeers
//	I10_PeersSlow                                I4_CacheKilled
//	P39_CachePaused *                            I12_CacheCut
//	I12_CacheSilent                              I12_CachesGone
//	I11_HotcountKilled                           I11_HotcountPaused
//	I11_HotcountsGone                            I1_RedisMasterAndCacheKilled *
//	I1_RedisMasterAndBrokerKilled                I3_RedisMasterAndGatewayKilled
//	I8_BrokerAndGatewayKilled                    I4_BrokerAndCachePaused
//	I2_ZooKeeperLeaderKilledAndCachePaused       I8_GatewayCutOffFromKafkaAndRedis
//	I12_RedisAndOriginGone                       I12_KafkaAndZooKeeperGone
//	I12_ZooKeeperAndOriginGone                   I12_AllGone *
package fault
