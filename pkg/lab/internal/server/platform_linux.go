package server

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"eshop/pkg/lab/internal/wire"

	"golang.org/x/sys/unix"
)

// ownGroup puts the child into a process group of its own, so that it is ended with all its descendants, and has the
// kernel kill it should the keeper die without a chance to clean up.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitEnd returns when the child has ended, and leaves it to be reaped.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func signalGroup(pid int, name string) error {
	signals := map[string]syscall.Signal{
		wire.Kill: syscall.SIGKILL, wire.Terminate: syscall.SIGTERM, wire.Pause: syscall.SIGSTOP, wire.Resume: syscall.SIGCONT,
	}
	s, ok := signals[name]
	if !ok {
		return fmt.Errorf("there is no signal %q", name)
	}
	if err := syscall.Kill(-pid, s); err != nil {
		return fmt.Errorf("send %s to process group %d: %w", name, pid, err)
	}
	return nil
}
