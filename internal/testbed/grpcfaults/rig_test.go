package grpcfaults

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"

	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/concordgrpc"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/membership"
)

const (
	ttl = 2 * time.Second

	// eventually bounds the wait for what must happen, but has no promised time.
	eventually = 30 * time.Second
)

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

// ends has something close with the test.
func ends(t *testing.T, end func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventually)
		defer cancel()
		if err := end(ctx); err != nil {
			t.Error(err)
		}
	})
}

func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for give := time.Now().Add(eventually); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(give) {
			t.Fatalf("did not happen within %v: %s", eventually, what)
		}
	}
}

// dialer makes the connections to Redis.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// open opens the group as a process of its own, with its own client of Redis.
func open(t *testing.T, server *testbed.Redis, dial dialer, hooks *membership.Hooks) *membership.Group {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: server.Addr(), ContextTimeoutEnabled: true, Dialer: dial,
		ReadTimeout: time.Second, DialTimeout: time.Second, DialerRetries: 1,
	})
	ends(t, func(context.Context) error { return client.Close() })
	be, err := redisbackend.New(client, &redisbackend.Options{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, be.Close)
	g, err := membership.New(be.Leases(), "api", &membership.Options{TTL: ttl, Hooks: hooks})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, g.Close)
	return g
}

// replica is a gRPC server that is a member of the group.
type replica struct {
	*grpc.Server
	*membership.Registration
	addr        string
	lost, again atomic.Int32 // how often it was lost, and has joined again
}

func start(t *testing.T, server *testbed.Redis, dial dialer, id string) *replica {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{Server: grpc.NewServer(), addr: l.Addr().String()}
	healthpb.RegisterHealthServer(r.Server, health.NewServer())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := r.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		r.Stop()
		serving.Wait()
	})
	g := open(t, server, dial, &membership.Hooks{
		Ended: func(membership.Info) { r.lost.Add(1) },
		Joined: func(i membership.Info) {
			if i.Again {
				r.again.Add(1)
			}
		},
	})
	r.Registration, err = g.Join(t.Context(), membership.Member{ID: id, Addr: r.addr, Weight: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// caller calls the members from several goroutines without pause.
type caller struct {
	conn *grpc.ClientConn
	stop func() // and wait

	mu     sync.Mutex
	last   concordgrpc.Info // told by the resolver
	calls  map[string]int   // by server; a call counts in the map that was there when it began
	failed []error
}

func call(t *testing.T, server *testbed.Redis) *caller {
	t.Helper()
	c := &caller{calls: map[string]int{}}
	r, err := concordgrpc.NewResolver(open(t, server, nil, &membership.Hooks{}), &concordgrpc.ResolverOptions{Hooks: &concordgrpc.Hooks{
		Resolved: func(i concordgrpc.Info) {
			c.mu.Lock()
			c.last = i
			c.mu.Unlock()
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.conn, err = grpc.NewClient("concord:///api", grpc.WithResolvers(r), grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ends(t, func(context.Context) error { return c.conn.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	var calling sync.WaitGroup
	for range 8 {
		calling.Go(func() {
			for ctx.Err() == nil {
				c.call()
			}
		})
	}
	c.stop = sync.OnceFunc(func() {
		cancel()
		calling.Wait()
	})
	t.Cleanup(c.stop)
	return c
}

func (c *caller) call() {
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	c.mu.Lock()
	calls := c.calls
	c.mu.Unlock()
	var p peer.Peer
	_, err := healthpb.NewHealthClient(c.conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.Peer(&p))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = append(c.failed, err)
		return
	}
	calls[p.Addr.String()]++
}

// reaches waits until these servers have answered calls that begin now, and no other has.
func (c *caller) reaches(t *testing.T, all ...*replica) {
	t.Helper()
	c.mu.Lock()
	c.calls = map[string]int{}
	c.mu.Unlock()
	wait(t, "all servers have answered", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, r := range all {
			if c.calls[r.addr] < 20 {
				return false
			}
		}
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.calls) != len(all) {
		t.Errorf("%d servers have answered, not %d", len(c.calls), len(all))
	}
}

// told waits until the resolver has told of so many addresses, of which all are there.
func (c *caller) told(t *testing.T, addresses int) {
	t.Helper()
	wait(t, "the client knows the addresses", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.last.Addresses == addresses && c.last.Stale == nil
	})
}

// perfect ends the calls, of which none may have failed.
func (c *caller) perfect(t *testing.T) {
	t.Helper()
	c.stop()
	if len(c.failed) > 0 {
		t.Errorf("%d calls failed, the first: %v", len(c.failed), c.failed[0])
	}
}
