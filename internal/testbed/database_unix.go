//go:build unix && !linux

package testbed

import (
	"bytes"
	"os/exec"
	"strconv"
)

// children returns the processes that the given one has started and that run.
func children(pid int) []int {
	out, _ := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output() // none if it cannot tell
	var pids []int
	for line := range bytes.Lines(out) {
		fields := bytes.Fields(line)
		if len(fields) == 2 && string(fields[1]) == strconv.Itoa(pid) {
			if child, err := strconv.Atoi(string(fields[0])); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// zombie reports whether the process has ended and nobody has waited for it yet.
func zombie(pid int) bool {
	state, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && bytes.HasPrefix(bytes.TrimSpace(state), []byte("Z"))
}
