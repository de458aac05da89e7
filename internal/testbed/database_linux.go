package testbed

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// children returns the processes that the given one has started and that run.
func children(pid int) []int {
	var pids []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	for _, file := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if fields := statFields(child); err == nil && len(fields) > 1 && string(fields[1]) == strconv.Itoa(pid) {
			pids = append(pids, child)
		}
	}
	return pids
}

// zombie reports whether the process has ended and nobody has waited for it yet.
func zombie(pid int) bool {
	fields := statFields(pid)
	return len(fields) > 0 && string(fields[0]) == "Z"
}

// statFields returns state, parent and so on of a process, nil if there is none.
func statFields(pid int) [][]byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	// The state follows the program name, which is in parentheses and may hold any character.
	return bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
}
