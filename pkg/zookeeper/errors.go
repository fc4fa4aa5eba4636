package zookeeper

import (
	"errors"

	"github.com/go-zookeeper/zk"
)

// Errors that callers may test for with errors.Is.
var (
	// ErrNoNode: the node, or the parent of a node to create, does not exist.
	ErrNoNode = zk.ErrNoNode
	// ErrNodeExists: the node to create is there already.
	ErrNodeExists = zk.ErrNodeExists
	// ErrBadVersion: the node has another version than the one given.
	ErrBadVersion = zk.ErrBadVersion
	// ErrNotEmpty: the node to delete has children.
	ErrNotEmpty = zk.ErrNotEmpty
	// ErrLost: the lock, or the place in its queue, is gone.
	ErrLost = errors.New("the lock is lost")
	// ErrReleased: the ticket was released before.
	ErrReleased = errors.New("the ticket has been released")
	// ErrClosed: Run has ended.
	ErrClosed = errors.New("the ZooKeeper session is closed")
	// ErrUnknownOutcome: the connection broke before the answer to a request
	// that must not be repeated.
	ErrUnknownOutcome = errors.New("the connection to ZooKeeper broke before the answer")
)

// errGone ends every call of a link whose ZooKeeper session is over.
var errGone = errors.New("the ZooKeeper session is gone")

// abandonedError is what the caller of a request gets that was left under way:
// whether it takes effect is for the request's late handler to find out.
type abandonedError struct{ cause error }

func (e *abandonedError) Error() string { return e.cause.Error() }
func (e *abandonedError) Unwrap() error { return e.cause }

// unsentError is what the caller of a request gets that was never sent.
type unsentError struct{ cause error }

func (e *unsentError) Error() string { return e.cause.Error() }
func (e *unsentError) Unwrap() error { return e.cause }

func unsent(err error) bool {
	var e *unsentError
	return errors.As(err, &e)
}

func abandoned(err error) bool {
	var left *abandonedError
	return errors.As(err, &left)
}

// answered tells whether the error is a server's answer, or the refusal of the
// client library to send at all, so that the request has certainly had no
// effect. Every other error leaves that open.
func answered(err error) bool {
	for _, known := range []error{
		zk.ErrNoNode, zk.ErrNodeExists, zk.ErrBadVersion, zk.ErrNotEmpty, zk.ErrNoAuth,
		zk.ErrNoChildrenForEphemerals, zk.ErrInvalidACL, zk.ErrInvalidFlags, zk.ErrBadArguments,
		zk.ErrInvalidPath, zk.ErrShortBuffer, zk.ErrAPIError, zk.ErrAuthFailed,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// broken tells whether a request failed with its connection, so that it may
// succeed on the next one.
func broken(err error) bool {
	return err != nil && !answered(err) && !abandoned(err) && !unsent(err)
}
