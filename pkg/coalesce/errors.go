package coalesce

import (
	"errors"
	"fmt"
)

// ErrOverloaded is returned at once, without waiting, when a bound of Config
// would be exceeded.
var ErrOverloaded = errors.New("too many callers wait for a load")

// ErrExited is returned when a load ended its goroutine (runtime.Goexit)
// instead of returning.
var ErrExited = errors.New("the load ended its goroutine without a result")

// PanicError is what every caller of a load gets when it panicked.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // of the load's goroutine
}

// Error names the value; the stack is left to whoever logs it.
func (p *PanicError) Error() string { return fmt.Sprintf("the load panicked: %v", p.Value) }

// Unwrap returns the value if it is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}
