package systemd

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// Sockets returns the listeners that the service manager has opened for this process, by the names that
// their units give them (FileDescriptorName=); none without one. It can be called once: what was passed
// is gone from the environment afterwards. Each must be a TCP listener with one of the known names, and
// no name may come twice; otherwise all are closed and the error says what is to be changed.
//
// Closing such a listener closes this process's hold of the socket. It stays open with the manager, and
// connections that nobody has accepted yet wait in it for the next process.
func Sockets(known ...string) (map[string]net.Listener, error) {
	listeners := make(map[string]net.Listener)
	var problems []error
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f) // has a descriptor of its own
		f.Close()
		name := f.Name()
		if err != nil {
			problems = append(problems, fmt.Errorf("the socket %q that the service manager passed is no listener: give its unit ListenStream= with a port: %w", name, err))
			continue
		}
		_, tcp := l.(*net.TCPListener)
		switch {
		case !slices.Contains(known, name):
			err = fmt.Errorf("the service manager passed a socket named %q: its unit must have FileDescriptorName= with one of %s", name, strings.Join(known, ", "))
		case listeners[name] != nil:
			err = fmt.Errorf("the service manager passed two sockets named %q, of which only one can be served: leave one ListenStream= in its unit", name)
		case !tcp:
			err = fmt.Errorf("the service manager passed the socket %q at %s, which is not TCP: give its unit ListenStream= with a port", name, l.Addr())
		}
		if err != nil {
			problems = append(problems, err)
			l.Close()
			continue
		}
		listeners[name] = l
	}
	if err := errors.Join(problems...); err != nil {
		for _, l := range listeners {
			l.Close()
		}
		return nil, err
	}
	return listeners, nil
}
