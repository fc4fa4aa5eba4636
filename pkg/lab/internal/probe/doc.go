// Package probe asks the lab's servers for their state with a few hand-written requests, so that the lab depends on none
// of the client libraries whose behaviour it is there to test. Every function opens a connection, asks once and closes it.
package probe
