package lockfaults

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// newNetwork returns a network that ends with the test, after the processes that start from now
// on. The test must heal it, so that they can end in good order.
func newNetwork(t *testing.T) *faultnet.Network {
	n := faultnet.New(faultnet.Seed(t))
	t.Cleanup(n.Close)
	return n
}

// newProxy returns the address of a proxy in front of server.
func newProxy(t *testing.T, n *faultnet.Network, server *testbed.Redis) string {
	t.Helper()
	p, err := n.Proxy(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return p.Addr()
}

func TestLatencyAboveTheTTLMakesNobodyBelieve(t *testing.T) {
	t.Parallel()
	const ttl, margin = 3 * time.Second, time.Second
	server := testbed.StartRedis(t, nil)
	n := newNetwork(t)
	p := newProcessWith(t, through(n, recommended.Redis(server.Addr())), &lock.Options{TTL: ttl, Margin: margin})
	direct := newProcess(t, server.Addr(), &lock.Options{TTL: ttl})
	asked := time.Now()
	l := p.acquire(t, "held")
	next := direct.later(t, "held")
	stopped := make(chan time.Time, 1)
	context.AfterFunc(l.Context(), func() { stopped <- time.Now() })
	n.Set(both(faultnet.Faults{Latency: ttl / 2, Jitter: ttl / 4}))
	defer n.Heal()

	// There is no deadline but the library's own: a TTL without an answer, and one attempt.
	start := time.Now()
	tried, err := p.locks.Acquire(context.Background(), "wanted")
	took := time.Since(start)
	if tried != nil || !errors.Is(err, lock.ErrUncertain) || !errors.Is(err, lock.ErrUnavailable) {
		t.Errorf("acquire: %v, %v, want uncertain and unavailable", tried, err)
	}
	if most := ttl + time.Second + slack; took > most {
		t.Errorf("acquire took %v, want at most %v", took, most)
	}

	if lost, _ := lossOf(t, l); lost.Cause != lock.Unreachable {
		t.Errorf("%v, want unreachable", lost)
	}
	at, g := <-stopped, await(t, next)
	if l.Valid(0) || at.Sub(asked) >= ttl {
		t.Errorf("valid %t, stopped %v after it was asked for; by then the server had let go", l.Valid(0), at.Sub(asked))
	}
	if g.at.Before(at) {
		t.Errorf("granted to the next %v before the holder stopped", at.Sub(g.at))
	}
	if g.Token() <= l.Token() {
		t.Errorf("token %v after %v", g.Token(), l.Token())
	}
	release(t, g.Lease)

	// What arrived late has taken nothing for longer than a TTL.
	start = time.Now()
	release(t, direct.acquire(t, "wanted"))
	if d := time.Since(start); d > ttl+slack {
		t.Errorf("the key was free after %v, want at most the TTL", d)
	}
	late := n.Counts().Requests.Late
	if late == 0 {
		t.Error("no request was late")
	}
	t.Logf("acquire gave up after %v; the holder stopped after %v and the next was granted after %v; %d requests were late",
		round(took), round(at.Sub(asked)), round(g.at.Sub(asked)), late)
}

func TestHalfOpenHolderStopsAndIsFencedOut(t *testing.T) {
	t.Parallel()
	const ttl, margin = 3 * time.Second, time.Second
	server := testbed.StartRedis(t, nil)
	n := newNetwork(t)
	holder := newProcess(t, newProxy(t, n, server), &lock.Options{TTL: ttl, Margin: margin})
	other := newProcess(t, server.Addr(), &lock.Options{TTL: ttl})
	l := holder.acquire(t, "k")
	next := other.later(t, "k")

	n.Set(faultnet.Rules{HalfOpen: true})
	gone := time.Now()
	s := other.inspect(t, "k")
	if s.Holder == nil || s.Holder.Token != l.Token() {
		t.Fatalf("state %+v, want the holder with token %v", s.Holder, l.Token())
	}
	least := gone.Add(s.Holder.Left - 2*time.Millisecond) // in whole milliseconds, on another clock

	lost, at := lossOf(t, l)
	if lost.Cause != lock.Unreachable {
		t.Errorf("%v, want unreachable", lost)
	}
	if at.Before(l.Deadline()) || at.After(l.Deadline().Add(slack)) {
		t.Errorf("stopped %v after its deadline", at.Sub(l.Deadline()))
	}
	g := await(t, next)
	if g.at.Before(least) || g.at.Before(l.Deadline()) {
		t.Errorf("granted to the next after %v, the holder had %v left", g.at.Sub(gone), s.Holder.Left)
	}
	if d := g.at.Sub(gone); d > liveness(ttl, ttl)+slack {
		t.Errorf("granted after %v, want at most %v", d, liveness(ttl, ttl))
	}
	ctx := t.Context()
	if err := other.be.Guard().Raise(ctx, "data", g.Token()); err != nil {
		t.Fatal(err)
	}
	if err := other.be.Guard().Set(ctx, "data", g.Token(), "ours", 0); err != nil {
		t.Fatal(err)
	}

	n.Heal()
	// Connections that were hit are still in the client's pool: it takes a try to drop each.
	var err error
	wait(t, "the late write is answered", func() bool {
		err = holder.be.Guard().Set(ctx, "data", l.Token(), "late", 0)
		return err == nil || errors.Is(err, fence.ErrFenced)
	})
	if err == nil {
		t.Error("the late write was accepted")
	}
	if v := other.client.Get(ctx, "data").Val(); v != "ours" {
		t.Errorf("the data is %q", v)
	}
	release(t, g.Lease)
	c := n.Counts()
	if c.HalfOpen == 0 || c.Requests.LostBytes == 0 {
		t.Errorf("counts %+v, want half-open connections that lost requests", c)
	}
	t.Logf("stopped %v and the next granted %v after the peer was gone; %d connections half-open",
		round(at.Sub(gone)), round(g.at.Sub(gone)), c.HalfOpen)
}

// drained waits until the server has read all that was held back: every connection that the client
// has given up is closed.
func drained(t *testing.T, n *faultnet.Network, p *process) {
	t.Helper()
	wait(t, "the server has read what was held back", func() bool {
		pool := p.client.PoolStats()
		return n.Counts().Open <= int(pool.TotalConns+pool.PubSubStats.Active)
	})
}

// stall holds back what p sends or is sent while it gives up an acquire after patience, and lets it
// go then. executed says whether the server has seen it before.
func stall(t *testing.T, rules faultnet.Rules, executed bool, patience time.Duration) {
	const ttl = 6 * time.Second
	server := testbed.StartRedis(t, nil)
	n := newNetwork(t)
	p := newProcess(t, newProxy(t, n, server), &lock.Options{TTL: ttl})
	other := newProcess(t, server.Addr(), &lock.Options{TTL: ttl})
	release(t, p.acquire(t, "k")) // its connection is open, its scripts are loaded

	n.Set(rules)
	defer n.Heal()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := p.locks.Acquire(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, lock.ErrUncertain) {
		t.Errorf("acquire: %v, want the deadline and uncertain", err)
	}
	if c := n.Counts(); c.Requests.Stalled+c.Replies.Stalled == 0 {
		t.Errorf("counts %+v, want something held back", c)
	}
	if executed {
		wait(t, "the request is executed", func() bool { return other.inspect(t, "k").Holder != nil })
	} else if s := other.inspect(t, "k"); s.Holder != nil {
		t.Errorf("holder %+v, want none while requests are held back", s.Holder)
	}

	n.Heal()
	healed := time.Now()
	l := other.acquire(t, "k")
	took := time.Since(healed)
	if took > ttl+slack {
		t.Errorf("granted %v after it was healed, want at most the TTL", took)
	}
	wait(t, "the clean-up has ended", func() bool { return p.cleaned.Load() == 1 })
	drained(t, n, p)
	if s := other.inspect(t, "k"); s.Holder == nil || s.Holder.Token != l.Token() || s.Waiting != 0 {
		t.Errorf("state %+v, want the one holder", s)
	}
	release(t, l)
	if s := other.inspect(t, "k"); s.Holder != nil || s.Waiting != 0 {
		t.Errorf("a ghost: %+v", s)
	}
	t.Logf("granted to another %v after it was healed", round(took))
}

func TestStallLeavesNoGhost(t *testing.T) {
	t.Parallel()
	held := faultnet.Faults{Stall: true}
	// A request is given up after 500 ms, and its connection closed.
	for name, patience := range map[string]time.Duration{
		"while the request is tried": 250 * time.Millisecond,
		"after it was given up":      750 * time.Millisecond,
	} {
		t.Run("requests "+name, func(t *testing.T) {
			t.Parallel()
			stall(t, faultnet.Rules{Requests: held}, false, patience)
		})
		t.Run("replies "+name, func(t *testing.T) {
			t.Parallel()
			stall(t, faultnet.Rules{Replies: held}, true, patience)
		})
	}
}

// A write is under way while its lease ends, and arrives when another holds the lock.
func TestStalledWriteIsFencedOut(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	server := testbed.StartRedis(t, nil)
	n := newNetwork(t)
	p := newProcess(t, newProxy(t, n, server), &lock.Options{TTL: ttl})
	other := newProcess(t, server.Addr(), nil)
	l := p.acquire(t, "k")
	ctx := t.Context()
	write := func(p *process, l *lock.Lease, value string) error {
		return p.be.Guard().Set(ctx, "data", l.Token(), value, 0)
	}
	if err := write(p, l, "in time"); err != nil { // and the script is loaded
		t.Fatal(err)
	}
	n.Set(faultnet.Rules{Requests: faultnet.Faults{Stall: true}})
	defer n.Heal()
	if err := write(p, l, "late"); err == nil || errors.Is(err, fence.ErrFenced) {
		t.Errorf("write that is held back: %v, want a failure", err)
	}
	if n.Counts().Requests.Stalled == 0 {
		t.Error("nothing was held back")
	}
	next := other.acquire(t, "k")
	if err := other.be.Guard().Raise(ctx, "data", next.Token()); err != nil {
		t.Fatal(err)
	}
	if lost, _ := lossOf(t, l); lost.Cause != lock.Unreachable {
		t.Errorf("%v, want unreachable", lost)
	}
	n.Heal()
	drained(t, n, p)
	if v := other.client.Get(ctx, "data").Val(); v != "in time" {
		t.Errorf("the data is %q: the late write was accepted", v)
	}
	if err := write(other, next, "ours"); err != nil {
		t.Error(err)
	}
	release(t, next)
}

// weathers are the rules of a network over time, each with a count that shows that it has hit.
var weathers = []struct {
	what  string
	rules faultnet.Rules
	hits  func(faultnet.Counts) int
}{
	{"late chunks", both(faultnet.Faults{Latency: 5 * time.Millisecond, Jitter: 50 * time.Millisecond}),
		func(c faultnet.Counts) int { return c.Requests.Late + c.Replies.Late }},
	{"lost requests", faultnet.Rules{Requests: faultnet.Faults{Lose: 0.1}},
		func(c faultnet.Counts) int { return c.Requests.Lost }},
	{"lost replies", faultnet.Rules{Replies: faultnet.Faults{Lose: 0.1}},
		func(c faultnet.Counts) int { return c.Replies.Lost }},
	{"resets", both(faultnet.Faults{Reset: 0.1}),
		func(c faultnet.Counts) int { return c.Requests.Resets + c.Replies.Resets }},
	{"stalled requests", faultnet.Rules{Requests: faultnet.Faults{Stall: true}},
		func(c faultnet.Counts) int { return c.Requests.Stalled }},
	{"stalled replies", faultnet.Rules{Replies: faultnet.Faults{Stall: true}},
		func(c faultnet.Counts) int { return c.Replies.Stalled }},
	{"half-open connections", faultnet.Rules{HalfOpen: true},
		func(c faultnet.Counts) int { return c.HalfOpen }},
	{"cut or refused connections", faultnet.Rules{Cut: true},
		func(c faultnet.Counts) int { return c.Cut + c.Refused }},
}

func both(f faultnet.Faults) faultnet.Rules { return faultnet.Rules{Requests: f, Replies: f} }

// weather lets each fault reign once, in an order and for times from the seed: until it has hit,
// and up to 200 ms more. Between them it is fine.
func weather(t *testing.T, n *faultnet.Network, dice *rand.Rand) {
	for _, i := range dice.Perm(len(weathers)) {
		w, before := weathers[i], n.Counts()
		happened(t, n, "fine weather", func(c faultnet.Counts) bool { return c.Replies.Chunks > before.Replies.Chunks })
		n.Set(w.rules)
		happened(t, n, w.what, func(c faultnet.Counts) bool { return w.hits(c) > w.hits(before) })
		time.Sleep(time.Duration(dice.IntN(200)) * time.Millisecond)
		n.Heal()
		time.Sleep(time.Duration(dice.IntN(400)) * time.Millisecond)
	}
}

// happened returns when reached is true of the counts.
func happened(t *testing.T, n *faultnet.Network, what string, reached func(faultnet.Counts) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), eventually)
	defer cancel()
	if err := n.Await(ctx, reached); err != nil {
		t.Errorf("%s: %v, counts %+v", what, err, n.Counts())
	}
}

