package redisbackend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lease"
)

// counted is a backend whose commands are counted.
func counted(t *testing.T) (*Backend, *hook, *redis.Client) {
	t.Helper()
	client := connect(t, address(t))
	h := &hook{}
	client.AddHook(h)
	return open(t, client, nil), h, client
}

// acquire asks and expects a status.
func acquire(t *testing.T, be *Backend, c lease.Claim, want lease.Status) lease.Answer {
	t.Helper()
	a, err := be.Leases().Acquire(within(t, 5*time.Second), c)
	if err != nil || a.Status != want {
		t.Fatalf("acquire: %v, %v; want %v", a, err, want)
	}
	return a
}

// release ends a claim and expects what it was.
func release(t *testing.T, be *Backend, c lease.Claim, want lease.Released) {
	t.Helper()
	was, err := be.Leases().Release(within(t, 5*time.Second), lease.Release{Key: c.Key, Attempt: c.Attempt})
	if err != nil || was != want {
		t.Fatalf("release: was %v, %v; want %v", was, err, want)
	}
}

// renew sends one item and expects a status.
func renew(t *testing.T, be *Backend, c lease.Claim, waiting bool, want lease.Status) lease.Answer {
	t.Helper()
	a := be.Leases().Renew(within(t, 5*time.Second), []lease.Renewal{{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL, Waiting: waiting}})[0]
	if a.Err != nil || a.Status != want {
		t.Fatalf("renew: %+v; want %v", a, want)
	}
	return a
}

// warm makes the first contact and loads the common scripts.
func warm(t *testing.T, be *Backend) {
	t.Helper()
	c := claim("warm")
	acquire(t, be, c, lease.Granted)
	release(t, be, c, lease.WasHeld)
}

// events watches an attempt.
func events(t *testing.T, be *Backend, c lease.Claim) <-chan lease.Event {
	ch := make(chan lease.Event, 1000)
	t.Cleanup(be.Leases().Watch(c.Key, c.Attempt, func(e lease.Event) { ch <- e }))
	return ch
}

