//go:build !linux

package lab

import "os/exec"

func ownSession(*exec.Cmd) {}
