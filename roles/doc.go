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
//	every gateway ─ access-log ─► Kafka ─► hotcount role: windows, rule
//	                                              └─ /hot, /top ─► ZooKeeper ─► every gateway (replicate, cool), prewarm
//	an operator ─ /api/degrade ─► ZooKeeper ─► every gateway and cache role (do less for a kind, for a time)
//
//	every console ─ /-/fleet on the internal listeners ─► every other process (what it was doing, explain, purge)
//
// A process starts in this order, each part after the one before is up, and stops in reverse:
//
//	embedded servers  in "eshop all", those whose real ones are not given
//	admin listener    before and after the roles, so that /-/ready can tell what they wait for
//	console           beside it: what the process does, and who else there is
//	topics            in "eshop all", created when Kafka answers; the roles do not wait for it
//	cache role
//	hotcount role
//	gateway role      its public listener last
//
// Exit codes: 0 after an orderly end, 1 when something failed while running, 2 for bad usage or
// settings, of which every problem is listed and nothing is started.
//
// Files:
//
//	main.go       arguments and streams in, exit code out; process.go is what a command sees of the world
//	command.go    a command with its flags, help and settings, on cobra
//	settings.go   defines the flags, limits.go those against overload, trace.go those of traces; clients.go checks them and makes the clients' configurations
//	serve.go      one role with an admin listener as a process, of which a service manager is told
//	reload.go     which settings a running process takes over, and how it reads them anew
//	all.go, gateway.go, cache.go, hotcount.go, publish.go, bootstrap.go, doctor.go, monitoring.go, unit.go, version.go, health.go   one command each
//
// The packages below: all composes the roles in one process, gateway, cache and hotcount are the roles,
// fault holds the fault suite.
package roles
