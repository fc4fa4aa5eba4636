// Package guide holds no code of the product: its tests do what the README tells a
// newcomer to do, command by command as it is printed there.
//
//	go test ./roles/guide -v
//
// The tour runs in a network of its own where that is allowed, so that the ports it
// names are free. The three machines are addresses of this one, with a directory each.
package guide
