package concordgrpc_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordgrpc"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/membership"
)

const (
	target = "concord:///api"

	// patience bounds the wait for what must happen, but has no promised time.
	patience = 20 * time.Second
)

// store is an engine in memory.
func store(t *testing.T) *memorybackend.Backend {
	t.Helper()
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	ends(t, be.Close)
	return be
}

// open opens the group, as a process of its own would have it.
func open(t *testing.T, b lease.Backend, ttl time.Duration) *membership.Group {
	t.Helper()
	g, err := membership.New(b, "api", &membership.Options{TTL: ttl, Hooks: &membership.Hooks{}})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, g.Close)
	return g
}

// ends has something close with the test.
func ends(t *testing.T, end func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := end(ctx); err != nil {
			t.Error(err)
		}
	})
}

func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for give := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(give) {
			t.Fatalf("did not happen within %v: %s", patience, what)
		}
	}
}

// engine is a connection to the store that can be cut, as by the crash of its process.
type engine struct {
	lease.Backend
	cut atomic.Bool
}

func (e *engine) Renew(ctx context.Context, items []lease.Renewal) []lease.Answer {
	if !e.cut.Load() {
		return e.Backend.Renew(ctx, items)
	}
	answers := make([]lease.Answer, len(items))
	for i := range answers {
		answers[i].Err = lease.ErrUnavailable
	}
	return answers
}

func (e *engine) Acquire(ctx context.Context, c lease.Claim) (lease.Answer, error) {
	if e.cut.Load() {
		return lease.Answer{}, lease.ErrUnavailable
	}
	return e.Backend.Acquire(ctx, c)
}

// replica is a gRPC server that is a member of the group.
type replica struct {
	*grpc.Server
	net.Listener
	*membership.Registration
	engine *engine
	health *health.Server
	addr   string
	dialed atomic.Int32 // connections
}

func (r *replica) Accept() (net.Conn, error) {
	c, err := r.Listener.Accept()
	if err == nil {
		r.dialed.Add(1)
	}
	return c, err
}

// start starts a replica and has it join.
func start(t *testing.T, be *memorybackend.Backend, id string, ttl time.Duration) *replica {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{Server: grpc.NewServer(), Listener: l, engine: &engine{Backend: be.Leases()}, health: health.NewServer(), addr: l.Addr().String()}
	healthpb.RegisterHealthServer(r.Server, r.health)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := r.Serve(r); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		r.Stop()
		serving.Wait()
	})
	r.Registration, err = open(t, r.engine, ttl).Join(t.Context(), membership.Member{ID: id, Addr: r.addr, Weight: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// crash ends the server in the middle of its work, and its renewals.
func (r *replica) crash() {
	r.engine.cut.Store(true)
	r.Stop()
}

// client calls the members of the group, and remembers what its resolver has told it.
type client struct {
	*grpc.ClientConn
	mu    sync.Mutex
	told  []concordgrpc.Info // by Resolved
	ended []concordgrpc.Info // by Unwatched
}

// hooks fill the memory of the client.
func (c *client) hooks() *concordgrpc.Hooks {
	to := func(list *[]concordgrpc.Info) func(concordgrpc.Info) {
		return func(i concordgrpc.Info) {
			c.mu.Lock()
			*list = append(*list, i)
			c.mu.Unlock()
		}
	}
	return &concordgrpc.Hooks{Resolved: to(&c.told), Unwatched: to(&c.ended)}
}

// last returns the last thing that Resolved has told, and how many there were.
func (c *client) last() (last concordgrpc.Info, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n = len(c.told); n > 0 {
		last = c.told[n-1]
	}
	return last, n
}

// knows waits until the client has been told so many addresses.
func (c *client) knows(t *testing.T, addresses int) {
	t.Helper()
	wait(t, "the client knows the addresses", func() bool {
		last, n := c.last()
		return n > 0 && last.Addresses == addresses
	})
}

func connect(t *testing.T, g *membership.Group, o *concordgrpc.ResolverOptions, more ...grpc.DialOption) *client {
	t.Helper()
	c := &client{}
	var opt concordgrpc.ResolverOptions
	if o != nil {
		opt = *o
	}
	opt.Hooks = c.hooks()
	r, err := concordgrpc.NewResolver(g, &opt)
	if err != nil {
		t.Fatal(err)
	}
	c.ClientConn = dial(t, target, append(more, grpc.WithResolvers(r))...)
	return c
}

// call returns the address of the server that answered.
func call(ctx context.Context, c grpc.ClientConnInterface, o ...grpc.CallOption) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var p peer.Peer
	if _, err := healthpb.NewHealthClient(c).Check(ctx, &healthpb.HealthCheckRequest{}, append(o, grpc.Peer(&p))...); err != nil {
		return "", err
	}
	return p.Addr.String(), nil
}

// calls counts the answers to n calls by server.
func calls(t *testing.T, c *client, n int) map[string]int {
	t.Helper()
	count := map[string]int{}
	for range n {
		addr, err := call(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		count[addr]++
	}
	return count
}

// answers waits until each of the replicas has answered.
func (c *client) answers(t *testing.T, all ...*replica) {
	t.Helper()
	missing := map[string]bool{}
	for _, r := range all {
		missing[r.addr] = true
	}
	wait(t, "all servers have answered", func() bool {
		addr, err := call(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		delete(missing, addr)
		return len(missing) == 0
	})
}
