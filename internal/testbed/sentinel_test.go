package testbed

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"
)

// eventually bounds waits for what has no promised time.
const eventually = 30 * time.Second

// soon returns a ctx that ends when a wait has taken too long.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), eventually)
	t.Cleanup(cancel)
	return ctx
}

// startSentinel is StartSentinel, with the primary and the time logged.
func startSentinel(t *testing.T, opts *SentinelOptions) (s *Sentinel, primary *Redis) {
	t.Helper()
	start := time.Now()
	s = StartSentinel(t, opts)
	t.Logf("started in %v", time.Since(start))
	primary, err := s.Primary()
	if err != nil {
		t.Fatal(err)
	}
	return s, primary
}

// waitPrimary returns the node that takes over from old, and logs the time.
func waitPrimary(t *testing.T, s *Sentinel, old *Redis) *Redis {
	t.Helper()
	start := time.Now()
	primary, err := s.WaitPrimary(soon(t), old)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("another primary after %v", time.Since(start))
	return primary
}

// waitReplica waits until a node is a replica in sync, and logs the time.
func waitReplica(t *testing.T, s *Sentinel, node *Redis) {
	t.Helper()
	start := time.Now()
	if err := s.WaitReplica(soon(t), node); err != nil {
		t.Fatal(err)
	}
	t.Logf("a replica in sync after %v", time.Since(start))
}

// role returns "master" or "slave".
func role(t *testing.T, r *Redis) string {
	t.Helper()
	info, err := r.Info("replication")
	if err != nil {
		t.Fatal(err)
	}
	return info["role"]
}

func TestSentinelIsReadyAtTheStart(t *testing.T) {
	t.Parallel()
	s, primary := startSentinel(t, &SentinelOptions{Replicas: 2})
	if primary != s.Nodes()[0] || role(t, primary) != "master" {
		t.Errorf("the primary is %s", primary.Addr())
	}
	if got := must(t, primary, "WAIT", "2", "0"); got != "2" {
		t.Errorf("%s replicas of 2 are in sync", got)
	}
	if len(s.Nodes()) != 3 || len(s.Sentinels()) != 3 || len(s.Addrs()) != 3 {
		t.Errorf("%d nodes, %d sentinels, %d addresses", len(s.Nodes()), len(s.Sentinels()), len(s.Addrs()))
	}
	for _, r := range s.Sentinels() {
		if got := must(t, r, "SENTINEL", "CKQUORUM", s.MasterName()); !strings.HasPrefix(got, "OK 3 usable Sentinels") {
			t.Errorf("the sentinel at %s says %q", r.Addr(), got)
		}
	}
}

