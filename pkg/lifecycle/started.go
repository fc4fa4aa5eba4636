package lifecycle

import "context"

// Started makes an actor for Group.Add of a function that can be used by the
// actors after it as soon as it is called: because its listener is bound
// already, or because its users wait for it by themselves.
func Started(run func(context.Context) error) func(context.Context, func()) error {
	return func(ctx context.Context, ready func()) error {
		ready()
		return run(ctx)
	}
}
