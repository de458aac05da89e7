package election_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/election"
)

// The claim of a term that ended in good order is lost while its work winds up. The next leader does not
// wait for the work then, and the hooks say so.
func TestClaimLostWhileDraining(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		const work = 30 * time.Second
		var ended, drained []election.Info
		a := join(id("a"), &election.Options{Drain: time.Minute, Hooks: &election.Hooks{
			Ended:   func(i election.Info) { ended = append(ended, i) },
			Drained: func(i election.Info) { drained = append(drained, i) },
		}})
		b := join(id("b"), nil)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			err := a.Run(ctx, func(ctx context.Context, _ election.Term) error {
				<-ctx.Done()
				be.Control().Revoke("election/billing", "maintenance")
				time.Sleep(work)
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		leads(t, b, "a")
		stop()
		asked := time.Now()
		campaign(t, b)
		if d := time.Since(asked); d >= work {
			t.Errorf("the next leader waited for %v", d)
		}
		wg.Wait()
		if len(ended) != 1 || cause(ended[0].Err) != election.Resigned {
			t.Errorf("ended: %+v", ended)
		}
		if len(drained) != 1 || drained[0].Err == nil || drained[0].Wait != work {
			t.Errorf("drained: %+v", drained)
		}
	})
}

// A candidate of higher priority gives the leader its own Drain, which is shorter than that of the leader.
func TestWorkOutlastsTheDrainOfWhoPreempts(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		const work, patience = 30 * time.Second, 10 * time.Second
		var drained []election.Info
		low := join(id("low"), &election.Options{Drain: time.Minute, Hooks: &election.Hooks{
			Drained: func(i election.Info) { drained = append(drained, i) },
		}})
		high := join(election.Candidate{ID: "high", Priority: 1}, &election.Options{Drain: patience})
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		ended := make(chan time.Time, 1)
		wg.Go(func() {
			_ = low.Run(ctx, func(ctx context.Context, _ election.Term) error {
				<-ctx.Done()
				ended <- time.Now()
				time.Sleep(work)
				return nil
			})
		})
		leads(t, high, "low")
		campaign(t, high)
		if d := time.Since(<-ended); d != patience {
			t.Errorf("led %v after the term had ended, want %v", d, patience)
		}
		time.Sleep(work)
		stop()
		wg.Wait()
		if len(drained) != 1 || drained[0].Err == nil || drained[0].Wait != work {
			t.Errorf("drained: %+v", drained)
		}
	})
}

// Drained is told of work that ended after its term, however soon, and of no other.
func TestDrainedIsToldOnceATerm(t *testing.T) {
	for name, want := range map[string]int{"the term ends first": 1, "the work ends first": 0} {
		t.Run(name, func(t *testing.T) {
			for range 50 {
				bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
					told := 0
					a := join(id("a"), &election.Options{Hooks: &election.Hooks{Drained: func(election.Info) { told++ }}})
					ctx, stop := context.WithCancel(t.Context())
					defer stop()
					_ = a.Run(ctx, func(ctx context.Context, _ election.Term) error {
						if want > 0 {
							stop()
							<-ctx.Done()
						}
						return nil
					})
					if told != want {
						t.Errorf("told %d times, want %d", told, want)
					}
				})
			}
		})
	}
}
