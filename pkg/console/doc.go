// Package console is the operators' page on every admin listener: the fleet as a
// whole, whatever process is asked. The most important comes first: is anything
// wrong, since when, and what to do.
//
// # Who is asked, and how
//
// The members are those that ZooKeeper lists under members/gateway, members/cache
// and members/hotcount, with the address of the listener that they have for other
// processes; the admin listener is on loopback by default, and nobody else's. On
// that listener each answers below admin.FleetPath to whoever shows the cluster
// token. A hotcount process has no listener but the admin one: it is asked there,
// so on another machine it shows as silent unless --hotcount.admin-addr can be
// reached. Who does not answer within two seconds, and why, is shown.
//
// Reads need the cluster token, where there is one, but for those of a hotcount
// process over loopback. An admin listener has no TLS: to one on another machine the
// cluster token travels in the clear, even in a fleet that has certificates. A change is made by whoever
// has the admin token of the process with the page; what it passes on to others is
// signed with it (admin.Server.Introduce), so the fleet needs one admin token for all.
// Nothing is passed on twice.
//
// # What there is to see
//
// Each process keeps one sample of its own metrics for each five seconds of the
// last quarter of an hour (sample.go), so that a page opened now shows what was; a
// process that shows the page asks the others for what is new and adds it up
// (series.go). Troubles are the alerts of pkg/monitoring, seen at once (trouble.go).
//
//	GET  /                                    the page, and the files it loads
//	GET  /api/process?since=                  what this process says of itself: Report
//	GET  /api/fleet                           the fleet: View
//	GET  /api/fleet/explain?kind=&id=         every process's answer to /api/explain
//	POST /api/fleet/purge?kind=&id=           every process's copy is dropped
//	POST, DELETE /api/pin?id=, /api/ban?id=   in ZooKeeper, where no role has them
//
// and what another role has, passed on to a process that has it: /api/dead-letters,
// /api/prewarm, /api/degrade.
//
// # Bounds
//
// 256 processes are asked, 16 at a time; a look is shared by all pages for two
// seconds and ends after five. A process keeps 180 samples of itself, and as many
// of each other one while somebody looks and for two minutes more: less than 1 MB each.
//
// # Files
//
//	console.go   Config, New, Run; who is listed
//	peer.go      asking one process
//	sample.go    what is read of the metrics; report.go what is kept and told
//	trouble.go   when an alert is shown
//	series.go    adding processes up
//	view.go      putting it together
//	serve.go     page, API, passing on
//	page/        the page: no frame, no build, nothing from elsewhere
package console
