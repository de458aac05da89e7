package redisbackend

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/ratelimit"
)

func TestLimits(t *testing.T) {
	client := connect(t, address(t))
	backendtest.Limits(t, func(t *testing.T) ratelimit.Backend { return open(t, client, nil).Limits() })
}

// hourly is a policy of one limit that refills too slowly to matter.
func hourly(t *testing.T, a ratelimit.Algorithm, n int64) *ratelimit.Policy {
	t.Helper()
	p, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "l", N: n, Per: 366 * 24 * time.Hour, Algorithm: a})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func take(p *ratelimit.Policy, key string, n int64) ratelimit.Op {
	return ratelimit.Op{Kind: ratelimit.OpTake, Key: key, Policy: p, N: n}
}

func peek(p *ratelimit.Policy, key string) ratelimit.Op {
	return ratelimit.Op{Kind: ratelimit.OpPeek, Key: key, Policy: p, N: 1}
}

// left wants so many units to be there.
func left(t *testing.T, be *Backend, p *ratelimit.Policy, key string, want int64) {
	t.Helper()
	if d := decide(t, be, peek(p, key)); d.Remaining != want {
		t.Errorf("%d left of %q, want %d", d.Remaining, key, want)
	}
}

// pipes stands between client and server where several commands go in one request.
type pipes struct {
	requests, commands atomic.Int64
	instead            func(cmds []redis.Cmder, next func([]redis.Cmder) error) error
}

func (p *pipes) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (p *pipes) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (p *pipes) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() != "evalsha" {
			return next(ctx, cmds)
		}
		p.requests.Add(1)
		p.commands.Add(int64(len(cmds)))
		if p.instead != nil {
			return p.instead(cmds, func(cmds []redis.Cmder) error { return next(ctx, cmds) })
		}
		return next(ctx, cmds)
	}
}

