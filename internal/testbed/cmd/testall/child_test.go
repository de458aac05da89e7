package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gone waits until no process has the id in the file, which a child has written.
func gone(t *testing.T, pidFile string) {
	t.Helper()
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); syscall.Kill(pid, 0) == nil && !zombie(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d is left", pid)
		}
	}
}

// zombie reports whether a process has ended and only waits for its parent, which is not this one.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestChildLeavesNothing(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	err := child(t.Context(), io.Discard, "sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $! >"+pidFile)
	if err != nil {
		t.Fatal(err)
	}
	gone(t, pidFile)
}

func TestChildIsInterruptedAsAGroup(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- child(ctx, io.Discard, "sh", "-c", "sleep 60 & echo $! >"+pidFile+".new; mv "+pidFile+".new "+pidFile+"; wait")
	}()
	for !isFile(pidFile) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("child = %v, want an interrupt", err)
	}
	gone(t, pidFile)
}

func TestChildFails(t *testing.T) {
	if err := child(t.Context(), io.Discard, "sh", "-c", "exit 3"); err == nil || err.Error() != "sh: exit status 3" {
		t.Errorf("child = %v", err)
	}
}
