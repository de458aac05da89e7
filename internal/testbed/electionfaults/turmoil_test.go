package electionfaults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
)

// Candidates take short terms over networks that lose and delay, and that are cut now and then. No two lead
// at once, nobody waits for long, and an observer whose network is well is told every term.
func TestTurmoil(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		const candidates, lasts, ttl = 5, 12 * time.Second, leastTTL
		seed := faultnet.Seed(t)
		dice := rand.New(rand.NewPCG(seed, 0))
		c := newChronicle(t)
		observed := can(t, s, announces)
		var near, far *witness
		if observed {
			near = watch(t, observer(t, s, "near", nil))
		}
		weather := faultnet.Rules{
			Requests: faultnet.Faults{Reset: 0.005, Jitter: 20 * time.Millisecond, LateRate: 0.05},
			Replies:  faultnet.Faults{Reset: 0.01, Jitter: 20 * time.Millisecond, LateRate: 0.05},
		}
		var networks []*faultnet.Network
		network := func(i uint64) *stores.Route {
			n := faultnet.New(seed + i)
			t.Cleanup(n.Close)
			networks = append(networks, n)
			return &stores.Route{Network: n}
		}
		if observed {
			far = watch(t, observer(t, s, "far", network(candidates)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), lasts)
		defer cancel()
		var running group
		for i := range candidates {
			p := join(t, s, election.Candidate{ID: fmt.Sprint(i)}, election.Options{TTL: ttl}, network(uint64(i)))
			most := rand.New(rand.NewPCG(seed, uint64(i+1)))
			running.Go(func() {
				for ctx.Err() == nil {
					err := p.Run(ctx, func(ctx context.Context, term election.Term) error {
						c.lead(ctx, p.id, term, time.Duration(5+most.IntN(40))*time.Millisecond, 0)
						return nil
					})
					if err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%s: %v", p.id, err)
						return
					}
				}
			})
		}
		for _, n := range networks {
			n.Set(weather)
		}
		cuts := 0
		for ctx.Err() == nil {
			n := networks[dice.IntN(len(networks))]
			n.Set([]faultnet.Rules{partitions["cut"], partitions["stalled"], partitions["deaf"]}[dice.IntN(3)])
			pause(ctx, time.Duration(100+dice.IntN(1500))*time.Millisecond)
			n.Set(weather)
			cuts++
			pause(ctx, 200*time.Millisecond)
		}
		running.wait(t)
		lost := 0
		for _, n := range networks {
			n.Heal()
			lost += n.Counts().Requests.Resets + n.Counts().Replies.Resets
		}
		if lost == 0 || cuts < 3 {
			t.Errorf("%d connections lost, %d cuts: the faults have not hit", lost, cuts)
		}
		c.check(t, orderly)
		all := c.all()
		var longest time.Duration
		for i, r := range all[1:] {
			longest = max(longest, r.began.Sub(all[i].seen))
		}
		// Who is next in line may be cut off in its turn.
		if most := 2*takeOver(s, ttl) + slack; longest > most {
			t.Errorf("nobody led for %v, want at most %v", longest, most)
		}
		t.Logf("%d terms; nobody led for %v at most; %d connections lost, %d cuts", len(all), round(longest), lost, cuts)
		if !observed {
			return
		}
		// A candidate that was told to stop in the moment of its grant has a term that it never began. And who
		// has missed the last terms knows that nobody leads, but not after whom.
		last := all[len(all)-1].term
		suite.Wait(t, "the near observer knows that all is over", func() bool {
			l := near.last()
			return l.Kind == election.Vacant && l.Leader.Term >= last
		})
		suite.Wait(t, "the far observer knows that nobody leads", func() bool {
			told := far.told()
			return told[len(told)-1].Kind == election.Vacant
		})
		for _, w := range []*witness{near, far} {
			terms, gaps := w.check(t)
			if w == near && gaps > 0 {
				t.Errorf("%d gaps of the observer whose network is well", gaps)
			}
			for _, r := range all {
				if gaps == 0 && !slices.Contains(terms, r.term) {
					t.Errorf("not told of term %v, without a gap", r.term)
				}
			}
			t.Logf("an observer was told %d terms and %d gaps", len(terms), gaps)
		}
	})
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
