package election_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/election"
)

// Drained is told of work whose term has ended before it, and never of a func that returns while it
// leads.
func TestDrainedIsExact(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		drained := 0
		a := join(id("a"), &election.Options{Hooks: &election.Hooks{Drained: func(election.Info) { drained++ }}})
		for range 100 {
			if err := a.Run(t.Context(), func(context.Context, election.Term) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if drained != 0 {
			t.Errorf("drained %d times", drained)
		}
		for range 100 {
			ctx, stop := context.WithCancel(t.Context())
			_ = a.Run(ctx, func(ctx context.Context, _ election.Term) error {
				stop()
				<-ctx.Done()
				return nil
			})
		}
		if drained != 100 {
			t.Errorf("drained %d times, want 100", drained)
		}
	})
}

// Close ends Run also where the candidate's health is checked, and is no change of it.
func TestCloseEndsRun(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		a := join(id("a"), &election.Options{
			Healthy: func(context.Context) error { return nil },
			Hooks:   &election.Hooks{Health: func(i election.Info) { t.Errorf("health: %v", i.Err) }},
		})
		ended := make(chan error)
		go func() {
			ended <- a.Run(t.Context(), func(ctx context.Context, _ election.Term) error {
				<-ctx.Done()
				time.Sleep(time.Second) // until Close has returned
				return nil
			})
		}()
		synctest.Wait()
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, election.ErrClosed) {
			t.Error(err)
		}
	})
}

// A check that returns at once is not taken for one that hangs, however often it is made.
func TestWellStaysWell(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		a := join(id("a"), &election.Options{
			Healthy: func(context.Context) error { return nil },
			Hooks:   &election.Hooks{Health: func(i election.Info) { t.Errorf("health: %v", i.Err) }},
		})
		ctx, stop := context.WithTimeout(t.Context(), 24*time.Hour)
		defer stop()
		terms := 0
		_ = a.Run(ctx, func(ctx context.Context, _ election.Term) error {
			terms++
			<-ctx.Done()
			return nil
		})
		if terms != 1 {
			t.Errorf("%d terms", terms)
		}
	})
}

// Close returns when the end of the term has been reported, which comes after its beginning.
func TestCloseReportsTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		for range 100 {
			var mu sync.Mutex
			var told []string
			tell := func(what string) func(election.Info) {
				return func(election.Info) {
					mu.Lock()
					defer mu.Unlock()
					told = append(told, what)
				}
			}
			a := join(id("a"), &election.Options{Hooks: &election.Hooks{Elected: tell("elected"), Ended: tell("ended")}})
			campaign(t, a)
			if err := a.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			if !slices.Equal(told, []string{"elected", "ended"}) {
				t.Fatalf("told %q", told)
			}
			mu.Unlock()
		}
	})
}
