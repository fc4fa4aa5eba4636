//go:build !race

package fault_test

// mostGrowth bounds what a process may grow by in a scenario, in bytes.
const mostGrowth = 64 << 20
