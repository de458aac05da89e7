package redisbackend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/ratelimit"
)

var sharing = &Options{CoalesceLimits: true}

func TestSharedLimits(t *testing.T) {
	client := connect(t, address(t))
	backendtest.Limits(t, func(t *testing.T) ratelimit.Backend { return open(t, client, sharing).Limits() })
}

// Requests are shared in pipelines, which not every client has.
func TestSharingNeedsPipelines(t *testing.T) {
	var bare struct{ Client }
	bare.Client = redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { _ = bare.Client.(*redis.Client).Close() }()
	if _, err := New(bare, sharing); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "Pipeline") {
		t.Errorf("%v", err)
	}
}

// gate stands before the server, and lets requests with scripts through one by one until it is opened.
type gate struct {
	arrive chan int // gets the number of commands of each request
	pass   chan struct{}
	opened chan struct{}
	once   sync.Once
}

func newGate() *gate {
	return &gate{arrive: make(chan int), pass: make(chan struct{}), opened: make(chan struct{})}
}

func (g *gate) stop(cmds ...redis.Cmder) {
	if name := cmds[0].Name(); name != "evalsha" && name != "eval" {
		return
	}
	select {
	case g.arrive <- len(cmds):
	case <-g.opened:
	}
	select {
	case <-g.pass:
	case <-g.opened:
	}
}

// open lets the requests through that wait, and all that come.
func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

func (g *gate) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		g.stop(cmd)
		return next(ctx, cmd)
	}
}

func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		g.stop(cmds...)
		return next(ctx, cmds)
	}
}

// calls are callers of a backend, each on a goroutine of its own.
type calls struct {
	t   *testing.T
	be  *Backend
	all sync.WaitGroup
}

// call asks, and returns where the outcomes come.
func (c *calls) call(ctx context.Context, ops ...ratelimit.Op) <-chan []ratelimit.Outcome {
	done := make(chan []ratelimit.Outcome, 1)
	c.all.Go(func() {
		out := make([]ratelimit.Outcome, len(ops))
		c.be.Limits().Apply(ctx, ops, out)
		done <- out
	})
	return done
}

// queued is how many ops wait.
func (c *calls) queued() int {
	s := c.be.limits.lanes
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.only.queued
}

// flights is how many requests are under way.
func (c *calls) flights() int {
	s := c.be.limits.lanes
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.only.flights
}

// queue is a call that has to wait, behind so many ops.
func (c *calls) queue(ctx context.Context, behind int, ops ...ratelimit.Op) <-chan []ratelimit.Outcome {
	c.t.Helper()
	done := c.call(ctx, ops...)
	eventually(c.t, "the call waits", func() bool { return c.queued() == behind+len(ops) })
	return done
}

// held is a backend whose calls share requests, with as many under way, and held up, as may be.
func held(t *testing.T, client *redis.Client) (*calls, *gate) {
	t.Helper()
	c := &calls{t: t, be: open(t, client, sharing)}
	p := hourly(t, ratelimit.TokenBucket, 1000)
	decide(t, c.be, take(p, "warm", 1)) // loads the script
	g := newGate()
	client.AddHook(g)
	t.Cleanup(c.all.Wait)
	t.Cleanup(g.open)
	for i := range maxFlights {
		c.call(within(t, 20*time.Second), take(p, fmt.Sprint("warm", i), 1))
		if n := <-g.arrive; n != 1 {
			t.Fatalf("%d commands", n)
		}
	}
	return c, g
}

// what is the only outcome of a call.
func what(t *testing.T, done <-chan []ratelimit.Outcome) ratelimit.Outcome {
	t.Helper()
	select {
	case out := <-done:
		return out[0]
	case <-time.After(20 * time.Second):
		t.Fatal("the call has not returned")
		panic("unreachable")
	}
}

