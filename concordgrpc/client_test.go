package concordgrpc_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/concordgrpc"
	"github.com/concord-go/concord/membership"
)

// Closing a client ends its watch, also in the middle of changes, and touches nothing of others.
func TestClosedClientsLeaveNothing(t *testing.T) {
	be := store(t)
	r := start(t, be, "a", ttl)
	g := open(t, be.Leases(), ttl)
	other := connect(t, g, nil)
	other.answers(t, r)
	changes, stop := context.WithCancel(t.Context())
	var changing sync.WaitGroup
	changing.Go(func() {
		for i := 0; changes.Err() == nil; i++ {
			m := r.Member()
			m.Meta = fmt.Append(nil, i)
			_ = r.Update(changes, m) // fails when changes end
		}
	})
	before := goleak.IgnoreCurrent()
	for i := range 50 {
		c := connect(t, g, nil)
		switch i % 3 {
		case 0:
			c.Connect() // close it before its first view, or just after
		case 1:
			c.answers(t, r)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
	changing.Wait()
	other.answers(t, r)
	// The groups keep idle workers, and the server takes a moment to notice that a client has gone.
	workers := goleak.IgnoreAnyFunction("github.com/concord-go/concord/internal/claim.(*workers).run.func1")
	wait(t, "no goroutine is left", func() bool { return goleak.Find(before, workers) == nil })
}

// A client that is idle does not watch, and looks anew when it is used again.
func TestIdleClient(t *testing.T) {
	be := store(t)
	a := start(t, be, "a", ttl)
	c := connect(t, open(t, be.Leases(), ttl), nil, grpc.WithIdleTimeout(50*time.Millisecond))
	c.answers(t, a)
	wait(t, "the client is idle", func() bool { return c.GetState() == connectivity.Idle })
	_, before := c.last()
	b := start(t, be, "b", ttl)
	if err := a.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	if _, n := c.last(); n != before {
		t.Errorf("told %d times while idle", n-before)
	}
	if count := calls(t, c, 1); count[b.addr] != 1 {
		t.Errorf("calls: %v", count)
	}
	if ended := c.take(&c.ended); len(ended) > 0 {
		t.Errorf("hooks were told %v", ended)
	}
}

// A client that has addresses goes on with them when its group is closed; a new one says why it cannot.
func TestClosedGroup(t *testing.T) {
	be := store(t)
	r := start(t, be, "a", ttl)
	g := open(t, be.Leases(), ttl)
	c := connect(t, g, nil)
	c.answers(t, r)
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wait(t, "the hooks are told", func() bool { return len(c.take(&c.ended)) > 0 })
	c.answers(t, r)
	_, err := call(t.Context(), connect(t, g, nil))
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), membership.ErrClosed.Error()) {
		t.Errorf("call with a closed group: %v", err)
	}
}

// Before the first view a call waits for it, and no longer than it may.
func TestCallsWaitForTheFirstView(t *testing.T) {
	be := store(t)
	r := start(t, be, "a", ttl)
	g := open(t, be.Leases(), ttl)
	be.Control().FailNext(1<<20, membership.ErrUnavailable)
	c := connect(t, g, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := call(ctx, c); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("call without a view: %v", err)
	}
	be.Control().FailNext(0, nil)
	c.answers(t, r)
}

func TestTargetWithHost(t *testing.T) {
	r, err := concordgrpc.NewResolver(open(t, store(t).Leases(), ttl), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = call(t.Context(), dial(t, "concord://api", grpc.WithResolvers(r)))
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "concord:///name") {
		t.Errorf("call to a bad target: %v", err)
	}
}

// Which service config counts.
func TestServiceConfig(t *testing.T) {
	const first = `{"loadBalancingConfig":[{"pick_first":{}}]}`
	roundRobin := grpc.WithDefaultServiceConfig(concordgrpc.DefaultServiceConfig)
	be := store(t)
	all := []*replica{start(t, be, "a", ttl), start(t, be, "b", ttl)}
	g := open(t, be.Leases(), ttl)
	for name, c := range map[string]struct {
		opt    *concordgrpc.ResolverOptions
		dial   []grpc.DialOption
		spread bool
	}{
		"default":                               {nil, nil, true},
		"of the resolver":                       {&concordgrpc.ResolverOptions{ServiceConfig: first}, nil, false},
		"of the resolver before the client's":   {nil, []grpc.DialOption{grpc.WithDefaultServiceConfig(first)}, true},
		"of the client":                         {&concordgrpc.ResolverOptions{NoServiceConfig: true}, []grpc.DialOption{roundRobin}, true},
		"of nobody":                             {&concordgrpc.ResolverOptions{NoServiceConfig: true}, nil, false},
		"of the client, which wants no other's": {nil, []grpc.DialOption{grpc.WithDisableServiceConfig(), grpc.WithDefaultServiceConfig(first)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, g, c.opt, c.dial...)
			if c.spread {
				conn.answers(t, all...)
			} else if count := calls(t, conn, 50); len(count) != 1 {
				t.Errorf("calls: %v", count)
			}
		})
	}
}
