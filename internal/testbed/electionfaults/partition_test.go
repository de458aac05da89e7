package electionfaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed/stores"
)

// A leader that is cut off steps down by its own deadline, before the next one leads.
func TestLeaderCutOff(t *testing.T) {
	t.Parallel()
	for fault, rules := range partitions {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			stores.Every(t, func(t *testing.T, s stores.Store) {
				const ttl = 3 * time.Second
				n := newNetwork(t)
				c := newChronicle(t)
				leader := join(t, s, election.Candidate{ID: "cut off"}, election.Options{TTL: ttl}, &stores.Route{Network: n})
				leader.run(t, c, 0)
				first := c.led(t)
				list := start(t, s, c, 2, election.Options{TTL: ttl})
				waiting(t, list[0], 2)

				n.Set(rules)
				defer n.Heal()
				cut := time.Now()
				next := c.after(t, cut)
				old := c.over(t, first.term)
				if cause := causeOf(old.cause); cause != election.Unreachable {
					t.Errorf("cause %v, want unreachable", old.cause)
				}
				if d := old.ended.Sub(cut); d > ttl+slack {
					t.Errorf("the leader believed for %v, its TTL is %v", d, ttl)
				}
				if next.began.Before(old.seen) {
					t.Errorf("the next led %v before the first stopped", old.seen.Sub(next.began))
				}
				if d := next.began.Sub(cut); d > takeOver(s, ttl)+slack {
					t.Errorf("the next led after %v, want at most %v", d, takeOver(s, ttl))
				}
				if leader.failures() == 0 {
					t.Error("no renewal has failed: the fault has not hit")
				}
				n.Heal()
				healed := time.Now()
				waiting(t, list[0], 2) // the former leader stands again
				c.check(t, orderly)
				t.Logf("stopped %v and the next led %v after the cut; stood again %v after it was healed",
					round(old.ended.Sub(cut)), round(next.began.Sub(cut)), round(time.Since(healed)))
			})
		})
	}
}
