package testbed

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// startCluster is StartCluster, with the time logged.
func startCluster(t *testing.T, opts *ClusterOptions) *Cluster {
	t.Helper()
	start := time.Now()
	c := StartCluster(t, opts)
	t.Logf("started in %v", time.Since(start))
	return c
}

// primaryOf returns the primary of a key's slot.
func primaryOf(t *testing.T, c *Cluster, key string) *Redis {
	t.Helper()
	primary, err := c.Primary(Slot(key))
	if err != nil {
		t.Fatal(err)
	}
	return primary
}

// waitFailover returns the node that takes over from dead, and logs the time.
func waitFailover(t *testing.T, c *Cluster, dead *Redis) *Redis {
	t.Helper()
	start := time.Now()
	heir, err := c.WaitFailover(soon(t), dead)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("failover took %v", time.Since(start))
	return heir
}

// waitOK waits until the cluster is in order, and logs the time.
func waitOK(t *testing.T, c *Cluster) {
	t.Helper()
	start := time.Now()
	if err := c.WaitOK(soon(t)); err != nil {
		t.Fatal(err)
	}
	t.Logf("in order after %v", time.Since(start))
}

// refused checks that a command is answered by an error that begins so.
func refused(t *testing.T, r *Redis, prefix string, args ...string) {
	t.Helper()
	if got, err := r.Command(args...); err == nil || !strings.HasPrefix(err.Error(), prefix) {
		t.Errorf("%s at %s: %q, %v, want %s", strings.Join(args, " "), r.Addr(), got, err, prefix)
	}
}

func TestClusterIsReadyAtTheStart(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil)
	if len(c.Addrs()) != 6 {
		t.Fatalf("%d addresses", len(c.Addrs()))
	}
	for slot, want := range map[int]int{0: 0, 5460: 0, 5461: 1, 10921: 1, 10922: 2, 16383: 2} {
		primary, err := c.Primary(slot)
		if err != nil || primary != c.Nodes()[want] {
			t.Fatalf("the primary of slot %d is not node %d: %v", slot, want, err)
		}
		replica, err := c.ReplicaOf(primary)
		if err != nil || replica != c.Nodes()[want+3] {
			t.Fatalf("the replica of node %d is not node %d: %v", want, want+3, err)
		}
	}
	for _, key := range []string{"a", "b", "c"} {
		primary := primaryOf(t, c, key)
		must(t, primary, "SET", key, "v")
		if got := must(t, primary, "WAIT", "1", "0"); got != "1" {
			t.Errorf("%s replicas have %s", got, key)
		}
		must(t, primary, "SPUBLISH", key, "sharded")
	}
	refused(t, primaryOf(t, c, "a"), "MOVED", "GET", "b")
}

func TestClusterFailoverOfAKilledPrimary(t *testing.T) {
	t.Parallel()
	c := startCluster(t, &ClusterOptions{AppendOnly: true})
	old := primaryOf(t, c, "k")
	must(t, old, "SET", "k", "v")
	must(t, old, "WAIT", "1", "0")
	old.Kill()
	heir := waitFailover(t, c, old)
	if heir == old || primaryOf(t, c, "k") != heir {
		t.Fatalf("%s did not take over", heir.Addr())
	}
	if got := must(t, heir, "GET", "k"); got != "v" {
		t.Errorf("GET k = %q", got)
	}
	if err := old.Restart(); err != nil {
		t.Fatal(err)
	}
	waitOK(t, c)
	if replica, err := c.ReplicaOf(heir); err != nil || replica != old {
		t.Errorf("the former primary is not a replica: %v", err)
	}
	// A primary that is back after a moment is still one.
	if err := heir.Restart(); err != nil {
		t.Fatal(err)
	}
	waitOK(t, c)
	if got := must(t, heir, "SET", "k", "w"); got != "OK" {
		t.Errorf("SET after a restart = %q", got)
	}
}

func TestClusterFailoverOfAPausedPrimary(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil)
	old := primaryOf(t, c, "k")
	if err := old.Pause(); err != nil {
		t.Fatal(err)
	}
	heir := waitFailover(t, c, old)
	must(t, heir, "SET", "k", "v")
	if err := old.Resume(); err != nil {
		t.Fatal(err)
	}
	waitOK(t, c)
	if got := role(t, old); got != "slave" {
		t.Errorf("the former primary is a %s", got)
	}
	refused(t, old, "MOVED", "SET", "k", "w")
}

func TestClusterFailoverOnDemand(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil)
	old := primaryOf(t, c, "k")
	replica, err := c.ReplicaOf(old)
	if err != nil {
		t.Fatal(err)
	}
	must(t, replica, "CLUSTER", "FAILOVER")
	if heir := waitFailover(t, c, old); heir != replica {
		t.Errorf("%s took over, want %s", heir.Addr(), replica.Addr())
	}
	waitOK(t, c)
}