// Every caller gets the answer to its own call, and what is left tells them apart: each of many callers of
// a key found another number.
func TestSharedLimitsAnswerEachCallOnce(t *testing.T) {
	for _, pool := range []int{0, 1} {
		o := clientOptions(address(t))
		o.PoolSize = pool
		client := redis.NewClient(o)
		t.Cleanup(func() { _ = client.Close() })
		c := &calls{t: t, be: open(t, client, sharing)}
		const callers, rounds, keys, units = 64, 60, 5, 5000
		for _, a := range []ratelimit.Algorithm{ratelimit.TokenBucket, ratelimit.StrictWindow} {
			p := hourly(t, a, units)
			var found [keys]sync.Map
			var count [keys]atomic.Int64
			for n := range callers {
				c.all.Go(func() {
					for r := range rounds {
						ops := make([]ratelimit.Op, 1+(n+r)%3)
						for i := range ops {
							ops[i] = take(p, fmt.Sprint("k", (n*r+i/2)%keys), 1)
						}
						out := make([]ratelimit.Outcome, len(ops))
						c.be.Limits().Apply(within(t, 20*time.Second), ops, out)
						for i, o := range out {
							k := (n*r + i/2) % keys
							count[k].Add(1)
							if o.Err != nil || !o.Decision.Allowed {
								t.Errorf("%+v", o)
							} else if _, twice := found[k].LoadOrStore(o.Decision.Remaining, true); twice {
								t.Errorf("%v: two callers of key %d were told that %d are left", a, k, o.Decision.Remaining)
							}
							if i == 1 && out[0].Decision.Remaining <= o.Decision.Remaining {
								t.Errorf("%v: a later op found %d left, the one before %d", a, o.Decision.Remaining, out[0].Decision.Remaining)
							}
						}
					}
				})
			}
			c.all.Wait()
			for k := range keys {
				left(t, c.be, p, fmt.Sprint("k", k), units-count[k].Load())
			}
		}
		eventually(t, "nothing is under way", func() bool { return c.queued() == 0 && c.flights() == 0 })
	}
}

// As many calls as may be go by themselves, and all that come meanwhile are one request. A call alone is one
// command by itself.
func TestTripsOfSharedLimits(t *testing.T) {
	client := connect(t, address(t))
	c, g := held(t, client)
	var h hook
	var p pipes
	client.AddHook(&h)
	client.AddHook(&p)
	bucket := hourly(t, ratelimit.TokenBucket, 1000)
	const callers = 64
	var done []<-chan []ratelimit.Outcome
	for i := range callers {
		done = append(done, c.queue(within(t, 20*time.Second), i, take(bucket, fmt.Sprint("k", i%7), 1)))
	}
	g.open()
	for _, d := range done {
		if o := what(t, d); o.Err != nil || !o.Decision.Allowed {
			t.Errorf("%+v", o)
		}
	}
	if p.requests.Load() != 1 || p.commands.Load() != callers {
		t.Errorf("%d requests with %d commands", p.requests.Load(), p.commands.Load())
	}
	c.all.Wait()
	eventually(t, "nothing is under way", func() bool { return c.queued() == 0 && c.flights() == 0 })
	h.take()
	for range 3 {
		decide(t, c.be, take(bucket, "k", 1))
	}
	if scripts, sources, others := h.take(); scripts != 3 || sources+others != 0 || p.requests.Load() != 1 {
		t.Errorf("calls alone: %d EVALSHA, %d EVAL, %d others, %d shared", scripts, sources, others, p.requests.Load()-1)
	}
}

// In a cluster every node has a lane of its own, as long as something is under way to it.
func TestLanesOfACluster(t *testing.T) {
	s := &lanes{l: &limits{b: &Backend{}}, busy: map[pipeliner]*lane{}}
	near, far := connect(t, "127.0.0.1:1"), connect(t, "127.0.0.1:2")
	var ways []*lane
	for _, node := range []pipeliner{near, far, near, far} {
		way, c, err := s.enter(context.Background(), node, nil)
		if c != nil || err != nil || way.node != node {
			t.Fatalf("%+v, %+v, %v", way, c, err)
		}
		ways = append(ways, way)
	}
	if ways[0] != ways[2] || ways[1] != ways[3] {
		t.Error("two lanes to one node")
	}
	for i, way := range ways {
		if len(s.busy) != min(2, 4-i) {
			t.Errorf("%d lanes after %d calls", len(s.busy), i)
		}
		s.land(way)
	}
	if len(s.busy) != 0 {
		t.Errorf("%d lanes are left", len(s.busy))
	}
}

// The queue is bounded, and says so.
func TestQueueOfSharedLimitsIsBounded(t *testing.T) {
	c, g := held(t, connect(t, address(t)))
	p := hourly(t, ratelimit.TokenBucket, 1_000_000)
	ops := make([]ratelimit.Op, maxQueued-1)
	for i := range ops {
		ops[i] = take(p, "k", 1)
	}
	many := c.queue(within(t, 20*time.Second), 0, ops...)
	var out [2]ratelimit.Outcome
	c.be.Limits().Apply(within(t, 20*time.Second), ops[:2], out[:])
	for _, o := range out {
		if !errors.Is(o.Err, errCrowded) || !errors.Is(o.Err, ratelimit.ErrUnavailable) || !strings.Contains(o.Err.Error(), fmt.Sprint(maxQueued)) {
			t.Errorf("no room: %+v", o)
		}
	}
	last := c.queue(within(t, 20*time.Second), maxQueued-1, take(p, "k", 1))
	g.open()
	if o := what(t, last); o.Err != nil {
		t.Errorf("%+v", o)
	}
	for i, o := range <-many {
		if o.Err != nil || !o.Decision.Allowed {
			t.Fatalf("op %d: %+v", i, o)
		}
	}
	left(t, c.be, p, "k", 1_000_000-maxQueued)
}