func TestHistoryInBadWeatherOnRedis(t *testing.T) {
	n := newNetwork(t)
	until := make(chan struct{})
	w := workload{
		clients: 6, rounds: 300, until: until, ttl: time.Second, hold: 20 * time.Millisecond,
		tries: 0.3, hasty: 0.1, seed: n.Seed(),
	}
	server := testbed.StartRedis(t, nil)
	proxy := newProxy(t, n, server)
	clients := 0
	join := func(o *lock.Options) *lock.Locker {
		clients++
		if clients%2 == 0 {
			return newProcess(t, proxy, o).locks
		}
		return newProcessWith(t, through(n, recommended.Redis(server.Addr())), o).locks
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(until)
		dice := rand.New(rand.NewPCG(w.seed, 0))
		for range 2 {
			weather(t, n, dice)
		}
	})
	w.run(t, join, func() (hits []hit) {
		for _, w := range weathers {
			hits = append(hits, hit{w.what, w.hits(n.Counts())})
		}
		return hits
	})
	wg.Wait()
}

// Every hand-off is met by a reset of all connections, at an instant from the seed.
func TestResetStormKeepsOneHolder(t *testing.T) {
	t.Parallel()
	const processes, turns, within = 6, 12, 3 * time.Millisecond
	server := testbed.StartRedis(t, nil)
	n := newNetwork(t)
	proxy := newProxy(t, n, server)
	ctx, cancel := context.WithTimeout(t.Context(), 4*eventually)
	defer cancel()

	handoffs := make(chan struct{}, processes*turns)
	var storm sync.WaitGroup
	storm.Go(func() {
		dice := rand.New(rand.NewPCG(n.Seed(), 0))
		for range handoffs {
			time.Sleep(time.Duration(dice.Float64() * float64(within)))
			n.Reset()
		}
	})
	var holders, uncertain atomic.Int64
	var last fence.Token // guarded by the lock itself
	turn := func(p *process) error {
		l, err := p.locks.Acquire(ctx, "k")
		if err != nil {
			return err
		}
		if h := holders.Add(1); h != 1 {
			t.Errorf("%d holders at once", h)
		}
		if l.Token() <= last {
			t.Errorf("token %v after %v", l.Token(), last)
		}
		last = l.Token()
		time.Sleep(within) // what is under way meanwhile is hit as well
		if !l.Valid(0) {
			t.Errorf("lost: %v", context.Cause(l.Context()))
		}
		holders.Add(-1)
		handoffs <- struct{}{}
		if err = l.Release(ctx); errors.Is(err, lock.ErrUncertain) {
			uncertain.Add(1)
			return nil
		}
		return err
	}
	var wg sync.WaitGroup
	start := time.Now()
	for i := range processes {
		p := newProcess(t, proxy, nil) // with a TTL that nothing here outlasts
		wg.Go(func() {
			for range turns {
				if err := turn(p); err != nil {
					t.Errorf("process %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	close(handoffs)
	storm.Wait()
	reset := n.Counts().Reset
	if reset < processes*turns {
		t.Errorf("%d connections were reset in %d turns: the test shows little", reset, processes*turns)
	}
	t.Logf("%d turns in %v, %d connections reset, %d releases of unknown outcome",
		processes*turns, round(took), reset, uncertain.Load())
}