// changedTo returns a policy as it comes into force after another.
func changedTo(t *testing.T, from, to *ratelimit.Policy, how ratelimit.Migration, version int64) *ratelimit.Policy {
	t.Helper()
	l, err := ratelimit.New(&limits{b: &Backend{}}, from, nil)
	if err == nil {
		err = l.SetPolicy(to, how, version)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return l.Policy()
}

// A decision is one request, whatever the policy, and a batch is one request for up to 128.
func TestTripsOfLimits(t *testing.T) {
	be, h, client := counted(t)
	var p pipes
	client.AddHook(&p)
	bucket, strict := hourly(t, ratelimit.TokenBucket, 1000), hourly(t, ratelimit.StrictWindow, 1000)
	for _, policy := range []*ratelimit.Policy{bucket, strict} {
		for kind := ratelimit.OpTake; kind <= ratelimit.OpReset; kind++ {
			op := ratelimit.Op{Kind: kind, Key: "k", Policy: policy, N: 1}
			decide(t, be, op) // also loads what the server may not have
			h.take()
			decide(t, be, op)
			if scripts, sources, others := h.take(); scripts != 1 || sources+others != 0 {
				t.Errorf("kind %d: %d EVALSHA, %d EVAL, %d others", kind, scripts, sources, others)
			}
		}
	}

	ops := make([]ratelimit.Op, 300)
	for i := range ops {
		ops[i] = take(bucket, fmt.Sprint("k", i%50), 1)
	}
	out := make([]ratelimit.Outcome, len(ops))
	be.Limits().Apply(within(t, 5*time.Second), ops, out)
	for i, o := range out {
		if o.Err != nil || o.Decision.Remaining != 999-int64(i/50) {
			t.Fatalf("op %d: %+v", i, o)
		}
	}
	if p.requests.Load() != 3 || p.commands.Load() != 300 {
		t.Errorf("%d requests with %d commands", p.requests.Load(), p.commands.Load())
	}
	if scripts, sources, _ := h.take(); scripts+sources != 0 {
		t.Errorf("beside the batch: %d EVALSHA, %d EVAL", scripts, sources)
	}
}

// The first call for a key after a change of policy takes one more request, further ones do not, and not
// even that where nothing had been counted.
func TestTripsOfMigration(t *testing.T) {
	be, h, _ := counted(t)
	for _, a := range []ratelimit.Algorithm{ratelimit.TokenBucket, ratelimit.FixedWindow} {
		from := hourly(t, a, 10)
		to := changedTo(t, from, hourly(t, a, 20), ratelimit.Proportional, 1)
		decide(t, be, peek(from, "warm"))
		decide(t, be, take(from, a.String(), 10))
		h.take()
		for i, want := range []int64{2, 1, 1} { // a refusal migrates, too
			if d := decide(t, be, take(to, a.String(), 1)); d.Allowed {
				t.Errorf("%v: %+v", a, d)
			}
			if scripts, sources, others := h.take(); scripts != want || sources+others != 0 {
				t.Errorf("%v: call %d: %d EVALSHA, %d EVAL, %d others", a, i, scripts, sources, others)
			}
		}
		decide(t, be, take(to, "new", 1))
		if scripts, _, _ := h.take(); scripts != 1 {
			t.Errorf("%v: %d requests for a key without history", a, scripts)
		}
	}
}

// Processes that change over at the same time migrate a state once.
func TestMigrationsAtOnce(t *testing.T) {
	be, _, _ := counted(t)
	from := hourly(t, ratelimit.StrictWindow, 1000)
	to := changedTo(t, from, hourly(t, ratelimit.StrictWindow, 2000), ratelimit.Proportional, 1)
	const calls = 64
	for round := range 5 {
		key := fmt.Sprint("k", round)
		decide(t, be, take(from, key, 500))
		var all sync.WaitGroup
		for range calls {
			all.Go(func() {
				var out [2]ratelimit.Outcome
				be.Limits().Apply(within(t, 5*time.Second), []ratelimit.Op{take(to, key, 1), take(to, key, 1)}, out[:])
				for _, o := range out {
					if errors.Is(o.Err, errOvertaken) {
						continue
					}
					if o.Err != nil || !o.Decision.Allowed {
						t.Errorf("%+v", o)
					}
				}
			})
		}
		all.Wait()
		if d := decide(t, be, peek(to, key)); d.Remaining < 1000-2*calls || d.Remaining > 1000-calls {
			t.Errorf("%d left, want %d to %d", d.Remaining, 1000-2*calls, 1000-calls)
		}
	}
}

// Processes on both sides of a change to another algorithm do not make each other begin anew.
func TestShapesDoNotDisturbEachOther(t *testing.T) {
	be, _, _ := counted(t)
	from := hourly(t, ratelimit.FixedWindow, 10)
	to := changedTo(t, from, hourly(t, ratelimit.TokenBucket, 10), ratelimit.AsIs, 1)
	for i := range 30 {
		for _, p := range []*ratelimit.Policy{from, to} {
			if d := decide(t, be, take(p, "k", 1)); d.Allowed != (i < 10) {
				t.Errorf("call %d: %+v", i, d)
			}
		}
	}
}

// Nothing is kept of keys of which nothing counts, and what counts goes when it does not any more.
func TestNothingIsLeftOfLimits(t *testing.T) {
	be, _, client := counted(t)
	ctx := context.Background()
	for _, a := range []ratelimit.Algorithm{ratelimit.TokenBucket, ratelimit.FixedWindow, ratelimit.SlidingWindow, ratelimit.StrictWindow} {
		p := hourly(t, a, 10)
		name := be.names.limit(p.Shape(), "k")
		exists := func(what string, want int64) {
			t.Helper()
			if n := client.Exists(ctx, name).Val(); n != want {
				t.Errorf("%v: %s: %d keys, want %d", a, what, n, want)
			}
		}
		give := ratelimit.Op{Kind: ratelimit.OpGive, Key: "k", Policy: p, N: 10}
		decide(t, be, peek(p, "k"))
		exists("peek", 0)
		decide(t, be, give)
		exists("give without history", 0)
		decide(t, be, take(p, "k", 10))
		exists("take", 1)
		before := client.Dump(ctx, name).Val()
		decide(t, be, take(p, "k", 1))
		decide(t, be, peek(p, "k"))
		if client.Dump(ctx, name).Val() != before {
			t.Errorf("%v: a refusal or a peek has written", a)
		}
		decide(t, be, give)
		exists("give of all", 0)
		decide(t, be, take(p, "k", 10))
		decide(t, be, ratelimit.Op{Kind: ratelimit.OpReset, Key: "k", Policy: p})
		exists("reset", 0)

		short, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "l", N: 10, Per: 50 * time.Millisecond, Algorithm: a})
		if err != nil {
			t.Fatal(err)
		}
		d := decide(t, be, take(short, "k", 10))
		if life := client.PTTL(ctx, name).Val(); life > d.ResetAfter+2*time.Millisecond {
			t.Errorf("%v: lives %v, nothing counts after %v", a, life, d.ResetAfter)
		}
		eventually(t, "the state goes", func() bool { return client.Exists(ctx, name).Val() == 0 })
	}
}
