//go:build !race

package fastpath_test

const raceDetector = false
