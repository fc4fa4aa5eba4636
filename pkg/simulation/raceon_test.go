//go:build race

package simulation_test

// raced: the race detector watches, which has nothing to find in one coroutine at
// a time and makes a schedule ten times as dear.
const raced = true
