package etcdbackend

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/election"
)

// Terms go from candidate to candidate, higher priority first, and an observer is told each of them.
func TestElection(t *testing.T) {
	be, _ := processes(t, 3)
	join := func(be *Backend, id string, priority int) *election.Election {
		e, err := election.New(be.Leases(), "billing", election.Candidate{ID: id, Priority: priority},
			&election.Options{TTL: 3 * time.Second, Hooks: &election.Hooks{}})
		return closing(t, e, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var told []string
	listening := make(chan struct{}, 1)
	var wg sync.WaitGroup
	watcher := join(be[0], "watcher", 0)
	wg.Go(func() {
		for event, err := range watcher.Observe(ctx) {
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			mu.Lock()
			told = append(told, fmt.Sprint(event.Kind, " ", event.Leader.ID))
			mu.Unlock()
			select {
			case listening <- struct{}{}:
			default:
			}
		}
	})
	<-listening
	low, high := join(be[1], "low", 0), join(be[2], "high", 3)
	lead := func(e *election.Election) func() {
		running, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = e.Run(running, func(ctx context.Context, _ election.Term) error { <-ctx.Done(); return nil })
		}()
		return func() { stop(); <-done }
	}
	// leads waits until the observer has been told, which looks at a leader only while there is one.
	leads := func(id string) {
		t.Helper()
		eventually(t, id+" leads", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return told[len(told)-1] == "elected "+id
		})
	}
	stopLow := lead(low)
	leads("low")
	stopHigh := lead(high)
	leads("high") // low is asked to leave, does so, and waits behind
	stopHigh()
	leads("low")
	stopLow()
	want := []string{"vacant ", "elected low", "vacant ", "elected high", "vacant ", "elected low", "vacant "}
	eventually(t, "all is told", func() bool { mu.Lock(); defer mu.Unlock(); return len(told) >= len(want) })
	stop()
	wg.Wait()
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
