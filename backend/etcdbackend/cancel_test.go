package etcdbackend

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/concord-go/concord/lease"
)

// byTest marks the ctx of the call that a test is about, to tell its requests from background work.
type byTest struct{}

// call is one verb, and what has to be there before it.
type call struct {
	name     string
	requests int
	spare    int // the number of a request that the verb can do without; 0 = there is none
	prepare  func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error
}

// calls are all verbs in all the forms in which they make requests.
var calls = []call{
	{"acquire, first", 2, 0, func(_ *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		return acquiring(be, c)
	}},
	{"acquire, wait", 2, 0, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, other, wish(c.Key), lease.Granted)
		return acquiring(be, c)
	}},
	{"acquire again", 1, 0, func(t *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, be, c, lease.Granted)
		return acquiring(be, c)
	}},
	{"acquire alone", 2, 0, func(_ *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		c.Alone = true
		return acquiring(be, c)
	}},
	{"try, held elsewhere", 3, 3, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, other, wish(c.Key), lease.Granted)
		c.Queue = false
		return acquiring(be, c)
	}},
	{"acquire a share", 2, 0, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, other, share(c.Key, 1, 3, 0), lease.Granted)
		c.Limit, c.Weight = 3, 2
		return acquiring(be, c)
	}},
	{"acquire, of another limit", 3, 0, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, other, share(c.Key, 1, 3, 0), lease.Granted)
		c.Limit = 2
		return acquiring(be, c)
	}},
	{"acquire, of a new epoch", 4, 0, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, other, share(c.Key, 1, 3, 0), lease.Granted)
		c.Limit, c.LimitEpoch = 2, 1
		return acquiring(be, c)
	}},
	{"acquire with a delay", 3, 0, func(_ *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		c.Delay = time.Minute
		return acquiring(be, c)
	}},
	{"acquire all, wait", 3, 0, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, other, wish(c.Key), lease.Granted)
		return acquiringAll(be, c)
	}},
	{"try a share", 3, 0, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, other, share(c.Key, 1, 3, 0), lease.Granted)
		c.Limit, c.Queue = 3, false
		return acquiring(be, c)
	}},
	{"try all, held elsewhere", 4, 4, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, other, wish(c.Key), lease.Granted)
		c.Queue = false
		return acquiringAll(be, c)
	}},
	{"acquire with a priority", 2, 0, func(_ *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		c.Priority = 1
		return acquiring(be, c)
	}},
	{"acquire with a priority, wait", 4, 0, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, other, wish(c.Key), lease.Granted)
		c.Priority = 1
		return acquiring(be, c)
	}},
	{"transfer", 3, 0, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, be, c, lease.Granted)
		heir := wish(c.Key)
		acquire(t, other, heir, lease.Queued)
		return func(ctx context.Context) error {
			_, err := be.Leases().Release(ctx, lease.Release{Key: c.Key, Attempt: c.Attempt, To: heir.Attempt})
			return err
		}
	}},
	{"renew, lower", 1, 0, func(t *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		c.Weight, c.Limit = 3, 3
		acquire(t, be, c, lease.Granted)
		return func(ctx context.Context) error {
			return be.Leases().Renew(ctx, []lease.Renewal{{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL, Weight: 1}})[0].Err
		}
	}},
	{"release with a delay", 1, 0, func(t *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		c.Delay = time.Minute
		acquire(t, be, c, lease.Granted)
		return releasing(be, c, false)
	}},
	{"renew alone", 1, 0, func(t *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		c.Alone = true
		acquire(t, be, c, lease.Granted)
		return renewing(be, c, 0)
	}},
	{"renew with metadata", 1, 0, func(t *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, be, c, lease.Granted)
		return renewing(be, c, 1)
	}},
	{"renew for longer", 2, 0, func(t *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, be, c, lease.Granted)
		c.TTL = time.Minute
		return renewing(be, c, 0)
	}},
	{"renew without a watch", 1, 0, func(t *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, be, c, lease.Granted)
		t.Cleanup(be.client.(*relay).cut())
		eventually(t, "the watch is known to be lost", func() bool { return !be.hub.healthy() })
		return renewing(be, c, 0)
	}},
	{"release", 1, 0, func(t *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, be, c, lease.Granted)
		return releasing(be, c, false)
	}},
	{"release, waiting", 1, 0, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, other, wish(c.Key), lease.Granted)
		acquire(t, be, c, lease.Queued)
		return releasing(be, c, false)
	}},
	{"release, uncertain", 2, 0, func(t *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, be, c, lease.Granted)
		return releasing(be, c, true)
	}},
	{"inspect", 2, 2, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		acquire(t, other, wish(c.Key), lease.Granted)
		return func(ctx context.Context) error { _, err := be.Leases().Inspect(ctx, c.Key); return err }
	}},
	{"revoke, ask", 2, 0, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		return revoking(be, c, acquire(t, other, wish(c.Key), lease.Granted).Token, false)
	}},
	{"revoke, force", 3, 0, func(t *testing.T, be, other *Backend, c lease.Claim) func(context.Context) error {
		return revoking(be, c, acquire(t, other, wish(c.Key), lease.Granted).Token, true)
	}},
	{"raise", 1, 0, func(_ *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		return func(ctx context.Context) error { return be.Fences().Raise(ctx, c.Key, 1) }
	}},
	{"mark", 1, 0, func(_ *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		return func(ctx context.Context) error { _, err := be.Fences().Mark(ctx, c.Key); return err }
	}},
	{"guarded write", 1, 0, func(_ *testing.T, be, _ *Backend, c lease.Claim) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := be.Guard().Txn(ctx, c.Key, 1, clientv3.OpPut(be.opt.Prefix+"/data", "v"))
			return err
		}
	}},
}

