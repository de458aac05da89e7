package redisbackend

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/concord-go/concord/lease"
)

// watchKey observes a key and returns what it is told, once it is listening.
func watchKey(t *testing.T, be *Backend, key string) <-chan lease.Change {
	t.Helper()
	told := make(chan lease.Change, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = be.Leases().Observe(ctx, key, func(c lease.Change) { told <- c })
	}()
	t.Cleanup(func() { cancel(); <-done })
	expect(t, told, lease.Change{Kind: lease.ChangeGap})
	return told
}

func expect(t *testing.T, told <-chan lease.Change, want lease.Change) {
	t.Helper()
	select {
	case got := <-told:
		if got.Kind != want.Kind || got.Party.Token != want.Party.Token {
			t.Errorf("told %+v, want %+v", got, want)
		}
	case <-time.After(3 * lease.MaxNotice):
		t.Fatalf("not told %+v", want)
	}
}

func change(kind lease.ChangeKind, token uint64) lease.Change {
	return lease.Change{Kind: kind, Party: lease.Party{Token: token}}
}

func announced(key string) lease.Claim {
	c := claim(key)
	c.Announce = true
	return c
}

// A connection that breaks, a message that is lost and a server that forgets are gaps, and each is
// told once.
func TestObserverHearsOfGaps(t *testing.T) {
	client := connect(t, ownServer(t))
	be := open(t, client, &Options{Prefix: "test"})
	told := watchKey(t, be, "k")
	turn := func() (seated, ended lease.Change) {
		c := announced("k")
		a := acquire(t, be, c, lease.Granted)
		release(t, be, c, lease.WasHeld)
		return change(lease.ChangeSeated, a.Token), change(lease.ChangeEnded, a.Token)
	}
	all := func(changes ...lease.Change) {
		t.Helper()
		for _, c := range changes {
			expect(t, told, c)
		}
	}
	gap := lease.Change{Kind: lease.ChangeGap}
	s, e := turn()
	all(s, e)

	hash, _, _, _ := be.names.lease("k")
	client.HIncrBy(t.Context(), hash, "p", 1) // a change that was not heard
	s, e = turn()
	all(gap, s, e)

	client.FlushAll(t.Context())
	s, e = turn()
	all(gap, s, e)

	client.HIncrBy(t.Context(), hash, "p", 1) // and none comes after it
	all(gap)
	client.FlushAll(t.Context()) // nobody uses the key afterwards
	all(gap)

	for _, nonsense := range []string{"", "S", "S 1", "E 0 1", "X 1 1", "E 1 1 1", "E 1 x", "E 1 0", "S 1 1", "S 1 1 att 1 0"} {
		client.Publish(t.Context(), be.names.observed("k"), nonsense)
	}
	s, e = turn()
	all(s, e)

	if n := client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Val(); n == 0 {
		t.Fatal("there was no subscription")
	}
	all(gap, gap) // it is cut off, and it is back
	s, e = turn()
	all(s, e)
	if len(told) > 0 {
		t.Errorf("more was told: %+v", <-told)
	}
}

// The numbers outlive the claims, but not for ever; a key that is not announced has none.
func TestAnnouncedKeyIsForgotten(t *testing.T) {
	be, _, client := counted(t)
	hash, _, _, _ := be.names.lease("k")
	c := announced("k")
	acquire(t, be, c, lease.Granted)
	release(t, be, c, lease.WasHeld)
	if left := client.PTTL(t.Context(), hash).Val(); left <= 59*time.Minute || left > time.Hour {
		t.Errorf("kept for %v", left)
	}
	quiet := claim("quiet")
	acquire(t, be, quiet, lease.Granted)
	release(t, be, quiet, lease.WasHeld)
	name, _, _, _ := be.names.lease("quiet")
	if n := client.Exists(t.Context(), name).Val(); n != 0 {
		t.Error("a key that is not announced was kept")
	}
	other := claim("k") // a claim that does not ask for it is announced too
	told := watchKey(t, be, "k")
	a := acquire(t, be, other, lease.Granted)
	expect(t, told, change(lease.ChangeSeated, a.Token))
}

func TestObserveEndsWithTheBackend(t *testing.T) {
	_, _, client := counted(t)
	be := open(t, client, nil)
	ended := make(chan error, 1)
	listening := make(chan struct{})
	go func() {
		ended <- be.Leases().Observe(context.Background(), "k", func(lease.Change) { close(listening) })
	}()
	<-listening
	if err := be.Close(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; fmt.Sprint(err) != "redisbackend: observe: closed" {
		t.Error(err)
	}
}
