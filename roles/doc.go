// Package roles is the composition root: the commands of the one binary, their settings, and how
// each starts and stops. Nothing is computed here. A command parses and checks, a role runs.
//
// Data flow:
//
//	browser ──► gateway ──(miss of L1, another gateway is the owner: one hop)──► owner gateway
//	              │ L1: pages and documents                                        │
//	              ├──► Redis Cluster (L2, read from replicas)  ◄───────────────────┤
//	              └──► cache role, owner by ring ──► its heap ──► Redis ──► origin │
//	                                                                               ▼
//	shop's services ─ cache-message ─► Kafka ─► cache role: token, pull, compare-and-set in Redis
//	                                              └─ cache-invalidate ─► Kafka ─► every gateway and cache role
//
// A process starts in this order, each part after the one before is up, and stops in reverse:
//
//	admin listener    first up and last down, so that /-/ready can tell what the others wait for
//	embedded servers  in "eshop all", those whose real ones are not given
//	cache role
//	gateway role      its public listener last
//
// Exit codes: 0 after an orderly end, 1 when something failed while running, 2 for bad usage or
// settings, of which every problem is listed and nothing is started.
//
// Files: main.go and command.go run a command line; settings.go defines the flags, clients.go checks
// them and makes the clients' configurations; each command has a file of its own name.
package roles
