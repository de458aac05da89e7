package lockfaults

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/lock"
)

// refusals returns how often the nodes of a cluster have answered with an error.
func refusals(t *testing.T, c *testbed.Cluster, code string) (n int) {
	t.Helper()
	for _, node := range c.Nodes() {
		info, err := node.Info("errorstats")
		if err != nil {
			t.Fatal(err)
		}
		if info["errorstat_"+code] != "" {
			n++
		}
	}
	return n
}

// halfMoved begins to move the slot of a bucket and moves every other of its locks.
func halfMoved(t *testing.T, c *testbed.Cluster, key string, to *testbed.Redis) *testbed.Migration {
	t.Helper()
	ctx := soon(t)
	m, err := c.BeginMigration(ctx, slotOf(key), to)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := m.Keys(ctx, 1000)
	if err != nil {
		t.Fatal(err)
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return !strings.Contains(k, ":l:same") })
	slices.Sort(keys)
	for i, k := range keys {
		if i%2 == 0 {
			if err := m.Move(ctx, k); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m
}

// While a slot is on its way, what is held there is renewed, half of it here and half of it there.
// What needs several keys of it waits until it has arrived.
func TestClusterSlotMovesUnderLoad(t *testing.T) {
	const ttl, held = 3 * time.Second, 20
	c := startCluster(t, &testbed.ClusterOptions{NoReplicas: true})
	to := c.Nodes()[1]
	key := keysOn(t, c, c.Nodes()[0], 1)[0]
	elsewhere := keysOn(t, c, c.Nodes()[2], 1)[0]
	here := keysOfBucket(key, held+1)
	wanted := here[held]
	keeper := newClusterProcess(t, c, &lock.Options{TTL: ttl}, 0)
	var kept []*lock.Lease
	for _, k := range here[:held] {
		kept = append(kept, keeper.acquire(t, k))
	}
	patient := &lock.Options{TTL: 15 * time.Second}
	holder := newClusterProcess(t, c, patient, 0)
	handed := holder.acquire(t, wanted)
	var waiting []<-chan got
	for range 3 {
		waiting = append(waiting, newClusterProcess(t, c, patient, 0).later(t, wanted))
	}
	load := startTurns(t, []string{key}, clusterLockers(t, c, 3, patient)...)
	others := startTurns(t, []string{elsewhere}, clusterLockers(t, c, 2, patient)...)
	load.runs(t, 50, key)

	begun := time.Now()
	m := halfMoved(t, c, key, to)
	wait(t, "renewals all through a TTL", func() bool { return time.Since(begun) > ttl*4/3 })
	for _, l := range kept {
		if !l.Valid(0) {
			t.Errorf("half-way: %s: %v", l.Key(), context.Cause(l.Context()))
		}
	}
	during := load.count(begun)
	if err := m.Finish(soon(t), 10); err != nil {
		t.Fatal(err)
	}
	finished := time.Now()
	took := finished.Sub(begun)
	wait(t, "the waiters have subscribed there", func() bool { return len(subscribers(t, to)) >= len(waiting) })
	subscribed := time.Since(finished)
	load.runs(t, 50, key)
	load.end(t)
	others.end(t)
	if refusals(t, c, "TRYAGAIN") == 0 || refusals(t, c, "ASK") == 0 || refusals(t, c, "MOVED") == 0 {
		t.Error("nobody was told to try again, to ask elsewhere or to go there: the test shows nothing")
	}
	if load.overlaps+load.lost+others.overlaps+others.failed+others.unsure > 0 {
		t.Errorf("%d overlaps, %d lost; elsewhere %d acquires and %d releases without an answer",
			load.overlaps, load.lost, others.failed, others.unsure)
	}
	for _, l := range kept {
		if !l.Valid(0) {
			t.Errorf("afterwards: %s: %v", l.Key(), context.Cause(l.Context()))
		}
		release(t, l)
	}
	last := handed.Token()
	start := time.Now()
	release(t, handed)
	for i, result := range waiting {
		g := await(t, result)
		if g.Token() <= last {
			t.Errorf("waiter %d: token %v after %v", i, g.Token(), last)
		}
		last = g.Token()
		release(t, g.Lease)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("%d hand-overs took %v: the waiters were not told", len(waiting), d)
	}
	t.Logf("half-way for %v, in which %d leases were kept and %d given; elsewhere the longest time without a grant was %v; "+
		"waiters subscribed again after %v, hand-overs took %v", round(took), len(kept), during,
		round(others.gap(begun, elsewhere)), round(subscribed), round(time.Since(start)))
}

// groups is a load of processes that take several keys at once.
type groups struct {
	stop chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex
	taken    int
	failed   int // without an answer
	overlaps int
	inside   map[string][]*lock.Lease
}

func startGroups(t *testing.T, keys []string, lockers ...*lock.Locker) *groups {
	g := &groups{stop: make(chan struct{}), inside: map[string][]*lock.Lease{}}
	for i, locks := range lockers {
		dice := rand.New(rand.NewPCG(1, uint64(i)))
		g.wg.Go(func() {
			for {
				select {
				case <-g.stop:
					return
				default:
				}
				some := slices.Clone(keys)
				dice.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
				if err := g.take(locks, some[:3]...); err != nil {
					t.Errorf("process %d: %v", i, err)
					return
				}
			}
		})
	}
	return g
}

func (g *groups) take(locks *lock.Locker, keys ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	group, err := locks.AcquireAll(ctx, keys...)
	g.mu.Lock()
	if err != nil {
		g.failed++
		g.mu.Unlock()
		var lost *lock.LostError
		if errors.Is(err, lock.ErrUnavailable) || errors.As(err, &lost) {
			return nil
		}
		return err
	}
	g.taken++
	for _, l := range group.Leases() {
		for _, other := range g.inside[l.Key()] {
			if l.Valid(0) && other.Valid(0) {
				g.overlaps++
			}
		}
		g.inside[l.Key()] = append(g.inside[l.Key()], l)
	}
	g.mu.Unlock()
	time.Sleep(2 * time.Millisecond)
	g.mu.Lock()
	for _, l := range group.Leases() {
		g.inside[l.Key()] = slices.DeleteFunc(g.inside[l.Key()], func(h *lock.Lease) bool { return h == l })
	}
	g.mu.Unlock()
	if err := group.Release(ctx); err != nil && !errors.Is(err, lock.ErrUncertain) && !errors.Is(err, lock.ErrNotHeld) {
		return err
	}
	return nil
}

func (g *groups) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.taken
}

