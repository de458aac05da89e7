package redisbackend

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lease"
)

func TestNewReportsAllProblems(t *testing.T) {
	_, err := New(nil, &Options{Prefix: "a:b", FenceRetention: time.Millisecond})
	if !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	for _, field := range []string{"client", "Prefix", "FenceRetention"} {
		if !strings.Contains(err.Error(), "redisbackend: "+field+" ") {
			t.Errorf("%q does not name %s", err, field)
		}
	}
}

func TestNewRefusesClients(t *testing.T) {
	if _, err := New((*redis.Client)(nil), nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("nil pointer: %v", err)
	}
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	defer func() { _ = cluster.Close() }()
	if _, err := New(cluster, nil); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "ContextTimeoutEnabled") {
		t.Errorf("cluster: %v", err)
	}
	var bare struct{ Client }
	bare.Client = redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { _ = bare.Client.(*redis.Client).Close() }()
	if _, err := New(bare, &Options{WaitReplicas: 1}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "Pipeline") {
		t.Errorf("no pipelines: %v", err)
	}
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	defer func() { _ = ring.Close() }()
	if _, err := New(ring, nil); !errors.Is(err, lease.ErrUnsupported) {
		t.Errorf("ring: %v", err)
	}
}

func TestPrefixes(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { _ = client.Close() }()
	for prefix, good := range map[string]bool{
		"": true, "shop": true, "a.b-c_d/e": true, strings.Repeat("p", 64): true,
		strings.Repeat("p", 65): false, "a b": false, "a{": false, "}": false, "ä": false, "\n": false, ":": false,
	} {
		be, err := New(client, &Options{Prefix: prefix})
		if (err == nil) != good {
			t.Errorf("prefix %q: %v", prefix, err)
		}
		if be != nil {
			_ = be.Close(context.Background())
		}
	}
}

func TestClosed(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { _ = client.Close() }()
	be, err := New(client, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for range 2 {
		if err := be.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	c, leases := claim("k"), be.Leases()
	_, acquire := leases.Acquire(ctx, c)
	_, all := leases.AcquireAll(ctx, []lease.Claim{c})
	_, release := leases.Release(ctx, lease.Release{Key: "k", Attempt: c.Attempt})
	_, revoke := leases.Revoke(ctx, lease.Revocation{Key: "k", Token: 1})
	_, inspect := leases.Inspect(ctx, "k")
	_, mark := be.Fences().Mark(ctx, "r")
	for verb, err := range map[string]error{
		"acquire": acquire, "acquire all": all, "release": release, "revoke": revoke, "inspect": inspect, "mark": mark,
		"renew":   leases.Renew(ctx, []lease.Renewal{{Key: "k", Attempt: c.Attempt, TTL: c.TTL}})[0].Err,
		"observe": leases.Observe(ctx, "k", nil),
		"raise":   be.Fences().Raise(ctx, "r", 1),
		"guard":   be.Guard().Set(ctx, "k", 1, "v", 0),
		"check":   be.Check(ctx),
	} {
		if !errors.Is(err, lease.ErrClosed) {
			t.Errorf("%s after Close: %v", verb, err)
		}
	}
	leases.Watch("k", c.Attempt, func(lease.Event) {})()
}

// A cancelled ctx ends the wait for a mark, though the client library goes on waiting.
func TestMarkReturnsWhenCancelled(t *testing.T) {
	client := connect(t, address(t))
	stall := &hook{}
	client.AddHook(stall)
	be := open(t, client, nil)
	ctx, cancel := context.WithCancel(context.Background())
	stall.set(func(ctx context.Context, _ redis.Cmder, next func() error) error {
		cancel()
		time.Sleep(200 * time.Millisecond)
		return next()
	})
	sent := time.Now()
	if err := be.Fences().Raise(ctx, "r", 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if time.Since(sent) > 150*time.Millisecond {
		t.Error("the call was waited for")
	}
	if err := be.Close(within(t, time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close did not wait for the abandoned call: %v", err)
	}
	if err := be.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// A held lock is one listpack: Redis turns a hash into a table, at twice the memory, when one of
// its values has more than 64 bytes.
func TestHeldLockIsCompact(t *testing.T) {
	client := connect(t, address(t))
	be := open(t, client, nil)
	c := claim("orders/42")
	c.TTL, c.Window, c.Owner = 15*time.Second, 3*time.Second, "host-1234567890.zone:12345"
	acquire(t, be, c, lease.Granted)
	name, _, _, _ := be.names.lease(c.Key)
	if got := client.ObjectEncoding(t.Context(), name).Val(); got != "listpack" {
		t.Errorf("a held lock is kept as %s, want listpack: %v", got, client.HGetAll(t.Context(), name).Val())
	}
}