func TestSentinelFailoverOnDemand(t *testing.T) {
	t.Parallel()
	s, old := startSentinel(t, nil)
	must(t, old, "SET", "k", "v")
	if err := s.WaitSynced(soon(t)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	primary, err := s.Failover(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("failover took %v", time.Since(start))
	if primary == old || role(t, primary) != "master" {
		t.Fatalf("the primary is %s, as before", primary.Addr())
	}
	if got := must(t, primary, "GET", "k"); got != "v" {
		t.Errorf("GET k = %q", got)
	}
	waitReplica(t, s, old)
	// The new roles are in the files of the nodes.
	for _, r := range s.Nodes() {
		was := role(t, r)
		if err := r.Restart(); err != nil {
			t.Fatal(err)
		}
		if got := role(t, r); got != was {
			t.Errorf("after a restart the %s at %s is a %s", was, r.Addr(), got)
		}
	}
}

func TestSentinelFailoverOfAKilledPrimary(t *testing.T) {
	t.Parallel()
	s, old := startSentinel(t, &SentinelOptions{Replicas: 2, AppendOnly: true})
	must(t, old, "SET", "k", "v")
	if err := s.WaitSynced(soon(t)); err != nil {
		t.Fatal(err)
	}
	old.Kill()
	primary := waitPrimary(t, s, old)
	if got := must(t, primary, "GET", "k"); got != "v" {
		t.Errorf("GET k = %q", got)
	}
	if err := s.WaitSynced(soon(t)); err != nil { // the other replica; the old primary is down
		t.Error(err)
	}
	if err := old.Restart(); err != nil {
		t.Fatal(err)
	}
	waitReplica(t, s, old)
	if now, err := s.Primary(); err != nil || now != primary {
		t.Errorf("another failover: %v", err)
	}
}

// TestSentinelSplitBrain has two primaries for a while, which both take writes.
func TestSentinelSplitBrain(t *testing.T) {
	t.Parallel()
	s, old := startSentinel(t, &SentinelOptions{DemoteAfter: 4 * time.Second})
	if err := old.Pause(); err != nil {
		t.Fatal(err)
	}
	primary := waitPrimary(t, s, old)
	must(t, primary, "SET", "k", "new")
	if err := old.Resume(); err != nil {
		t.Fatal(err)
	}
	must(t, old, "SET", "k", "old")
	if got, want := role(t, old)+role(t, primary), "mastermaster"; got != want {
		t.Errorf("roles after Resume: %s, want %s", got, want)
	}
	waitReplica(t, s, old)
	if got := must(t, old, "GET", "k"); got != "new" {
		t.Errorf("GET k at the former primary = %q, want what was written to the present one", got)
	}
	if _, err := old.Command("SET", "k", "old"); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
		t.Errorf("SET at the former primary: %v", err)
	}
}

func TestSentinelWithoutOneSentinel(t *testing.T) {
	t.Parallel()
	s, old := startSentinel(t, nil)
	down := s.Sentinels()[0]
	down.Kill()
	old.Kill()
	primary := waitPrimary(t, s, old)
	if err := down.Restart(); err != nil {
		t.Fatal(err)
	}
	// It hears of the failover from the others, and keeps the pace that it was started with.
	err := until(soon(t), "all sentinels agree", func() error {
		if s.named(t.Context())[primary] < sentinelCount {
			return errors.New("they do not")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	settings, err := down.probe(t.Context(), []string{"SENTINEL", "DEBUG"})
	if err != nil {
		t.Fatal(err)
	}
	if got := settings.fields()["PUBLISH-PERIOD"]; got != "500" {
		t.Errorf("PUBLISH-PERIOD = %s after a restart", got)
	}
	for _, r := range s.Sentinels() {
		r.Kill()
	}
	if _, err := s.Primary(); err == nil {
		t.Error("there is a primary without sentinels")
	}
}

func TestSentinelExtraArgs(t *testing.T) {
	t.Parallel()
	s, primary := startSentinel(t, &SentinelOptions{Args: []string{"--min-replicas-to-write", "1"}})
	must(t, primary, "SET", "k", "v")
	s.Nodes()[1].Kill()
	err := until(soon(t), "the primary refuses writes", func() error {
		if _, err := primary.Command("SET", "k", "v"); err == nil || !strings.HasPrefix(err.Error(), "NOREPLICAS") {
			return errors.Join(errors.New("it does not"), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSentinelLeavesNoProcess(t *testing.T) {
	t.Parallel()
	var pids []int
	t.Run("group", func(t *testing.T) {
		s, primary := startSentinel(t, nil)
		if err := primary.Pause(); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.all() {
			pids = append(pids, r.proc.pid())
		}
	})
	gone(t, pids)
}

// gone fails the test if a process is left.
func gone(t *testing.T, pids []int) {
	t.Helper()
	if len(pids) == 0 {
		t.Fatal("nothing was started")
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d after the test: %v, want none", pid, err)
		}
	}
}

func TestSentinelBadOptions(t *testing.T) {
	for _, opts := range []SentinelOptions{{Replicas: 3}, {DownAfter: time.Millisecond}, {DemoteAfter: -time.Second}} {
		if _, err := LaunchSentinel(t.Context(), t.TempDir(), &opts); err == nil {
			t.Errorf("%+v is accepted", opts)
		}
	}
}

func TestSentinelDoesNotStart(t *testing.T) {
	opts := &SentinelOptions{Args: []string{"--no-such-setting", "1"}}
	if _, err := LaunchSentinel(t.Context(), t.TempDir(), opts); err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("error %v does not show what the server said", err)
	}
}
