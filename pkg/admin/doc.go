// Package admin is the listener for operators and machines that watch a process.
//
//	GET /                the status page, or the page a role has put there with Front
//	GET /status          status page: role, version, uptime, readiness, what the roles add
//	GET /-/healthy       200, or 503 with the part that is deadlocked
//	GET /-/ready         200, or 503 with one reason a line (JSON with Accept: application/json)
//	GET /metrics         Prometheus
//	GET /debug/pprof/    profiles, one of them at most a minute long
//	GET /api/status      what the status page shows, as JSON
//
// Roles add reads with Handle and changes with HandleChange.
//
// Other processes of the fleet ask below /-/fleet, see Fleet.
//
// Who may do what:
//
//   - A read needs nothing when it comes over a loopback address, which only processes of the same
//     machine can do. Such a request must name a loopback host in its Host header: a browser that was
//     led here by DNS rebinding names another one, and gets 421.
//   - A read over any other address needs the admin token, but for /-/healthy, /-/ready and /metrics,
//     which probes and scrapers ask without one.
//   - A change always needs the admin token, as "Authorization: Bearer <token>". Without a configured
//     token there are no changes: 403 says so. A request which a browser sent for a foreign page is
//     refused with 403 whatever token it has. GET and HEAD never change anything.
package admin