// next waits for an event of a kind.
func next(t *testing.T, ch <-chan lease.Event, kind lease.EventKind) lease.Event {
	t.Helper()
	for timeout := time.After(10 * time.Second); ; {
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

func TestTripsOfEachVerb(t *testing.T) {
	be, h, _ := counted(t)
	leases, ctx := be.Leases(), within(t, 5*time.Second)
	warm(t, be)
	c := claim("k")
	g := acquire(t, be, c, lease.Granted) // also loads what the server may not have
	renew(t, be, c, false, lease.Granted)
	renew(t, be, c, true, lease.Granted)
	_, _ = leases.Inspect(ctx, "k")
	_, _ = leases.Revoke(ctx, lease.Revocation{Key: "k", Token: g.Token})
	_ = be.Fences().Raise(ctx, "k", 1)
	h.take()

	many := make([]lease.Renewal, 100)
	for i := range many {
		many[i] = lease.Renewal{Key: "k", Attempt: c.Attempt, TTL: c.TTL}
	}
	for _, verb := range []struct {
		name                     string
		run                      func()
		scripts, sources, others int64
	}{
		{"acquire again", func() { acquire(t, be, c, lease.Granted) }, 1, 0, 0},
		{"renew", func() { renew(t, be, c, false, lease.Granted) }, 1, 0, 0},
		{"renew 100", func() { leases.Renew(ctx, many) }, 1, 0, 0},
		{"renew 101", func() { leases.Renew(ctx, append(many, many[0])) }, 2, 0, 0},
		{"inspect", func() { _, _ = leases.Inspect(ctx, "k") }, 1, 0, 0},
		{"revoke", func() { _, _ = leases.Revoke(ctx, lease.Revocation{Key: "k", Token: g.Token, Force: true}) }, 1, 0, 0},
		{"acquire", func() { acquire(t, be, c, lease.Granted) }, 1, 0, 0},
		{"release", func() { release(t, be, c, lease.WasHeld) }, 1, 0, 0},
		{"raise", func() { _ = be.Fences().Raise(ctx, "k", 2) }, 1, 0, 0},
		{"mark", func() { _, _ = be.Fences().Mark(ctx, "k") }, 0, 0, 1},
		{"watch", func() { leases.Watch("k", c.Attempt, func(lease.Event) {})() }, 0, 0, 0},
	} {
		verb.run()
		if a, b, c := h.take(); a != verb.scripts || b != verb.sources || c != verb.others {
			t.Errorf("%s: %d EVALSHA, %d EVAL, %d others", verb.name, a, b, c)
		}
	}
}

func TestFirstContact(t *testing.T) {
	be, h, client := counted(t)
	c := claim("k")
	acquire(t, be, c, lease.Granted)
	if scripts, sources, others := h.take(); scripts != 1 || sources > 1 || others < 1 {
		t.Errorf("first acquire: %d EVALSHA, %d EVAL, %d others", scripts, sources, others)
	}
	if err := client.ScriptFlush(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	h.take()
	release(t, be, c, lease.WasHeld)
	if scripts, sources, _ := h.take(); scripts != 1 || sources != 1 {
		t.Errorf("after SCRIPT FLUSH: %d EVALSHA, %d EVAL", scripts, sources)
	}
}

// A hand-off costs two requests: the release and, later, the release of the next holder, each
// preceded by one acquire that had to wait.
func TestTripsOfHandOver(t *testing.T) {
	be, h, _ := counted(t)
	warm(t, be)
	holder := claim("k")
	acquire(t, be, holder, lease.Granted)
	const n = 16
	waiters := make([]lease.Claim, n)
	told := make([]<-chan lease.Event, n)
	for i := range waiters {
		waiters[i] = claim("k")
		told[i] = events(t, be, waiters[i])
		acquire(t, be, waiters[i], lease.Queued)
	}
	eventually(t, "events get through", func() bool { return renew(t, be, waiters[n-1], true, lease.Queued).Pushed })
	h.take()
	for i, c := range waiters {
		release(t, be, holder, lease.WasHeld)
		e := next(t, told[i], lease.EventGranted)
		if left := time.Until(e.Until); left <= 0 || left > c.TTL {
			t.Errorf("valid for %v", left)
		}
		holder = c
	}
	if scripts, sources, others := h.take(); scripts != n || sources != 0 || others != 0 {
		t.Errorf("%d hand-offs to waiting claims: %d EVALSHA, %d EVAL, %d others", n, scripts, sources, others)
	}
}

// lossy is a connection that can lose the answer to a script: it ends instead.
type lossy struct {
	net.Conn
	lose *atomic.Bool
	sent *atomic.Int64 // scripts
	gone bool
}

func (c *lossy) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("evalsha")) {
		c.sent.Add(1)
		c.gone = c.lose.Load()
	}
	return c.Conn.Write(b)
}

func (c *lossy) Read(b []byte) (int, error) {
	if c.gone {
		return 0, io.EOF
	}
	return c.Conn.Read(b)
}

// lossyClient returns a client whose connections lose answers while lose is set, and count scripts.
func lossyClient(t *testing.T, lose *atomic.Bool, sent *atomic.Int64) *redis.Client {
	t.Helper()
	o := clientOptions(address(t))
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, addr)
		return &lossy{Conn: conn, lose: lose, sent: sent}, err
	}
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// A client library that sends a command again after a lost answer must not do so with ours.
func TestLostAnswerIsNotSentAgain(t *testing.T) {
	var lose atomic.Bool
	var sent atomic.Int64
	client := lossyClient(t, &lose, &sent)
	be := open(t, client, nil)
	warm(t, be)

	sent.Store(0)
	lose.Store(true)
	c := claim("k")
	_, err := be.Leases().Acquire(within(t, 2*time.Second), c)
	if !errors.Is(err, lease.ErrUnavailable) || !errors.Is(err, io.EOF) {
		t.Errorf("lost answer: %v", err)
	}
	if n := sent.Load(); n != 1 {
		t.Errorf("sent %d times", n)
	}
	lose.Store(false)
	renew(t, be, c, false, lease.Granted) // it had arrived
	first := acquire(t, be, c, lease.Granted)
	if again := acquire(t, be, c, lease.Granted); again.Token != first.Token {
		t.Error("the same attempt got two tokens")
	}
}

// One request of a large renewal fails; the others are answered.
func TestFailedChunkSpoilsNoOther(t *testing.T) {
	be, h, _ := counted(t)
	holder, waiter := claim("k"), claim("k")
	acquire(t, be, holder, lease.Granted)
	acquire(t, be, waiter, lease.Queued)
	n := 0
	h.set(only(scriptHold, func(_ context.Context, _ redis.Cmder, next func() error) error {
		if n++; n == 1 {
			return io.ErrUnexpectedEOF
		}
		return next()
	}))
	items := make([]lease.Renewal, 250)
	for i := range items {
		items[i] = lease.Renewal{Key: "k", Attempt: holder.Attempt, TTL: holder.TTL}
	}
	items[0] = lease.Renewal{Key: "k", Attempt: waiter.Attempt, TTL: waiter.TTL, Waiting: true}
	for i, a := range be.Leases().Renew(within(t, 5*time.Second), items) {
		switch {
		case i == 0 && a.Status == lease.Queued:
		case i >= 1 && i <= 100 && errors.Is(a.Err, lease.ErrUnavailable) && errors.Is(a.Err, io.ErrUnexpectedEOF):
		case i > 100 && a.Status == lease.Granted:
		default:
			t.Fatalf("item %d: %+v", i, a)
		}
	}
	if n != 3 {
		t.Errorf("%d requests for holders, want 3", n)
	}
}
