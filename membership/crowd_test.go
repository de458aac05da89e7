package membership_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/membership"
)

// reads counts how often the seats of a group are read, which takes a while.
type reads struct {
	lease.Backend
	takes time.Duration
	fails time.Time // up to when they fail
	n     atomic.Int32
}

func (r *reads) Seats(ctx context.Context, key, cursor string) ([]lease.Party, string, error) {
	r.n.Add(1)
	time.Sleep(r.takes)
	if time.Now().Before(r.fails) {
		return nil, "", membership.ErrUnavailable
	}
	return r.Backend.Seats(ctx, key, cursor)
}

// Members that join at the same time read the group once for all of them, or a crowd would be too much for
// its engine. Of two with one ID only one may come of it.
func TestCrowdReadsTheGroupOnce(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, _ opener) {
		const crowd = 100
		counted := &reads{Backend: be.Leases()}
		g, err := membership.New(counted, "api", &membership.Options{TTL: ttl, Hooks: &membership.Hooks{}})
		if err != nil {
			t.Fatal(err)
		}
		be.Control().Delay(10 * time.Millisecond)
		var all sync.WaitGroup
		for i := range crowd {
			all.Go(func() {
				if _, err := g.Join(t.Context(), member(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := counted.n.Load(); n > 2 {
			t.Errorf("%d members read the group %d times", crowd, n)
		}
		twice := make(chan error)
		for range 2 {
			go func() {
				_, err := g.Join(t.Context(), member("twice"))
				twice <- err
			}()
		}
		if a, b := <-twice, <-twice; (a == nil) == (b == nil) {
			t.Errorf("two of one ID: %v, %v", a, b)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// Who joins does not wait for a slow read that others want when its own context ends.
func TestJoinGivesUpASharedRead(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, _ opener) {
		slow := &reads{Backend: be.Leases(), takes: 300 * time.Millisecond}
		g, err := membership.New(slow, "api", &membership.Options{TTL: ttl, Hooks: &membership.Hooks{}})
		if err != nil {
			t.Fatal(err)
		}
		hasty, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		patient := make(chan error)
		go func() {
			_, err := g.Join(t.Context(), member("patient"))
			patient <- err
		}()
		start := time.Now()
		if _, err := g.Join(hasty, member("hasty")); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 20*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if err := <-patient; err != nil {
			t.Error(err)
		}
		if got := ids(t, g); got != "patient" {
			t.Errorf("in the group: %q", got)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// An engine that is too busy to be read is borne for as long as Join says.
func TestJoinOutlastsABusyEngine(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, _ opener) {
		busy := &reads{Backend: be.Leases()}
		g, err := membership.New(busy, "api", &membership.Options{TTL: ttl, Hooks: &membership.Hooks{}})
		if err != nil {
			t.Fatal(err)
		}
		busy.fails = time.Now().Add(ttl * 2 / 3)
		join(t, g, member("a"))
		busy.fails = time.Now().Add(time.Hour)
		start := time.Now()
		if _, err := g.Join(t.Context(), member("b")); !errors.Is(err, membership.ErrUnavailable) || time.Since(start) > 2*ttl {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		busy.fails = time.Time{}
		if got := ids(t, g); got != "a" {
			t.Errorf("in the group: %q", got)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
