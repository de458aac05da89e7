package etcdbackend

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/ratelimit"
)

func limitPolicy(t testing.TB, l ...ratelimit.Limit) *ratelimit.Policy {
	t.Helper()
	p, err := ratelimit.NewPolicy(l...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// slow is a limit that does not fill up during a test.
var slow = ratelimit.Limit{Name: "slow", N: 1, Per: 24 * time.Hour, Burst: 50}

func apply(t testing.TB, be *Backend, ops ...ratelimit.Op) []ratelimit.Outcome {
	t.Helper()
	out := make([]ratelimit.Outcome, len(ops))
	be.Limits().Apply(within(t, 10*time.Second), ops, out)
	return out
}

// Two processes with many goroutines let exactly the burst through.
func TestLimitIsSharedExactly(t *testing.T) {
	client := connect(t, endpoints(t))
	one := open(t, client, nil)
	two := open(t, client, &Options{Prefix: one.opt.Prefix})
	p := limitPolicy(t, slow)
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		be := []*Backend{one, two}[i%2]
		wg.Go(func() {
			for range 5 {
				out := apply(t, be, ratelimit.Op{Kind: ratelimit.OpTake, Key: "k", Policy: p, N: 1})
				if out[0].Err != nil {
					t.Error(out[0].Err)
				} else if out[0].Decision.Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := allowed.Load(); n != 50 {
		t.Errorf("%d of 50 allowed", n)
	}
	if out := apply(t, one, ratelimit.Op{Kind: ratelimit.OpPeek, Key: "k", Policy: p, N: 1}); out[0].Decision.Allowed || out[0].Decision.Remaining != 0 {
		t.Errorf("%+v", out[0])
	}
}

// The verbs of a limit, in one call, where those on one key are executed in order.
func TestLimitVerbs(t *testing.T) {
	be := open(t, nil, nil)
	p := limitPolicy(t, slow, ratelimit.Limit{Name: "window", N: 40, Per: 24 * time.Hour, Algorithm: ratelimit.StrictWindow})
	op := func(kind ratelimit.OpKind, key string, n int64) ratelimit.Op {
		return ratelimit.Op{Kind: kind, Key: key, Policy: p, N: n}
	}
	out := apply(t, be,
		op(ratelimit.OpTake, "a", 30), op(ratelimit.OpTake, "b/%", 1), op(ratelimit.OpTake, "a", 11), op(ratelimit.OpGive, "a", 5),
		op(ratelimit.OpPeek, "a", 15), op(ratelimit.OpCharge, "a", 20), op(ratelimit.OpTake, "a", 1), op(ratelimit.OpReset, "a", 0), op(ratelimit.OpTake, "a", 40),
	)
	want := []struct {
		allowed bool
		limit   string
		left    int64
	}{
		{true, "window", 10}, {true, "window", 39}, {false, "window", 10}, {true, "window", 15}, {true, "window", 15},
		{true, "window", 0}, {false, "window", 0}, {true, "window", 40}, {true, "window", 0},
	}
	for i, w := range want {
		if d := out[i].Decision; out[i].Err != nil || d.Allowed != w.allowed || d.Limit != w.limit || d.Remaining != w.left {
			t.Errorf("op %d: %+v, want %+v", i, out[i], w)
		}
	}
}

// A state lies on a lease that outlasts what it counts, a few leases serve for all, and one that is gone
// is replaced.
func TestLimitStatesEnd(t *testing.T) {
	client := connect(t, endpoints(t))
	be := open(t, client, nil)
	ctx := within(t, 10*time.Second)
	leases := map[int64]bool{}
	for i, per := range []time.Duration{time.Second, time.Second, time.Minute, time.Hour} {
		p := limitPolicy(t, ratelimit.Limit{Name: "l", N: 1, Per: per})
		key := string(rune('a' + i))
		if out := apply(t, be, ratelimit.Op{Kind: ratelimit.OpTake, Key: key, Policy: p, N: 1}); out[0].Err != nil {
			t.Fatal(out[0].Err)
		}
		r, err := client.Get(ctx, be.names.limit(p.Shape(), key))
		if err != nil || len(r.Kvs) != 1 {
			t.Fatal(r, err)
		}
		ttl, err := client.TimeToLive(ctx, clientv3.LeaseID(r.Kvs[0].Lease))
		if err != nil {
			t.Fatal(err)
		}
		left := time.Duration(ttl.TTL) * time.Second
		if left < per || left > 4*per+4*leastLife {
			t.Errorf("what counts for %v is kept for %v", per, left)
		}
		leases[r.Kvs[0].Lease] = true
	}
	if len(leases) != 3 {
		t.Errorf("%d leases", len(leases))
	}
	for id := range leases {
		if _, err := client.Revoke(ctx, clientv3.LeaseID(id)); err != nil {
			t.Fatal(err)
		}
	}
	p := limitPolicy(t, ratelimit.Limit{Name: "l", N: 1, Per: time.Hour})
	if out := apply(t, be, ratelimit.Op{Kind: ratelimit.OpTake, Key: "d", Policy: p, N: 1}); out[0].Err != nil || !out[0].Decision.Allowed {
		t.Errorf("after the lease was lost: %+v", out[0])
	}
}

func TestLimitErrors(t *testing.T) {
	client := connect(t, endpoints(t))
	be := open(t, client, nil)
	p := limitPolicy(t, slow)
	op := []ratelimit.Op{{Kind: ratelimit.OpTake, Key: "k", Policy: p, N: 1}}
	ask := func(ctx context.Context) error {
		out := make([]ratelimit.Outcome, 1)
		be.Limits().Apply(ctx, op, out)
		return out[0].Err
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ask(gone); !errors.Is(err, context.Canceled) || !errors.Is(err, ratelimit.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	for _, nonsense := range []string{"", "0 1", "0 1 2 3", "0 x 0", "0 -1 0"} {
		if _, err := client.Put(within(t, 5*time.Second), be.names.limit(p.Shape(), "k"), nonsense); err != nil {
			t.Fatal(err)
		}
		if err := ask(within(t, 5*time.Second)); err == nil || errors.Is(err, ratelimit.ErrUnavailable) {
			t.Errorf("%q: %v", nonsense, err)
		}
	}
	if err := be.Close(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := ask(within(t, 5*time.Second)); !errors.Is(err, ratelimit.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// A hot key of many goroutines costs a request or two for each block.
func TestLimitThroughAllowances(t *testing.T) {
	be := open(t, nil, nil)
	// Long enough for a disk that is slow now and then.
	l, err := ratelimit.New(be.Limits(), limitPolicy(t, ratelimit.Limit{Name: "l", N: 1_000_000, Per: time.Second}), &ratelimit.Options{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var allowed, engine atomic.Int64
	start := time.Now()
	for range 64 {
		wg.Go(func() {
			for time.Since(start) < time.Second {
				d, err := l.Allow(t.Context(), "k")
				switch {
				case err != nil:
					t.Error(err)
				case d.Source == ratelimit.FromFallback:
					t.Error("the engine did not answer")
				case d.Source == ratelimit.FromEngine:
					engine.Add(1)
				}
				if d.Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d decisions in a second, %d of them asked etcd", allowed.Load(), engine.Load())
	if n := allowed.Load(); n < 5000 {
		t.Errorf("%d decisions in a second", n)
	}
	if err := l.Close(within(t, 5*time.Second)); err != nil {
		t.Error(err)
	}
}
