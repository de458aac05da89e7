package redisbackend

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lease"
)

// An acquire that the network holds back past its deadline is refused by the server.
func TestLateAcquireIsRefused(t *testing.T) {
	o := clientOptions(address(t))
	o.ContextTimeoutEnabled = false // else the client would not even send it
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	h := &hook{}
	client.AddHook(h)
	be := open(t, client, nil)
	warm(t, be)
	for range 5 { // a tight reference
		_ = be.readTime(context.Background(), &be.sites[0])
	}
	c := claim("k")
	h.set(only(scriptAcquire, late(t, 20*time.Millisecond)))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	a, err := be.Leases().Acquire(ctx, c)
	if !errors.Is(err, lease.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("late acquire: %v, %v", a, err)
	}
	h.set(nil)
	if s, err := be.Leases().Inspect(context.Background(), "k"); err != nil || len(s.Holders) != 0 {
		t.Errorf("late acquire left %+v, %v", s, err)
	}
}

// A reference that is behind (the server's clock has stepped) costs one more request, once.
func TestStaleReference(t *testing.T) {
	be, h, _ := counted(t)
	warm(t, be)
	behind := func() { be.sites[0].clock.reset(time.Now(), time.Now().Add(-time.Hour).UnixMilli()) }
	behind()
	h.take()
	acquire(t, be, claim("a"), lease.Granted)
	if n, _, _ := h.take(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	acquire(t, be, claim("b"), lease.Granted)
	if n, _, _ := h.take(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	behind()
	h.set(only(scriptAcquire, func(_ context.Context, cmd redis.Cmder, next func() error) error {
		cmd.Args()[12] = int64(1) // notAfter
		return next()
	}))
	h.take()
	if _, err := be.Leases().Acquire(within(t, 5*time.Second), claim("c")); !errors.Is(err, lease.ErrUnavailable) {
		t.Errorf("stale twice: %v", err)
	}
	if n, _, _ := h.take(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// The acquire arrives after the release of its attempt, on another connection.
func TestTombstoneStopsLateCopy(t *testing.T) {
	for _, uncertain := range []bool{true, false} {
		be, _, client := counted(t)
		warm(t, be)
		c := claim("k")
		var copied []any
		h := &hook{}
		client.AddHook(h)
		h.set(only(scriptAcquire, func(_ context.Context, cmd redis.Cmder, _ func() error) error {
			copied = append([]any(nil), cmd.Args()...)
			return context.DeadlineExceeded // lost on its way
		}))
		if _, err := be.Leases().Acquire(within(t, 5*time.Second), c); !errors.Is(err, lease.ErrUnavailable) {
			t.Fatal(err)
		}
		h.set(nil)
		r := lease.Release{Key: c.Key, Attempt: c.Attempt, Uncertain: uncertain}
		if was, err := be.Leases().Release(within(t, 5*time.Second), r); was != lease.WasNothing || err != nil {
			t.Fatal(was, err)
		}
		copied[0], copied[1] = argEval, scriptAcquire.source
		v, err := client.Do(context.Background(), copied...).Text()
		if want := map[bool]string{true: "X", false: "G"}[uncertain]; err != nil || !strings.HasPrefix(v, want+" ") {
			t.Errorf("uncertain %t: the late copy is answered %q, %v", uncertain, v, err)
		}
		name := tombstoneOf(be.names, c.Key, string(c.Attempt))
		life := client.PTTL(context.Background(), name).Val()
		if uncertain && (life < 4*time.Second || life > openEnd+time.Second) {
			t.Errorf("the tombstone lives %v", life)
		}
	}
}

func TestTokensRise(t *testing.T) {
	be, _, client := counted(t)
	ctx := context.Background()
	_, _, _, counter := be.names.lease("k")
	var last uint64
	grant := func(what string) {
		t.Helper()
		c := claim("k")
		a := acquire(t, be, c, lease.Granted)
		if a.Token <= last {
			t.Errorf("%s: token %d after %d", what, a.Token, last)
		}
		last = a.Token
		release(t, be, c, lease.WasHeld)
	}
	grant("first")
	if err := client.Del(ctx, counter.(string)).Err(); err != nil {
		t.Fatal(err)
	}
	grant("counter evicted")
	ahead := uint64(time.Now().Add(time.Hour).UnixMicro())
	if err := client.Set(ctx, counter.(string), strconv.FormatUint(ahead, 10), 0).Err(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		grant("counter ahead of the clock")
	}
	if last != ahead+3 {
		t.Errorf("token %d, want %d", last, ahead+3)
	}
}

// The queue was evicted: waiting claims come back with their next renewal.
func TestQueueEvicted(t *testing.T) {
	be, _, client := counted(t)
	holder, first, second := claim("k"), claim("k"), claim("k")
	acquire(t, be, holder, lease.Granted)
	acquire(t, be, first, lease.Queued)
	acquire(t, be, second, lease.Queued)
	_, queue, _, _ := be.names.lease("k")
	if err := client.Del(context.Background(), queue).Err(); err != nil {
		t.Fatal(err)
	}
	if a := renew(t, be, second, true, lease.Queued); a.Rank != 0 {
		t.Errorf("rank %d", a.Rank)
	}
	if a := acquire(t, be, first, lease.Queued); a.Rank != 1 {
		t.Errorf("rank %d", a.Rank)
	}
	if ttl := client.PTTL(context.Background(), queue).Val(); ttl <= 0 {
		t.Errorf("the queue lives %v", ttl)
	}
	release(t, be, holder, lease.WasHeld)
	renew(t, be, second, true, lease.Granted)
	renew(t, be, first, true, lease.Queued)
}

// Both waiters of a batch are nearly dead, and the holder has just lapsed. Granting to the first
// must not drop the second.
func TestBatchOfTwoWaiters(t *testing.T) {
	be, _, client := counted(t)
	holder, first, second := claim("k"), claim("k"), claim("k")
	acquire(t, be, holder, lease.Granted)
	acquire(t, be, first, lease.Queued)
	acquire(t, be, second, lease.Queued)
	hash, _, _, _ := be.names.lease("k")
	now, err := client.Time(context.Background()).Result()
	if err != nil {
		t.Fatal(err)
	}
	age := func(c lease.Claim, end time.Time) { // as if it had been sent long ago
		name := "c" + string(c.Attempt)
		record := strings.Fields(client.HGet(context.Background(), hash, name).Val())
		record[6] = strconv.FormatInt(end.UnixMilli(), 10)
		client.HSet(context.Background(), hash, name, strings.Join(record, " "))
	}
	age(holder, now.Add(-time.Second))
	age(first, now.Add(200*time.Millisecond))
	age(second, now.Add(200*time.Millisecond))
	var items []lease.Renewal
	for _, c := range []lease.Claim{first, second} {
		items = append(items, lease.Renewal{Key: "k", Attempt: c.Attempt, TTL: c.TTL, Waiting: true})
	}
	a := be.Leases().Renew(within(t, 5*time.Second), items)
	if a[0].Status != lease.Granted || a[0].Left != 10*time.Second || a[1].Status != lease.Queued || a[1].Rank != 0 {
		t.Errorf("answers %+v", a)
	}
	renew(t, be, holder, false, lease.Unknown)
	time.Sleep(250 * time.Millisecond)
	renew(t, be, second, true, lease.Queued)
}

// Dead waiters behind a live head make room when the queue is full.
func TestFullQueue(t *testing.T) {
	be, _, _ := counted(t)
	be.maxq = 3
	holder, head := claim("k"), claim("k")
	acquire(t, be, holder, lease.Granted)
	acquire(t, be, head, lease.Queued)
	for range 2 {
		dead := claim("k")
		dead.TTL = lease.MinTTL
		acquire(t, be, dead, lease.Queued)
	}
	acquire(t, be, claim("k"), lease.Full)
	time.Sleep(lease.MinTTL + 10*time.Millisecond)
	late := claim("k")
	if a := acquire(t, be, late, lease.Queued); a.Rank != 1 {
		t.Errorf("rank %d", a.Rank)
	}
	if s, err := be.Leases().Inspect(within(t, time.Second), "k"); err != nil || s.Waiting != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

// Nothing of a key is left when its last claim has ended, and the rest expires by itself.
func TestNothingIsLeft(t *testing.T) {
	be, _, client := counted(t)
	c, w := claim("k"), claim("k")
	c.Owner, w.Meta = "me", []byte("data")
	acquire(t, be, c, lease.Granted)
	acquire(t, be, w, lease.Queued)
	hash, queue, _, _ := be.names.lease("k")
	ctx := context.Background()
	for _, name := range []string{hash, queue} {
		if ttl := client.PTTL(ctx, name).Val(); ttl < c.TTL || ttl > c.TTL+2*time.Second {
			t.Errorf("%s lives %v", name, ttl)
		}
	}
	release(t, be, w, lease.WasWaiting)
	release(t, be, c, lease.WasHeld)
	keys := client.Keys(ctx, be.opt.Prefix+":*").Val()
	if _, _, _, counter := be.names.lease("k"); len(keys) != 1 || keys[0] != counter {
		t.Errorf("left: %q", keys)
	}
}

// Out of memory, new claims fail, and what keeps or ends claims works.
func TestOutOfMemory(t *testing.T) {
	client := connect(t, ownServer(t))
	be := open(t, client, &Options{Prefix: "test"})
	ctx := context.Background()
	holder, waiter, quitter := claim("k"), claim("k"), claim("k")
	acquire(t, be, holder, lease.Granted)
	acquire(t, be, waiter, lease.Queued)
	acquire(t, be, quitter, lease.Queued)
	if err := client.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []lease.Claim{claim("new"), claim("k")} {
		_, err := be.Leases().Acquire(within(t, 5*time.Second), c)
		if !errors.Is(err, lease.ErrUnavailable) || !redis.IsOOMError(err) {
			t.Errorf("acquire: %v", err)
		}
	}
	renew(t, be, holder, false, lease.Granted)
	renew(t, be, waiter, true, lease.Queued)
	gone := lease.Release{Key: "k", Attempt: lease.NewAttempt(), Uncertain: true}
	if was, err := be.Leases().Release(within(t, 5*time.Second), gone); was != lease.WasNothing || err != nil {
		t.Errorf("tombstone: %v, %v", was, err)
	}
	if client.Exists(ctx, tombstoneOf(be.names, "k", string(gone.Attempt))).Val() != 1 {
		t.Error("the tombstone is missing")
	}
	release(t, be, quitter, lease.WasWaiting)
	release(t, be, holder, lease.WasHeld)
	renew(t, be, waiter, false, lease.Granted)
	release(t, be, waiter, lease.WasHeld)
}

// A key of the caller that happens to have one of our names is an error, not a panic or a loop.
func TestForeignKey(t *testing.T) {
	be, _, client := counted(t)
	hash, _, _, _ := be.names.lease("k")
	client.Set(context.Background(), hash, "x", 0)
	_, err := be.Leases().Acquire(within(t, 5*time.Second), claim("k"))
	if err == nil || errors.Is(err, lease.ErrUnavailable) || !redis.HasErrorPrefix(err, "WRONGTYPE") {
		t.Error(err)
	}
}

// A key in a mode that this version does not know is in use, with another limit.
func TestOtherMode(t *testing.T) {
	be, _, client := counted(t)
	hash, _, _, _ := be.names.lease("k")
	client.HSet(context.Background(), hash, "m", "t", "lim", "5")
	c := claim("k")
	if a := acquire(t, be, c, lease.Conflict); a.Limit != 5 {
		t.Errorf("limit %d", a.Limit)
	}
	renew(t, be, c, true, lease.Unknown)
	release(t, be, c, lease.WasNothing)
	if client.HGet(context.Background(), hash, "m").Val() != "t" {
		t.Error("it was changed")
	}
}

// A later version may have claimed with a lock-delay: its seat blocks for as long.
func TestDelayOfAnotherVersion(t *testing.T) {
	for _, force := range []bool{false, true} {
		be, _, client := counted(t)
		ctx, c := within(t, 5*time.Second), claim("k")
		g := acquire(t, be, c, lease.Granted)
		hash, _, _, _ := be.names.lease("k")
		record := strings.Fields(client.HGet(ctx, hash, "c"+string(c.Attempt)).Val())
		record[4] = "300"
		client.HSet(ctx, hash, "c"+string(c.Attempt), strings.Join(record, " "))
		if force {
			if found, err := be.Leases().Revoke(ctx, lease.Revocation{Key: "k", Token: g.Token, Force: true}); !found || err != nil {
				t.Fatal(found, err)
			}
		} else if was, err := be.Leases().Release(ctx, lease.Release{Key: "k", Attempt: c.Attempt, Unclean: true}); was != lease.WasHeld || err != nil {
			t.Fatal(was, err)
		}
		ended := time.Now()
		renew(t, be, c, false, lease.Unknown)
		release(t, be, c, lease.WasLapsed) // a late release does not cut it short
		try := claim("k")
		try.Queue = false
		acquire(t, be, try, lease.Held)
		acquire(t, be, c, lease.Held)
		eventually(t, "the delay is over", func() bool {
			a, err := be.Leases().Acquire(ctx, try)
			return err == nil && a.Status == lease.Granted
		})
		if d := time.Since(ended); d < 250*time.Millisecond {
			t.Errorf("blocked for %v", d)
		}
	}
}
