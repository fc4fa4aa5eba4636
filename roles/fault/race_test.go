//go:build race

package fault_test

// The race detector's own memory grows with what a process has ever touched.
const mostGrowth = 512 << 20
