// Package hotlist is the contract of the ZooKeeper nodes by which the hotcount
// role tells gateways and the cache role which products are hot: the nodes'
// form, who may write them, and how they are read.
//
// # Nodes below the root
//
//	hot/<partition>   [Hot]: the hot keys of a partition of the access log
//	top/<partition>   [Top]: its most frequent keys
//	rule              [Rule]: when a key is hot
//	pin/<id>          [Mark]: a product that is hot whatever the rule says
//	ban/<id>          [Mark]: a product that is never hot
//
// Each holds a JSON object. It has no version: fields that are not known are
// ignored, fields that are missing are zero (in a rule: the default). A node
// that cannot be read is named in the log once, and left out.
//
// # Who writes a partition's nodes
//
// The holder of the partition. [Client.Claim] gives it a fencing token, its
// generation, which is above the generation of every former holder, and each
// node says its writer's generation. A write is a compare-and-set on the node's
// version: whoever finds a version it does not know reads the node, gives way
// for good to a higher generation and takes over from a lower one. A former
// holder that was paused knows an old version only, so it reads before it could
// write: the generation of a node never goes down while the node exists.
//
// A node that is deleted begins again at version 0, so only nodes of partitions
// that have no holder may be deleted ([Client.TrimPartitions]). Should the node
// of a live holder be deleted all the same, a former holder may write it once;
// the holder's next list replaces that.
//
// # Files
//
//	client.go     what this package asks of ZooKeeper; reading a directory once
//	list.go       Hot, Top and their form
//	publish.go    Claim and the two compare-and-sets
//	directory.go  decoding a directory: only what changed, each problem once
//	view.go       hot by rule or by pin, and not banned
//	watch.go      following views, top lists and the rule
//	ranking.go    the order in which to warm a cache
//	rule.go       Rule, its limits and its form
//	rulenode.go   the node of the rule
//	mark.go       pins and bans; admin.go their part of the admin API
//	trim.go       nodes of partitions that are no more
package hotlist
