// Package lifecycle starts and stops the parts of one process in order.
//
// A Group holds named actors. It starts them in the order they were added, each after the one before
// has called ready, and stops them in reverse, so that nothing ever runs without what it stands on.
// A Ready holds the named conditions under which the process may take traffic, with the reason for
// each one that does not hold; the admin listener shows them at /-/ready.
//
// The way out, after a signal:
//
//  1. unready at once, so that load balancers stop sending;
//  2. wait the shutdown delay, while everything still serves;
//  3. cancel the last actor, wait until it has returned, then the one before it, down to the first;
//  4. give up on all that remain when the shutdown timeout is over, and say which ones they were.
//
// A second signal kills the process on the spot (see Signals). An actor that fails starts the same
// sequence without the delay; its error, wrapped with its name, is what Run returns.
package lifecycle
