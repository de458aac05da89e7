package electionfaults

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
)

// A candidate of higher priority joins: the leader winds up under its claim, and the next begins after
// that.
func TestPriorityCandidateTakesOver(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		needs(t, s, "priorities", priorities)
		const ttl, windUp = 3 * time.Second, 700 * time.Millisecond
		c := newChronicle(t)
		low := join(t, s, election.Candidate{ID: "low"}, election.Options{TTL: ttl}, nil)
		low.run(t, c, windUp)
		first := c.led(t)
		list := start(t, s, c, 2, election.Options{TTL: ttl}) // of the same priority, and first in line
		waiting(t, low, 2)
		high := join(t, s, election.Candidate{ID: "high", Priority: 5}, election.Options{TTL: ttl}, nil)
		joined := time.Now()
		high.run(t, c, 0)
		next := c.after(t, joined)
		old := c.over(t, first.term)
		if next.id != "high" || causeOf(old.cause) != election.Preempted {
			t.Errorf("%s leads; the former leader: %v", next.id, old.cause)
		}
		if next.began.Before(old.drained) {
			t.Errorf("the next led %v before the work of the former had ended", old.drained.Sub(next.began))
		}
		// It looks after 50 ms, or a TTL later if it was not in line yet; the leader hears of it with its next
		// renewal at the latest.
		if d := next.began.Sub(joined); d > ttl+ttl/3+windUp+slack {
			t.Errorf("took over after %v", d)
		}
		waiting(t, low, 3)
		high.stop()
		if again := c.after(t, next.began); again.id != list[0].id && again.id != list[1].id {
			t.Errorf("%s leads after that, want the first in line", again.id)
		}
		c.check(t, orderly)
		t.Logf("asked to leave after %v, took over after %v, of which %v were the work's",
			round(old.ended.Sub(joined)), round(next.began.Sub(joined)), windUp)
	})
}

// A candidate of high priority comes and goes all the time. MinTerm bounds how often the leader changes.
func TestMinTermBoundsFlapping(t *testing.T) {
	t.Parallel()
	for _, minTerm := range []time.Duration{0, 1500 * time.Millisecond} {
		t.Run(fmt.Sprint(minTerm), func(t *testing.T) {
			t.Parallel()
			stores.Every(t, func(t *testing.T, s stores.Store) {
				needs(t, s, "priorities", priorities)
				const visits, ttl = 4, 6 * time.Second
				c := newChronicle(t)
				low := join(t, s, election.Candidate{ID: "low"}, election.Options{TTL: ttl}, nil)
				low.run(t, c, 0)
				began := time.Now()
				for range visits {
					c.led(t)
					high := join(t, s, election.Candidate{ID: "high", Priority: 5}, election.Options{TTL: ttl, MinTerm: minTerm}, nil)
					joined := time.Now()
					l, err := high.Campaign(suite.Soon(t))
					suite.Must(t, err)
					// It looks soon, or a TTL later if it was not in line yet; the leader hears of it with its next
					// renewal at the latest.
					if d := time.Since(joined); d < minTerm || d > minTerm+ttl+ttl/3+slack {
						t.Errorf("took over after %v, with a MinTerm of %v", d, minTerm)
					}
					suite.Must(t, resign(l))
					suite.Must(t, high.Close(t.Context()))
				}
				took := time.Since(began)
				if n := len(c.all()); n < visits {
					t.Errorf("%d terms of the leader of low priority for %d visits", n, visits)
				}
				c.check(t, orderly)
				t.Logf("%d visits in %v", visits, round(took))
			})
		})
	}
}

// crowned is a candidate that has begun to lead.
type crowned struct {
	*election.Leadership
	id   string
	err  error
	over chan struct{} // closed when it has handed over
}

// A leader hands over to the candidate that it names, not to the first in line, while others look on,
// come and give up.
func TestTransferUnderLoad(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		needs(t, s, "transfers", transfers)
		const candidates, transfers, ttl = 6, 60, 15 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), 2*suite.Eventually)
		defer cancel()
		led := make(chan crowned)
		var running group
		for i := range candidates {
			p := join(t, s, election.Candidate{ID: fmt.Sprint(i)}, election.Options{TTL: ttl}, nil)
			running.Go(func() {
				for {
					l, err := p.Campaign(ctx)
					if ctx.Err() != nil {
						if err == nil {
							_ = l.Resign(ctx)
						}
						return
					}
					over := make(chan struct{})
					led <- crowned{l, p.id, err, over}
					if err != nil {
						return
					}
					<-over
				}
			})
		}
		restless := join(t, s, election.Candidate{ID: "restless"}, election.Options{TTL: ttl}, nil)
		gaveUp := 0
		running.Go(func() { // waits for a while, again and again
			for ctx.Err() == nil {
				short, stop := context.WithTimeout(ctx, 20*time.Millisecond)
				l, err := restless.Campaign(short)
				stop()
				switch {
				case err != nil:
					gaveUp++
				case ctx.Err() != nil:
					_ = l.Resign(ctx)
				default:
					over := make(chan struct{})
					led <- crowned{l, restless.id, nil, over}
					<-over
				}
			}
		})
		watcher := join(t, s, election.Candidate{ID: "watcher"}, election.Options{TTL: ttl}, nil)
		looks := 0
		running.Go(func() {
			for ctx.Err() == nil {
				if _, err := watcher.Leader(ctx); err != nil && !errors.Is(err, election.ErrNoLeader) && ctx.Err() == nil {
					t.Errorf("look: %v", err)
				}
				looks++
			}
		})
		leader := <-led
		var took []time.Duration
		for n := range transfers {
			suite.Must(t, leader.err)
			heir := fmt.Sprint(n % candidates)
			if heir == leader.id {
				heir = fmt.Sprint((n + 1) % candidates)
			}
			var begun time.Time
			suite.Wait(t, "the heir waits", func() bool {
				begun = time.Now()
				err := leader.TransferTo(ctx, heir)
				if errors.Is(err, election.ErrUncertain) {
					return true
				}
				if err != nil && !errors.Is(err, election.ErrNoCandidate) {
					t.Fatal(err)
				}
				return err == nil
			})
			close(leader.over)
			next := <-led
			took = append(took, time.Since(begun))
			if next.id != heir || next.Term() <= leader.Term() {
				cancel()
				t.Fatalf("%s leads term %v, after term %v was handed to %s", next.id, next.Term(), leader.Term(), heir)
			}
			leader = next
		}
		cancel()
		suite.Must(t, resign(leader.Leadership))
		close(leader.over)
		running.wait(t)
		if gaveUp == 0 || looks < transfers {
			t.Errorf("%d gave up, %d looks: no load", gaveUp, looks)
		}
		t.Logf("%d transfers, p50 %v, p99 %v; %d gave up, %d looks", len(took), quantile(took, 50), quantile(took, 99), gaveUp, looks)
	})
}
