package etcdbackend

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/concord-go/concord/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// endpoints is the cluster for tests. Without one the test is skipped.
func endpoints(tb testing.TB) []string {
	tb.Helper()
	list := os.Getenv("ETCD_ENDPOINTS")
	if list == "" {
		missing(tb, "etcdbackend: ETCD_ENDPOINTS is not set")
	}
	return strings.Split(list, ",")
}

// missing skips the test, or fails it where the server is required.
func missing(tb testing.TB, why string) {
	tb.Helper()
	if slices.Contains(strings.Split(os.Getenv("CONCORD_REQUIRE"), ","), "etcd") {
		tb.Fatal(why)
	}
	tb.Skip(why)
}

// connect returns a client of the cluster.
func connect(tb testing.TB, endpoints []string) *clientv3.Client {
	tb.Helper()
	return connectWith(tb, clientv3.Config{Endpoints: endpoints})
}

func connectWith(tb testing.TB, c clientv3.Config) *clientv3.Client {
	tb.Helper()
	c.DialTimeout, c.Logger = 5*time.Second, zap.NewNop()
	client, err := clientv3.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := client.Close(); err != nil {
			tb.Error(err)
		}
	})
	return client
}

// freshPrefix returns a prefix of the test's own, whose keys are deleted at its end.
func freshPrefix(tb testing.TB, client *clientv3.Client) string {
	prefix := "test-" + strings.ToLower(rand.Text()[:12])
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = client.Delete(ctx, prefix+"/", clientv3.WithPrefix()) // the cluster may be gone already
	})
	return prefix
}

// open returns a backend on a prefix of its own. A nil client means a new one.
func open(tb testing.TB, client *clientv3.Client, o *Options) *Backend {
	tb.Helper()
	if client == nil {
		client = connect(tb, endpoints(tb))
	}
	var opt Options
	if o != nil {
		opt = *o
	}
	if opt.Prefix == "" {
		opt.Prefix = freshPrefix(tb, client)
	}
	return openWith(tb, client, &opt)
}

// openWith returns a backend on any client.
func openWith(tb testing.TB, client Client, o *Options) *Backend {
	tb.Helper()
	be, err := New(client, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := be.Close(ctx); err != nil {
			tb.Error(err)
		}
	})
	return be
}

// quiet is a logger for tests that break things on purpose.
func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// wish is an ordinary wish to hold key.
func wish(key string) lease.Claim {
	return lease.Claim{Key: key, Attempt: lease.NewAttempt(), TTL: 8 * time.Second, Queue: true, Weight: 1, Limit: 1}
}

// within returns a ctx with a deadline.
func within(tb testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	tb.Cleanup(cancel)
	return ctx
}

// acquire asks and expects a status.
func acquire(t testing.TB, be *Backend, c lease.Claim, want lease.Status) lease.Answer {
	t.Helper()
	a, err := be.Leases().Acquire(within(t, 5*time.Second), c)
	if err != nil || a.Status != want {
		t.Fatalf("acquire: %v, %v; want %v", a, err, want)
	}
	return a
}

// release ends a claim and expects what it was.
func release(t testing.TB, be *Backend, c lease.Claim, want lease.Released) {
	t.Helper()
	was, err := be.Leases().Release(within(t, 5*time.Second), lease.Release{Key: c.Key, Attempt: c.Attempt})
	if err != nil || was != want {
		t.Fatalf("release: was %v, %v; want %v", was, err, want)
	}
}

// ask renews one item.
func ask(t testing.TB, be *Backend, c lease.Claim, waits bool) lease.Answer {
	t.Helper()
	return be.Leases().Renew(within(t, 5*time.Second), []lease.Renewal{{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL, Waiting: waits}})[0]
}

// renew renews one item and expects a status.
func renew(t testing.TB, be *Backend, c lease.Claim, waits bool, want lease.Status) lease.Answer {
	t.Helper()
	a := ask(t, be, c, waits)
	if a.Err != nil || a.Status != want {
		t.Fatalf("renew: %+v; want %v", a, want)
	}
	return a
}

// events watches an attempt.
func events(t testing.TB, be *Backend, c lease.Claim) <-chan lease.Event {
	ch := make(chan lease.Event, 1000)
	t.Cleanup(be.Leases().Watch(c.Key, c.Attempt, func(e lease.Event) { ch <- e }))
	return ch
}

// next waits for an event of a kind.
func next(t testing.TB, ch <-chan lease.Event, kind lease.EventKind) lease.Event {
	t.Helper()
	for timeout := time.After(15 * time.Second); ; {
		select {
		case e := <-ch:
			if e.Kind == kind {
				return e
			}
		case <-timeout:
			t.Fatalf("no event of kind %d", kind)
		}
	}
}

// eventually waits for something that must happen soon.
func eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for give := time.Now().Add(15 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(give) {
			tb.Fatalf("did not happen: %s", what)
		}
	}
}
