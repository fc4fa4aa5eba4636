// Package systemd is the side of eshop that systemd sees: it tells the service manager how the process
// is, takes the sockets that it has opened, and writes the units for it. A process that was started by
// anything else notices nothing of it.
//
// What a Notifier tells, over the socket that NOTIFY_SOCKET names:
//
//	READY=1               once, when every condition of /-/ready holds
//	STATUS=…              what it waits for, what it serves, that it stops: a line for systemctl status
//	WATCHDOG=1            every half of WATCHDOG_USEC, while the process is alive
//	EXTEND_TIMEOUT_USEC=  as often, while it is alive and not ready yet; and once, when it stops
//	STOPPING=1            at the first sign of the end
//
// Alive is not the same as ready, or as able to reach what it depends on. It means that the runtime
// schedules this package's loop and that every part can take its own locks and tell its state (package
// admin, Server.Alive). A process whose Kafka is away is alive and waits; one that is deadlocked, stopped
// or starved is not, sends nothing, and systemd ends and restarts it: after WatchdogSec= when it was
// ready, after TimeoutStartSec= when it had yet to be.
//
// There is no RELOADING=1 since nothing is reloaded on demand: templates are read again by themselves
// when they change, every other setting needs a restart.
//
//	notify.go   Notifier
//	socket.go   Sockets, the listeners that were passed
//	unit.go     Service, Socket: the text of the units; service.tmpl, socket.tmpl
package systemd