func acquiring(be *Backend, c lease.Claim) func(context.Context) error {
	return func(ctx context.Context) error { _, err := be.Leases().Acquire(ctx, c); return err }
}

func acquiringAll(be *Backend, c lease.Claim) func(context.Context) error {
	return func(ctx context.Context) error { _, err := be.Leases().AcquireAll(ctx, []lease.Claim{c}); return err }
}

func renewing(be *Backend, c lease.Claim, seq uint64) func(context.Context) error {
	return func(ctx context.Context) error {
		return be.Leases().Renew(ctx, []lease.Renewal{{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL, MetaSeq: seq}})[0].Err
	}
}

func releasing(be *Backend, c lease.Claim, uncertain bool) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := be.Leases().Release(ctx, lease.Release{Key: c.Key, Attempt: c.Attempt, Uncertain: uncertain})
		return err
	}
}

func revoking(be *Backend, c lease.Claim, token uint64, force bool) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := be.Leases().Revoke(ctx, lease.Revocation{Key: c.Key, Token: token, Force: force})
		return err
	}
}

// The ctx of each verb ends in each of its requests, once before the request is sent and once when
// the server has executed it and the answer is on its way. The verb returns at once, and when the
// claim was released nothing is left: on the server, in memory, or of goroutines.
func TestCancelledInEveryRequest(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) }) // runs when all is closed
	client := connect(t, endpoints(t))
	for _, call := range calls {
		for n := 1; n <= call.requests+1; n++ {
			for _, executed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d executed=%t", call.name, n, executed), func(t *testing.T) {
					cancelled(t, client, call, n, executed)
				})
			}
		}
	}
}

func cancelled(t *testing.T, client *clientv3.Client, call call, n int, executed bool) {
	r, prefix := newRelay(t, client), freshPrefix(t, client)
	be := openWith(t, r, &Options{Prefix: prefix, Logger: quiet()})
	other := openWith(t, client, &Options{Prefix: prefix, Logger: quiet()})
	c := wish("k")
	run := call.prepare(t, be, other, c)

	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), byTest{}, true))
	defer cancel()
	var ended time.Time
	request := 0
	r.onEach(func(ctx context.Context, execute func()) error {
		if ctx.Value(byTest{}) == nil {
			execute()
			return nil
		}
		if request++; request != n {
			execute()
			return nil
		}
		if executed {
			execute()
		}
		cancel()
		ended = time.Now()
		return ctx.Err()
	})
	err := run(ctx)
	took := time.Since(ended)
	r.onEach(nil)
	switch {
	case n > call.requests:
		if err != nil || request != call.requests {
			t.Errorf("not cancelled: %v after %d requests, want %d", err, request, call.requests)
		}
	case request != n:
		t.Errorf("%d requests, the ctx was to end in number %d", request, n)
	case n == call.spare && err != nil:
		t.Errorf("%v, though all that matters was known", err)
	case n != call.spare && (!errors.Is(err, context.Canceled) || !errors.Is(err, lease.ErrUnavailable)):
		t.Errorf("%v, want the end of the ctx, and unavailable", err)
	case took > time.Second:
		t.Errorf("returned %v after the end of its ctx", took)
	}

	// As the core does after an unknown outcome.
	if _, err := be.Leases().Release(within(t, 5*time.Second), lease.Release{Key: "k", Attempt: c.Attempt, Uncertain: true}); err != nil {
		t.Error(err)
	}
	other.table.mu.Lock()
	var held []lease.Attempt
	for a := range other.table.claims {
		held = append(held, a)
	}
	other.table.mu.Unlock()
	for _, a := range held {
		if _, err := other.Leases().Release(within(t, 5*time.Second), lease.Release{Key: "k", Attempt: a}); err != nil {
			t.Error(err)
		}
	}
	left, err := client.Get(within(t, 5*time.Second), be.names.claims, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil || left.Count != 0 {
		t.Errorf("%d claims are left on the server, %v", left.Count, err)
	}
	for _, b := range []*Backend{be, other} {
		b.table.mu.Lock()
		if n := len(b.table.claims) + len(b.table.lines); n != 0 {
			t.Errorf("%d claims and lines are left in memory", n)
		}
		b.table.mu.Unlock()
	}
	acquire(t, other, wish("k"), lease.Granted)
}

// An acquire also waits for the watch to stand, and for the lease that another one asks for.
func TestCancelledBetweenRequests(t *testing.T) {
	be, r := counted(t)
	mend := r.cut()
	canceled(t, be, "the watch")
	mend()

	asked, answer := make(chan struct{}), make(chan struct{})
	r.onEach(func(_ context.Context, execute func()) error {
		close(asked)
		<-answer
		execute()
		return nil
	})
	first := make(chan error, 1)
	go func() { first <- acquiring(be, wish("first"))(context.Background()) }()
	<-asked
	r.onEach(nil)
	canceled(t, be, "the lease")
	close(answer)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n := r.grants.Load(); n != 1 {
		t.Errorf("%d leases", n)
	}
}

// canceled acquires with a ctx that ends while it waits.
func canceled(t *testing.T, be *Backend, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	c, start := wish("k"), time.Now()
	if err := acquiring(be, c)(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, lease.ErrUnavailable) {
		t.Errorf("%s: %v", what, err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("%s: returned after %v", what, took)
	}
	release(t, be, c, lease.WasNothing)
	if be.table.find(c.Attempt, be.names.line("k")) != nil {
		t.Errorf("%s: the claim is left in memory", what)
	}
}
