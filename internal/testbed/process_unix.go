//go:build unix && !linux

package testbed

import (
	"bytes"
	"os/exec"
	"strconv"
	"syscall"
)

// diesWithParent has nothing to offer outside Linux: a killed test process leaves its servers.
func diesWithParent() *syscall.SysProcAttr { return nil }

// paused reports whether the process is stopped by a signal.
func paused(pid int) bool {
	state, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && bytes.HasPrefix(bytes.TrimSpace(state), []byte("T"))
}
