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
//	RELOADING=1           when its settings are reloaded, with MONOTONIC_USEC; then READY=1 again, and what came of it
//	STOPPING=1            at the first sign of the end
//
// Alive is not the same as ready, or as able to reach what it depends on. It means that the runtime
// schedules this package's loop and that every part can take its own locks and tell its state (package
// admin, Server.Alive). A process whose Kafka is away is alive and waits; one that is deadlocked, stopped
// or starved is not, sends nothing, and systemd ends and restarts it: after WatchdogSec= when it was
// ready, after TimeoutStartSec= when it had yet to be.
//
// The units ask for a reload by SIGHUP (ExecReload=), which every systemd can; Type=notify-reload would be the same
// and needs one from 2023.
//
//	notify.go   Notifier
//	socket.go   Sockets, the listeners that were passed
//	unit.go     Service, Socket: the text of the units; service.tmpl, socket.tmpl
package systemd
