package concordgrpc_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/concordgrpc"
	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/membership"
)

// ttl is that of members that do not crash.
const ttl = membership.DefaultTTL

// retries is a service config that sends a call to another member when one is gone.
const retries = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [{"name": [{}], "retryPolicy": {
		"maxAttempts": 4, "initialBackoff": "0.02s", "maxBackoff": "0.2s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// Calls go to all members in turn, also to one that comes later, and connections to the others stay.
func TestCallsAreSpread(t *testing.T) {
	be := store(t)
	all := []*replica{start(t, be, "a", ttl), start(t, be, "b", ttl), start(t, be, "c", ttl)}
	c := connect(t, open(t, be.Leases(), ttl), nil)
	for n := 3; ; n++ {
		c.answers(t, all...)
		count := calls(t, c, 100*n)
		for _, r := range all {
			// A picker that is replaced begins anew somewhere.
			if got := count[r.addr]; got < 95 || got > 105 {
				t.Errorf("%d members: %s got %d of %d calls", n, r.Member().ID, got, 100*n)
			}
			if dialed := r.dialed.Load(); dialed != 1 {
				t.Errorf("%d members: %d connections to %s", n, dialed, r.Member().ID)
			}
		}
		if n == 4 {
			return
		}
		all = append(all, start(t, be, "d", ttl))
	}
}

// A new description of a member costs no connection.
func TestUpdateKeepsConnections(t *testing.T) {
	be := store(t)
	r := start(t, be, "a", ttl)
	c := connect(t, open(t, be.Leases(), ttl), nil)
	c.answers(t, r)
	_, before := c.last()
	m := r.Member()
	m.Weight, m.Zone, m.Meta = 7, "z2", []byte("v2")
	if err := r.Update(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	wait(t, "the client hears of it", func() bool { _, n := c.last(); return n > before })
	c.answers(t, r)
	if n := r.dialed.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// load calls without pause from many goroutines until stop, which returns how many calls there were
// and those that failed.
func load(c *client) (stop func() (int64, []error)) {
	var (
		done   atomic.Bool
		n      atomic.Int64
		mu     sync.Mutex
		failed []error
		all    sync.WaitGroup
	)
	for range 32 {
		all.Go(func() {
			for !done.Load() {
				n.Add(1)
				if _, err := call(context.Background(), c); err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	return func() (int64, []error) {
		done.Store(true)
		all.Wait()
		return n.Load(), failed
	}
}

// Members come and go in good order while calls run without pause, and none fails.
func TestLeaveInGoodOrder(t *testing.T) {
	be := store(t)
	a, b := start(t, be, "a", ttl), start(t, be, "b", ttl)
	c := connect(t, open(t, be.Leases(), ttl), nil)
	c.answers(t, a, b)
	stop := load(c)
	leaving := start(t, be, "c", ttl)
	for i := range 5 {
		c.knows(t, 3)
		wait(t, "it is called", func() bool { return leaving.dialed.Load() > 0 })
		if err := leaving.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		c.knows(t, 2)
		leaving.GracefulStop()
		leaving = start(t, be, fmt.Sprint("c", i), ttl)
	}
	n, failed := stop()
	t.Logf("%d calls", n)
	if len(failed) > 0 {
		t.Errorf("%d of %d calls failed, the first: %v", len(failed), n, failed[0])
	}
}

// A call that is under way when its member leaves goes on, for as long as its server serves.
func TestCallsUnderWayGoOn(t *testing.T) {
	be := store(t)
	r := start(t, be, "a", ttl)
	c := connect(t, open(t, be.Leases(), ttl), nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := healthpb.NewHealthClient(c).Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	said := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if m, err := stream.Recv(); err != nil || m.GetStatus() != want {
			t.Fatalf("the stream said %v, %v, not %v", m, err, want)
		}
	}
	said(healthpb.HealthCheckResponse_SERVING)
	if err := r.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	c.knows(t, 0)
	r.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	said(healthpb.HealthCheckResponse_NOT_SERVING)
}

// When a machine dies no connection breaks: calls to it last until their deadlines, and none goes there
// when its TTL is over.
func TestSilentMachine(t *testing.T) {
	const short = 2 * time.Second
	be := store(t)
	a, b := start(t, be, "a", short), start(t, be, "b", short)
	network := faultnet.New(faultnet.Seed(t))
	t.Cleanup(network.Close)
	proxy, err := network.Proxy(b.addr)
	if err != nil {
		t.Fatal(err)
	}
	m := b.Member()
	m.Addr = proxy.Addr()
	if err := b.Update(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	c := connect(t, open(t, be.Leases(), short), nil)
	wait(t, "both are called", func() bool { return len(calls(t, c, 2)) == 2 })
	network.Set(faultnet.Rules{HalfOpen: true})
	b.engine.cut.Store(true)
	failed := 0
	for last, _ := c.last(); last.Addresses == 2; last, _ = c.last() {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := call(ctx, c); status.Code(err) == codes.DeadlineExceeded {
			failed++
		}
		cancel()
	}
	if failed == 0 {
		t.Error("no call has failed")
	}
	if count := calls(t, c, 100); count[a.addr] != 100 {
		t.Errorf("calls afterwards: %v", count)
	}
}

// A member that crashes is not called any more as soon as its connection breaks, and is forgotten
// after its TTL. Retries save the calls that were under way.
func TestCrash(t *testing.T) {
	for name, config := range map[string]string{"with retries": retries, "without retries": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const short = 2 * time.Second
			be := store(t)
			all := []*replica{start(t, be, "a", short), start(t, be, "b", short), start(t, be, "c", short)}
			c := connect(t, open(t, be.Leases(), short), &concordgrpc.ResolverOptions{ServiceConfig: config})
			c.answers(t, all...)
			stop := load(c)
			all[2].crash()
			c.knows(t, 2)
			n, failed := stop()
			t.Logf("%d of %d calls failed", len(failed), n)
			if config == retries && len(failed) > 0 {
				t.Errorf("%d of %d calls failed, the first: %v", len(failed), n, failed[0])
			}
			if len(failed) > 32 { // one of each goroutine
				t.Errorf("%d of %d calls failed, the last: %v", len(failed), n, failed[len(failed)-1])
			}
			if count := calls(t, c, 100); count[all[0].addr] == 0 || count[all[1].addr] == 0 || len(count) != 2 {
				t.Errorf("calls afterwards: %v", count)
			}
		})
	}
}

// Without members calls fail at once, unless they wait for one; it is found when it joins.
func TestEmptyGroup(t *testing.T) {
	be := store(t)
	c := connect(t, open(t, be.Leases(), ttl), nil)
	for i := range 3 {
		if _, err := call(t.Context(), c); status.Code(err) != codes.Unavailable {
			t.Fatalf("call without members: %v", err)
		}
		waiting := make(chan string, 1)
		go func() {
			addr, err := call(t.Context(), c, grpc.WaitForReady(true))
			if err != nil {
				t.Error(err)
			}
			waiting <- addr
		}()
		r := start(t, be, fmt.Sprint(i), ttl)
		if addr := <-waiting; addr != r.addr {
			t.Errorf("%q answered, not %q", addr, r.addr)
		}
		c.answers(t, r)
		if err := r.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		c.knows(t, 0) // a call goes nowhere, although the server is still there
	}
}
