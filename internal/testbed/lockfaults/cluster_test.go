package lockfaults

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/lock"
)

// least is the least time that renewals of some keys had left.
type least struct {
	mu   sync.Mutex
	left map[string]time.Duration
}

func (l *least) hooks() *lock.Hooks {
	l.left = map[string]time.Duration{}
	return &lock.Hooks{Renewed: func(i lock.Info) {
		if i.Err != nil {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if left, ok := l.left[i.Key]; !ok || i.Left < left {
			l.left[i.Key] = i.Left
		}
	}}
}

// of returns the least of some keys, each of which must have been renewed.
func (l *least) of(t *testing.T, keys ...string) time.Duration {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	left := time.Hour
	for _, key := range keys {
		d, ok := l.left[key]
		if !ok {
			t.Errorf("%s was never renewed", key)
		}
		left = min(left, d)
	}
	return left
}

func TestClusterPrimaryKilledUnderLoad(t *testing.T) {
	for _, partial := range []bool{true, false} {
		t.Run(map[bool]string{true: "partial coverage", false: "full coverage"}[partial], func(t *testing.T) {
			const ttl = 9 * time.Second
			c := startCluster(t, &testbed.ClusterOptions{PartialCoverage: partial})
			dead := c.Nodes()[0]
			var loads []*turns
			var keys []string
			for _, primary := range c.Nodes()[:3] {
				shard := keysOn(t, c, primary, 2)
				keys = append(keys, shard[0])
				loads = append(loads, startTurns(t, shard[1:], clusterLockers(t, c, 3, &lock.Options{TTL: ttl})...))
			}
			var renewals least
			keeper := newClusterProcess(t, c, &lock.Options{TTL: ttl, Hooks: renewals.hooks()}, 0)
			var held []*lock.Lease
			for _, key := range keys {
				held = append(held, keeper.acquire(t, key))
			}
			everywhere := func() {
				for _, load := range loads {
					now := time.Now()
					wait(t, "further grants", func() bool { return load.count(now) >= 50 })
				}
			}
			everywhere()
			killed := time.Now()
			dead.Kill()
			if _, err := c.WaitFailover(soon(t), dead); err != nil {
				t.Fatal(err)
			}
			elected := time.Since(killed)
			everywhere()
			keeper.renewed.Store(0)
			wait(t, "renewals after that", func() bool { return keeper.renewed.Load() >= int64(len(held)) })
			var gaps []time.Duration
			for _, load := range loads {
				load.end(t)
				gaps = append(gaps, round(load.gap(killed, load.grants[0].key)))
			}
			if gaps[0] < time.Second/2 {
				t.Errorf("%v without a grant on the dead shard: nothing has failed", gaps[0])
			}
			for i, l := range held {
				if !l.Valid(0) {
					t.Errorf("the holder on shard %d: %v", i, context.Cause(l.Context()))
				}
				release(t, l)
			}
			left, late := renewals.of(t, keys[1:]...), renewals.of(t, keys[0])
			if late > ttl*2/3-elected/4 {
				t.Errorf("a renewal on the dead shard had %v left of %v: none was late", late, ttl)
			}
			if least := ttl / 3; partial && left < least {
				t.Errorf("renewals on the other shards had %v left of %v, want at least %v", left, ttl, least)
			}
			t.Logf("taken over after %v; longest time without a grant %v on the dead shard, %v on the others; "+
				"renewals had at least %v left there, %v on the dead one",
				round(elected), gaps[0], gaps[1:], round(left), round(late))
		})
	}
}

// A primary that hangs ends what it keeps, and not what others keep.
func TestClusterPrimaryPausedEndsItsOwnHoldersOnly(t *testing.T) {
	const ttl, each = 4 * time.Second, 15
	c := startCluster(t, &testbed.ClusterOptions{NoReplicas: true, PartialCoverage: true})
	hung := c.Nodes()[0]
	var renewals least
	p := newClusterProcess(t, c, &lock.Options{TTL: ttl, Hooks: renewals.hooks()}, 0)
	var others []string
	var kept, there []*lock.Lease
	for _, primary := range c.Nodes() {
		for _, key := range keysOn(t, c, primary, each) {
			l := p.acquire(t, key)
			if primary == hung {
				there = append(there, l)
			} else {
				kept, others = append(kept, l), append(others, key)
			}
		}
	}
	p.renewed.Store(0)
	wait(t, "every lease is renewed", func() bool { return p.renewed.Load() >= 3*each })
	if err := hung.Pause(); err != nil {
		t.Fatal(err)
	}
	paused := time.Now()
	var last time.Time
	for _, l := range there {
		lost, at := lossOf(t, l)
		if lost.Cause != lock.Unreachable {
			t.Errorf("%v, want unreachable", lost)
		}
		last = at
	}
	if d := last.Sub(paused); d > ttl {
		t.Errorf("stopped after %v; by then the server had let go", d)
	}
	p.renewed.Store(0)
	wait(t, "renewals while it hangs", func() bool { return p.renewed.Load() >= 2*int64(len(kept)) })
	for _, l := range kept {
		if !l.Valid(0) {
			t.Errorf("%s: %v", l.Key(), context.Cause(l.Context()))
		}
	}
	left := renewals.of(t, others...)
	if left < ttl/3 {
		t.Errorf("renewals on the other shards had %v left of %v", left, ttl)
	}
	if p.failed.Load() == 0 {
		t.Error("no renewal has failed")
	}
	if err := hung.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitOK(soon(t)); err != nil {
		t.Fatal(err)
	}
	again := time.Now()
	for _, l := range there {
		release(t, p.acquire(t, l.Key()))
	}
	for _, l := range kept {
		release(t, l)
	}
	t.Logf("%d leases ended %v after their server hung, %d others had at least %v of %v left; all free %v after it went on",
		len(there), round(last.Sub(paused)), len(kept), round(left), ttl, round(time.Since(again)))
}

// A lock is granted anew by a primary that does not know of the first holder.
func TestClusterFailoverLosesWhatWasNotReplicated(t *testing.T) {
	const ttl = 8 * time.Second
	c := startCluster(t, nil)
	dead := c.Nodes()[0]
	key := keysOn(t, c, dead, 1)[0]
	p, other := newClusterProcess(t, c, &lock.Options{TTL: ttl}, 0), newClusterProcess(t, c, &lock.Options{TTL: ttl}, 0)
	strict := newClusterProcess(t, c, &lock.Options{TTL: ttl}, 1)
	release(t, strict.acquire(t, "warm")) // while there is a replica
	cutReplicas(t, dead)
	if l, err := strict.locks.TryAcquire(t.Context(), keysOfBucket(key, 1)[0]); err == nil {
		t.Error("granted without a replica")
		release(t, l)
	}
	early := p.acquire(t, key)
	granted := time.Now()
	dead.Kill()
	if _, err := c.WaitFailover(soon(t), dead); err != nil {
		t.Fatal(err)
	}
	late := other.acquire(t, key)
	at := time.Now()
	believed := early.Valid(0)
	if late.Token() <= early.Token() {
		t.Errorf("token %v after %v", late.Token(), early.Token())
	}
	lost, noticed := lossOf(t, early)
	if lost.Cause != lock.BackendLost {
		t.Errorf("%v, want backend lost", lost)
	}
	if d := noticed.Sub(at); d > ttl/3+slack {
		t.Errorf("noticed %v after the next grant, want at most a third of the TTL", d)
	}
	release(t, late)
	t.Logf("granted again after %v while believed: %t, noticed %v later", round(at.Sub(granted)), believed, round(noticed.Sub(at)))
}

func TestClusterScriptFlushUnderLoadIsTransparent(t *testing.T) {
	c := startCluster(t, &testbed.ClusterOptions{NoReplicas: true})
	var keys []string
	for _, primary := range c.Nodes() {
		keys = append(keys, keysOn(t, c, primary, 1)...)
	}
	load := startTurns(t, keys, clusterLockers(t, c, 4, nil)...)
	const flushes = 50
	for range flushes {
		for _, node := range c.Nodes() {
			if _, err := node.Command("SCRIPT", "FLUSH"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	load.runs(t, 10, keys...)
	load.end(t)
	if load.failed+load.unsure+load.lost+load.overlaps > 0 {
		t.Error("it was noticed")
	}
	for _, node := range c.Nodes() {
		if number(t, node, "errorstats", "errorstat_NOSCRIPT") == "" {
			t.Errorf("no request met an unknown script on %s", node.Addr())
		}
	}
}

// A process whose claims wait in more buckets than it has connections for messages asks for the
// rest.
func TestClusterManyWaitingBuckets(t *testing.T) {
	const buckets, most = 39, 32
	opt := &lock.Options{TTL: 15 * time.Second}
	c := startCluster(t, &testbed.ClusterOptions{NoReplicas: true})
	holder, waiter := newClusterProcess(t, c, opt, 0), newClusterProcess(t, c, opt, 0)
	var held []*lock.Lease
	var waiting []<-chan got
	for _, primary := range c.Nodes() {
		for _, key := range keysOn(t, c, primary, buckets/3) {
			held = append(held, holder.acquire(t, key))
			waiting = append(waiting, waiter.later(t, key))
		}
	}
	open := func() (n int) {
		for _, node := range c.Nodes() {
			n += len(subscribers(t, node))
		}
		return n
	}
	wait(t, "the connections are open", func() bool { return open() == most })
	time.Sleep(time.Second) // in which there are heartbeats of those without a connection
	if n := open(); n != most {
		t.Errorf("%d connections for messages, want %d", n, most)
	}
	var told, asked []time.Duration
	for i, l := range held {
		start := time.Now()
		release(t, l)
		g := await(t, waiting[i])
		d := g.at.Sub(start)
		if d < 100*time.Millisecond {
			told = append(told, d)
		} else {
			asked = append(asked, d)
		}
		// A third of the claim window, with its jitter.
		if d > time.Second*12/10+slack {
			t.Errorf("%s: granted %v after the release", l.Key(), d)
		}
		release(t, g.Lease)
	}
	if len(told) < most {
		t.Errorf("%d were told at once, want %d", len(told), most)
	}
	longest := time.Duration(0)
	for _, d := range asked {
		longest = max(longest, d)
	}
	t.Logf("%d waiters in as many buckets, %d connections; %d were told at once, %d asked, after %v at most",
		buckets, most, len(told), len(asked), round(longest))
	if len(asked) == 0 {
		t.Error("nobody had to ask: the test shows nothing")
	}
}
