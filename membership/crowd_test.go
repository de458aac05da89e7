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

// reads counts how often the seats of a group are read, which may take a while or fail, and how many are
// asked for at once.
type reads struct {
	lease.Backend
	takes time.Duration
	fails time.Time // up to when they fail
	n     atomic.Int32

	asking, most atomic.Int32 // how many ask for a seat, and did at once
}

func (r *reads) Acquire(ctx context.Context, c lease.Claim) (lease.Answer, error) {
	r.most.Store(max(r.most.Load(), r.asking.Add(1)))
	defer r.asking.Add(-1)
	return r.Backend.Acquire(ctx, c)
}

func (r *reads) Seats(ctx context.Context, key, cursor string) ([]lease.Party, string, error) {
	r.n.Add(1)
	time.Sleep(r.takes)
	if time.Now().Before(r.fails) {
		return nil, "", membership.ErrUnavailable
	}
	return r.Backend.Seats(ctx, key, cursor)
}

// openOn opens the group on a backend of the test's own.
func openOn(t *testing.T, b lease.Backend) *membership.Group {
	t.Helper()
	g, err := membership.New(b, "api", &membership.Options{TTL: ttl, Hooks: &membership.Hooks{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// Members of a process that join at the same time take turns and read the group together, or a crowd would
// be too much for its engine. Of two with one ID one gets in all the same.
func TestCrowdJoins(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, _ opener) {
		const crowd = 100
		counted := &reads{Backend: be.Leases()}
		g := openOn(t, counted)
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
		if n := counted.n.Load(); n > crowd/3 {
			t.Errorf("%d members read the group %d times", crowd, n)
		}
		if n := counted.most.Load(); n > 10 {
			t.Errorf("%d asked for their seats at the same time", n)
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
	})
}

// Who joins does not wait for a slow read that others want when its own context ends.
func TestJoinGivesUpASharedRead(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, _ opener) {
		slow := &reads{Backend: be.Leases(), takes: 300 * time.Millisecond}
		g := openOn(t, slow)
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
	})
}

// An engine that is too busy to be read is borne for as long as Join says.
func TestJoinOutlastsABusyEngine(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, _ opener) {
		busy := &reads{Backend: be.Leases()}
		g := openOn(t, busy)
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
	})
}