func (g *groups) runs(t *testing.T, n int) {
	t.Helper()
	n += g.count()
	wait(t, "further groups", func() bool { return g.count() >= n })
}

func TestClusterAcquireAllUnderFaults(t *testing.T) {
	const ttl = 6 * time.Second
	for _, kill := range []bool{false, true} {
		t.Run(map[bool]string{true: "a primary is killed", false: "a slot moves"}[kill], func(t *testing.T) {
			c := startCluster(t, &testbed.ClusterOptions{PartialCoverage: true, NoReplicas: !kill})
			first := c.Nodes()[0]
			var keys []string
			for _, primary := range c.Nodes()[:3] {
				keys = append(keys, keysOn(t, c, primary, 2)...)
			}
			load := startGroups(t, keys, clusterLockers(t, c, 5, &lock.Options{TTL: ttl})...)
			load.runs(t, 50)
			begun := time.Now()
			if kill {
				first.Kill()
				if _, err := c.WaitFailover(soon(t), first); err != nil {
					t.Fatal(err)
				}
			} else {
				m := halfMoved(t, c, keys[0], c.Nodes()[1])
				wait(t, "it is half-way for a while", func() bool { return time.Since(begun) > 2*time.Second })
				if err := m.Finish(soon(t), 10); err != nil {
					t.Fatal(err)
				}
				if refusals(t, c, "TRYAGAIN") == 0 {
					t.Error("nobody was told to try again: the test shows nothing")
				}
			}
			took := time.Since(begun)
			load.runs(t, 50)
			again := time.Since(begun)
			close(load.stop)
			load.wg.Wait()
			if !kill && load.overlaps > 0 {
				t.Errorf("%d overlaps", load.overlaps)
			}
			p := newClusterProcess(t, c, nil, 0)
			for _, key := range keys {
				wait(t, "nothing is left of "+key, func() bool {
					s := p.inspect(t, key)
					return s.Holder == nil && s.Waiting == 0
				})
			}
			t.Logf("%d groups of 3 of %d keys, %d failed, %d overlaps; the fault lasted %v, 50 further groups after %v, all free after %v",
				load.taken, len(keys), load.failed, load.overlaps, round(took), round(again), round(time.Since(begun)))
		})
	}
}
