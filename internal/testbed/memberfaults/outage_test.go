package memberfaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/membership"
)

// outage is what a group of 50 members has gone through.
type outage struct {
	list    []*process
	w       *watcher
	views   []sighting // since it began
	back    time.Time  // when the servers answered again
	joined  int        // how often members have joined again
	failed  int        // renewals, and tries to join again
	elapsed time.Duration
}

// endure lets a group go through harm, which returns when the servers answer again. All members must be
// back, and confirmed by the servers, within the bound, and no view may be empty.
func endure(t *testing.T, s stores.Store, ttl time.Duration, harm func()) *outage {
	t.Helper()
	const processes, each = 5, 10
	const n = processes * each
	o := &outage{}
	p := open(t, s, ttl, nil)
	o.w = watch(t, p)
	o.list, _ = crowd(t, s, processes, each, ttl, nil)
	o.w.settles(t, n)
	began := time.Now()
	harm()
	o.back = time.Now()
	var confirmed [processes]int
	for i, q := range o.list {
		confirmed[i] = q.renewals()
	}
	// A server that has lost its data has to be asked: the view may not show it yet.
	suite.Wait(t, "all are back", func() bool {
		for i, q := range o.list {
			if !q.stands(each) || q.renewals() < confirmed[i]+each {
				return false
			}
		}
		members, err := p.Members(suite.Soon(t))
		return err == nil && len(members) == n
	})
	o.elapsed = time.Since(o.back)
	o.w.settles(t, n)
	o.views = o.w.since(began)
	least, gone := fewest(o.views)
	if least == 0 {
		t.Error("an empty group was shown")
	}
	if most := rejoins(s, ttl); o.elapsed > most+slack {
		t.Errorf("all were back after %v, want %v", o.elapsed, most)
	}
	for _, q := range o.list {
		joined, _ := q.stays()
		o.joined += joined - each
		o.failed += q.failures()
	}
	t.Logf("all back %v after the servers (bound %v); %d joined again, %v; %d failures; the smallest of %d views had %d members, %d were shown as gone, stale %t",
		round(o.elapsed), rejoins(s, ttl), o.joined, causes(o.list...), o.failed, len(o.views), least, gone, doubts(o.views, membership.ErrVanished))
	return o
}

// lost checks how many members have joined again.
func (o *outage) lost(t *testing.T, least, most int) {
	t.Helper()
	if o.joined < least || o.joined > most {
		t.Errorf("%d joined again, want %d to %d", o.joined, least, most)
	}
}

// many is more than can join again.
const many = 1 << 20

// A server that hangs for longer than the TTL loses all members. Nobody is shown as gone before half the
// TTL has passed, and by then they should be back.
func TestServerPaused(t *testing.T) {
	t.Parallel()
	const ttl = 4 * time.Second
	paused := func(t *testing.T, s stores.Store, pause, resume func() error) {
		t.Helper()
		o := endure(t, s, ttl, func() {
			suite.Must(t, pause())
			time.Sleep(ttl + ttl/2)
			suite.Must(t, resume())
		})
		o.lost(t, 50, many)
		for _, v := range o.views[1:] {
			if len(v.Left) > 0 && v.at.Sub(o.back) < ttl/2-noted {
				t.Errorf("%d shown as gone after %v, want %v", len(v.Left), v.at.Sub(o.back), ttl/2)
			}
		}
	}
	t.Run(stores.Redis, func(t *testing.T) {
		t.Parallel()
		server := testbed.StartRedis(t, nil)
		paused(t, stores.OfRedis(server), server.Pause, server.Resume)
	})
	t.Run(stores.Etcd, func(t *testing.T) {
		t.Parallel()
		servers := testbed.StartEtcd(t, nil)
		paused(t, stores.OfEtcd(servers), servers.Nodes()[0].Pause, servers.Nodes()[0].Resume)
	})
}

// A server of Redis is killed and restarted. With its append-only file nobody is lost, without one all
// join again.
func TestRedisRestarted(t *testing.T) {
	t.Parallel()
	for kind, kept := range map[string]bool{"with append-only file": true, "without append-only file": false} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := &testbed.RedisOptions{AppendOnly: kept}
			if kept {
				c.Args = []string{"--appendfsync", "always"}
			}
			server := testbed.StartRedis(t, c)
			o := endure(t, stores.OfRedis(server), faultTTL, func() {
				server.Kill()
				suite.Must(t, server.Restart())
			})
			if kept {
				o.lost(t, 0, 0)
			} else {
				o.lost(t, 50, many)
			}
		})
	}
}

// An operator empties the server under a group.
func TestRedisFlushed(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, nil)
	o := endure(t, stores.OfRedis(server), faultTTL, func() {
		_, err := server.Command("FLUSHALL")
		suite.Must(t, err)
	})
	o.lost(t, 50, 50)
}

// The primary is killed. Members that the heir knows stay, the others join again.
func TestSentinelPrimaryKilled(t *testing.T) {
	t.Parallel()
	for name, replicas := range map[string]int{"without WaitReplicas": 0, "with WaitReplicas": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := testbed.StartSentinel(t, nil)
			endure(t, stores.OfSentinel(servers, replicas), faultTTL, func() {
				suite.Must(t, servers.WaitSynced(suite.Soon(t)))
				old, err := servers.Primary()
				suite.Must(t, err)
				old.Kill()
				heir, err := servers.WaitPrimary(suite.Soon(t), old)
				suite.Must(t, err)
				if heir == old {
					t.Error("nothing has failed over")
				}
				if replicas > 0 { // without a replica the heir grants nothing
					suite.Must(t, old.Restart())
					suite.Must(t, servers.WaitReplica(suite.Soon(t), old))
				}
			})
		})
	}
}

// The primary that keeps the group is killed.
func TestClusterPrimaryKilled(t *testing.T) {
	t.Parallel()
	servers := testbed.StartCluster(t, nil)
	endure(t, stores.OfCluster(servers, 0), faultTTL, func() {
		var home *testbed.Redis
		for _, r := range servers.Nodes()[:3] {
			size, err := r.Command("DBSIZE")
			suite.Must(t, err)
			if size != "0" {
				home = r
			}
		}
		home.Kill()
		_, err := servers.WaitFailover(suite.Soon(t), home)
		suite.Must(t, err)
	})
}

// The leader of etcd is killed: nobody is lost.
func TestEtcdLeaderKilled(t *testing.T) {
	t.Parallel()
	servers := testbed.StartEtcd(t, &testbed.EtcdOptions{Nodes: 3})
	o := endure(t, stores.OfEtcd(servers), faultTTL, func() {
		leader, err := servers.Leader()
		suite.Must(t, err)
		leader.Kill()
		suite.Wait(t, "another leads", func() bool {
			next, err := servers.Leader()
			return err == nil && next != leader
		})
	})
	o.lost(t, 0, 0)
}

// Two of three are down for longer than the TTL: all members are lost, and are back when one of the two is.
func TestEtcdWithoutAMajority(t *testing.T) {
	t.Parallel()
	servers := testbed.StartEtcd(t, &testbed.EtcdOptions{Nodes: 3})
	const ttl = 3 * time.Second
	o := endure(t, stores.OfEtcd(servers), ttl, func() {
		down := servers.Nodes()[1:]
		for _, n := range down {
			n.Kill()
		}
		time.Sleep(2 * ttl)
		suite.Must(t, down[0].Restart())
	})
	o.lost(t, 50, many)
}
