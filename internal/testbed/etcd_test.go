package testbed

import (
	"errors"
	"syscall"
	"testing"
	"time"
)

func TestEtcdKillAndRestart(t *testing.T) {
	t.Parallel()
	e := StartEtcd(t, nil)
	n, err := e.Leader()
	if err != nil {
		t.Fatal(err)
	}
	n.Kill()
	n.Kill() // of a member that is down: nothing
	if err := n.health(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after Kill: %v, want a refused connection", err)
	}
	if err := n.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := n.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := n.health(); err == nil {
		t.Error("a paused member answers")
	}
	if err := n.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := n.health(); err != nil {
		t.Error(err)
	}
}

func TestEtcdThreeNodesElectAnotherLeader(t *testing.T) {
	t.Parallel()
	e := StartEtcd(t, &EtcdOptions{Nodes: 3})
	if len(e.Endpoints()) != 3 {
		t.Fatalf("%d endpoints", len(e.Endpoints()))
	}
	old, err := e.Leader()
	if err != nil {
		t.Fatal(err)
	}
	old.Kill()
	for give := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if n, err := e.Leader(); err == nil && n != old {
			break
		}
		if time.Now().After(give) {
			t.Fatal("no other leader")
		}
	}
	if err := old.Restart(); err != nil {
		t.Fatal(err)
	}
}

func TestEtcdLeavesNoProcess(t *testing.T) {
	t.Parallel()
	var pid int
	t.Run("server", func(t *testing.T) { pid = StartEtcd(t, nil).nodes[0].proc.pid() })
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after the test: %v, want none", pid, err)
	}
}

func TestEtcdBadOptions(t *testing.T) {
	if _, err := LaunchEtcd(t.Context(), t.TempDir(), &EtcdOptions{Nodes: 2}); err == nil {
		t.Error("two nodes are accepted")
	}
}
