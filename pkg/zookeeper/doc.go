// Package zookeeper is the only user of the ZooKeeper client library: one
// session per process, with locks whose nodes are fencing tokens, ephemeral
// membership, and watched nodes that re-arm themselves.
//
// # Session
//
// [Session.Run] keeps one ZooKeeper session at a time and makes a new one when
// the servers have expired the old one. A connection of the client library
// serves exactly one ZooKeeper session here: once that session has expired it
// is refused any further dial, so a request that belongs to an old session can
// never be sent under a new one, and a lock can never be mistaken for held
// because a retry crossed sessions.
//
// A disconnect is not a loss. While the ensemble elects a leader every client
// is disconnected for about a second; the session, its locks and its ephemeral
// nodes survive that. A lock counts as lost when its session has expired, when
// its node is gone, or when the process's own clock says that the servers may
// have expired the session: 2/3 of the negotiated session timeout after the
// send time of the last heartbeat that was answered. The heartbeat is a sync,
// which the leader has to answer, so that a server cut off from its ensemble
// cannot keep a holder in the belief that it still holds.
//
// # Calls
//
// The client library's calls take no context. Each is run beside its caller,
// who returns when the context ends; a call left behind ends with its
// connection and the number of calls under way is bounded. Where a call left
// behind may have created a node, the node is removed once the answer, or the
// loss of the connection, is known.
//
// # Refusals
//
// A server that cannot be reached, a failed TLS handshake and a node that the
// user may not use are never an error of Run: [Session.LastError] and
// [Session.Usable] tell, the log has a line a minute, and it is tried again. The
// password of [Auth] stands in the ACL of every node, so it is read once.
//
// # Locks
//
// [Session.Enqueue] creates an ephemeral sequential node; its czxid is the
// fencing token, valid at once, whether or not the lock is ever held. [Ticket.Wait]
// watches the direct predecessor only. Tokens are unique and rise in the order
// in which one lock is granted; tokens of [Session.Token] are in the same order.
//
// # Layout under the root
//
//	locks/<stripe 0..255>/<name>-<guid>-<sequence>   lock nodes, ephemeral
//	members/<group>/<id>                             members, ephemeral
//	token                                            written by Token
//
// # Metrics
//
//	eshop_lock_wait_seconds                     histogram, enqueue to held
//	eshop_lock_losses_total                     locks and waiting places lost
//	eshop_zookeeper_session_state{state}        1 for the present state
//	eshop_zookeeper_session_expiries_total      sessions the servers gave up
//	eshop_zookeeper_calls                       calls under way, those left behind included
package zookeeper