// A request lasts for the caller that waits longest.
func TestSharedRequestLastsForTheLatest(t *testing.T) {
	var f flight
	early, late := within(t, time.Second), within(t, time.Minute/2)
	for _, ctx := range []context.Context{early, late, early} {
		f.add(newLimitCall(ctx, nil))
	}
	if want, _ := late.Deadline(); f.until != want {
		t.Errorf("until %v, want %v", f.until, want)
	}
	before := time.Now()
	f.add(newLimitCall(context.Background(), nil))
	if f.until.Before(before.Add(openEnd)) || f.until.After(time.Now().Add(openEnd)) {
		t.Errorf("without a deadline until %v", f.until)
	}
}

// What a server without scripts has not executed is asked again together, and that of one caller does not
// hold back another's on the same key.
func TestSharedLimitsAfterScriptFlush(t *testing.T) {
	client := connect(t, address(t))
	c, g := held(t, client)
	var h pipes
	client.AddHook(&h)
	p := hourly(t, ratelimit.TokenBucket, 100)
	var done []<-chan []ratelimit.Outcome
	for i := range 20 {
		done = append(done, c.queue(within(t, 20*time.Second), i, take(p, fmt.Sprint("k", i%4), 1)))
	}
	h.instead = func(cmds []redis.Cmder, next func([]redis.Cmder) error) error {
		h.instead = nil
		for _, cmd := range cmds[:18] {
			cmd.SetErr(serverError("NOSCRIPT No matching script"))
		}
		return next(cmds[18:])
	}
	g.open()
	for _, d := range done {
		if o := what(t, d); o.Err != nil || !o.Decision.Allowed {
			t.Errorf("%+v", o)
		}
	}
	for k := range 4 {
		left(t, c.be, p, fmt.Sprint("k", k), 95)
	}
}

// A server that has lost its scripts is asked twice, however many ops there are.
func TestTripsAfterScriptFlush(t *testing.T) {
	be, h, client := counted(t)
	var p pipes
	client.AddHook(&p)
	if err := client.ScriptFlush(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	h.take()
	bucket, strict := hourly(t, ratelimit.TokenBucket, 100), hourly(t, ratelimit.StrictWindow, 100)
	ops, out := make([]ratelimit.Op, 100), make([]ratelimit.Outcome, 100)
	for i := range ops {
		ops[i] = take([]*ratelimit.Policy{bucket, strict}[i%2], fmt.Sprint("k", i%10), 1)
	}
	be.Limits().Apply(within(t, 20*time.Second), ops, out)
	for i, o := range out {
		if o.Err != nil || o.Decision.Remaining != 99-int64(i/10) {
			t.Errorf("op %d: %+v", i, o)
		}
	}
	if n := p.requests.Load(); n != 1 {
		t.Errorf("%d requests without the scripts", n)
	}
	if scripts, sources, _ := h.take(); scripts+sources != 0 {
		t.Errorf("beside them %d EVALSHA, %d EVAL", scripts, sources)
	}
}

// Keys that have to be changed over to a new policy are, in one more request.
func TestTripsOfSharedMigration(t *testing.T) {
	client := connect(t, address(t))
	c, g := held(t, client)
	from := hourly(t, ratelimit.TokenBucket, 100)
	to := changedTo(t, from, hourly(t, ratelimit.TokenBucket, 200), ratelimit.AsIs, 1)
	other := open(t, nil, &Options{Prefix: c.be.opt.Prefix})
	const keys = 50
	for i := range keys {
		decide(t, other, take(from, fmt.Sprint("k", i), 1))
	}
	decide(t, other, peek(from, "k")) // loads the other script
	var h pipes
	client.AddHook(&h)
	var done []<-chan []ratelimit.Outcome
	for i := range keys {
		done = append(done, c.queue(within(t, 20*time.Second), i, take(to, fmt.Sprint("k", i), 1)))
	}
	g.open()
	for _, d := range done {
		if o := what(t, d); o.Err != nil || !o.Decision.Allowed {
			t.Errorf("%+v", o)
		}
	}
	if h.requests.Load() != 2 || h.commands.Load() != 2*keys {
		t.Errorf("%d requests with %d commands", h.requests.Load(), h.commands.Load())
	}
}
