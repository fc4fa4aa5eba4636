// Package zookeeper is a small server that speaks the ZooKeeper client protocol, so that `eshop all` needs no ZooKeeper
// ensemble on a laptop while the roles keep using the ordinary client.
//
// It is one process and one total order: a single lock covers the tree, the sessions and the watches, and every answer and every
// watch event is put into the connection's outbox while that lock is held. From this follow the guarantees clients build on:
//
//   - requests of one session are answered in the order they were sent;
//   - a client gets the answer that armed a watch before the event of that watch, and the event before the answer of
//     any read that already sees the change;
//   - zxids rise strictly, one for each write request (failed ones too), session start and session end.
//
// The zxid never goes back over a restart, not even after a crash or a lost data directory: its high 32 bits are an epoch
// taken from the clock or, when that is not above it, from the successor of the epoch file, which is made durable before the first client
// is served. The czxid of a node can therefore be used as a fencing token.
//
// With a data directory the tree and the sessions survive a restart: a snapshot is written from time to time and at Close. There is
// no transaction log, so a crash loses the writes since the last snapshot; their zxids are never given out again.
// A restarted server gives each session a full timeout anew, as an ensemble does.
//
// Supported: connect and re-attach, create, create2, container nodes, delete, exists, getData, setData, getACL, setACL, getChildren, getChildren2, sync,
// ping, check, multi with rollback, setWatches, setAuth (digest), closeSession, getEphemerals, getAllChildrenNumber, whoAmI and the
// four-letter words ruok, srvr, stat, isro and mntr. TTL nodes are refused as a server does that has them switched off.
// Persistent watches, SASL, TLS, quotas and reconfiguration are not there: the request is answered "unimplemented".
//
// Everything is bounded: connections, sessions, watches and queued answers for each connection, node count and bytes, frame size.
package zookeeper
