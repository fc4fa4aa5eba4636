//go:build !unix

package doctor

func openFiles() uint64 { return 0 }