// TestClusterMigration stops half-way: of two keys in a slot one has moved.
func TestClusterMigration(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil)
	const moved, kept, absent = "{tag}moved\n", "{tag}kept", "{tag}absent"
	slot := Slot(moved)
	from := primaryOf(t, c, moved)
	to := c.Nodes()[(slices.Index(c.Nodes(), from)+1)%clusterPrimaries]
	must(t, from, "MSET", moved, "1", kept, "2")
	script := []string{"EVAL", "return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}", "2", moved, kept}
	if got := must(t, from, script...); got != "1\n2" {
		t.Fatalf("before: %q", got)
	}

	m, err := c.BeginMigration(soon(t), slot, to)
	if err != nil {
		t.Fatal(err)
	}
	if m.From() != from {
		t.Errorf("the slot leaves %s, want %s", m.From().Addr(), from.Addr())
	}
	if err := m.Move(soon(t), moved); err != nil {
		t.Fatal(err)
	}
	if keys, err := m.Keys(soon(t), 10); err != nil || !slices.Equal(keys, []string{kept}) {
		t.Errorf("left at the source: %q, %v", keys, err)
	}
	ask := fmt.Sprintf("ASK %d %s", slot, to.Addr())
	refused(t, from, ask, "GET", moved)
	refused(t, from, ask, "SET", absent, "3")
	if got := must(t, from, "GET", kept); got != "2" {
		t.Errorf("GET of the key that has not moved = %q", got)
	}
	refused(t, to, "MOVED", "GET", moved)
	asking := []string{"ASKING"}
	if got, err := exchange(soon(t), to.Addr(), asking, []string{"GET", moved}); err != nil || got.text != "1" {
		t.Errorf("GET of the moved key after ASKING: %q, %v", got, err)
	}
	// A script over both keys fits nowhere. Redis 7.0 sends it on first; later ones say so at once.
	if _, err = from.Command(script...); err != nil && err.Error() == ask {
		_, err = exchange(soon(t), to.Addr(), asking, script)
	}
	if err == nil || !strings.HasPrefix(err.Error(), "TRYAGAIN") {
		t.Errorf("a script over a moved and a kept key: %v, want TRYAGAIN", err)
	}

	if err := m.Finish(soon(t), 1); err != nil {
		t.Fatal(err)
	}
	if primaryOf(t, c, moved) != to {
		t.Error("the slot has not moved")
	}
	refused(t, from, fmt.Sprintf("MOVED %d %s", slot, to.Addr()), "GET", kept)
	if got := must(t, to, script...); got != "1\n2" {
		t.Errorf("after: %q", got)
	}
	waitOK(t, c)

	if err := c.MigrateSlot(soon(t), slot, from, 10); err != nil {
		t.Fatal(err)
	}
	if got := must(t, from, script...); got != "1\n2" {
		t.Errorf("after the way back: %q", got)
	}
	if err := c.MigrateSlot(soon(t), slot, from, 10); err == nil {
		t.Error("a slot is moved to where it is")
	}
}

func TestClusterPartialCoverage(t *testing.T) {
	t.Parallel()
	for _, partial := range []bool{false, true} {
		t.Run(fmt.Sprint(partial), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, &ClusterOptions{NoReplicas: true, PartialCoverage: partial})
			if len(c.Addrs()) != clusterPrimaries {
				t.Fatalf("%d addresses", len(c.Addrs()))
			}
			down, other := primaryOf(t, c, "a"), primaryOf(t, c, "b")
			if down == other {
				t.Fatal("both keys are on one node")
			}
			down.Kill()
			// The others notice after the node time-out.
			err := until(soon(t), "the dead node is known to be dead", func() error {
				view, err := other.view(t.Context())
				if err == nil && view[c.id(down)].up {
					err = errors.New("it is not")
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if partial {
				must(t, other, "SET", "b", "v")
				waitOK(t, c)
			} else {
				err := until(soon(t), "the cluster is down", func() error {
					if _, err := other.Command("SET", "b", "v"); err == nil || !strings.HasPrefix(err.Error(), "CLUSTERDOWN") {
						return errors.Join(errors.New("it is not"), err)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
			if _, err := c.WaitFailover(soon(t), down); err == nil {
				t.Error("a node without a replica has an heir")
			}
		})
	}
}

func TestClusterLeavesNoProcess(t *testing.T) {
	t.Parallel()
	var pids []int
	t.Run("cluster", func(t *testing.T) {
		c := startCluster(t, nil)
		if err := c.Nodes()[0].Pause(); err != nil {
			t.Fatal(err)
		}
		for _, r := range c.Nodes() {
			pids = append(pids, r.proc.pid())
		}
	})
	gone(t, pids)
}

func TestClusterDoesNotStart(t *testing.T) {
	opts := &ClusterOptions{Args: []string{"--no-such-setting", "1"}}
	if _, err := LaunchCluster(t.Context(), t.TempDir(), opts); err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("error %v does not show what the server said", err)
	}
}

func TestClusterNodesThatCannotBeRead(t *testing.T) {
	if _, err := parseClusterNodes("id address flags\n"); err == nil {
		t.Error("a short line is accepted")
	}
}
