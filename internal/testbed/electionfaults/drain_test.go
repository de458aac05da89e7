package electionfaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed/stores"
)

// A leader resigns, is cut off, and its work winds up for longer than the TTL. Its claim ends meanwhile,
// so the next leader does not wait for it; its hooks say so, and Run returns in time.
func TestDrainWhileCutOff(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		const ttl, windUp, drain = 3 * time.Second, 8 * time.Second, time.Minute
		n := newNetwork(t)
		c := newChronicle(t)
		leader := join(t, s, election.Candidate{ID: "cut off"}, election.Options{TTL: ttl, Drain: drain}, &stores.Route{Network: n})
		leader.run(t, c, windUp)
		first := c.led(t)
		list := start(t, s, c, 2, election.Options{TTL: ttl})
		waiting(t, list[0], 2)

		n.Set(partitions["stalled"])
		defer n.Heal()
		asked := time.Now()
		took := leader.stop()
		old, next := c.over(t, first.term), c.led(t)
		if causeOf(old.cause) != election.Resigned || old.ended.Sub(asked) > slack {
			t.Errorf("ended after %v: %v", old.ended.Sub(asked), old.cause)
		}
		if d := next.began.Sub(asked); d < ttl/3 || d > takeOver(s, ttl)+slack || !next.began.Before(old.drained) {
			t.Errorf("the next led after %v, the work took %v", d, old.drained.Sub(asked))
		}
		// The work, and a release that stops waiting after two attempts.
		if most := windUp + 2*ttl/6 + slack; took < windUp || took > most {
			t.Errorf("Run returned after %v, want %v to %v", took, windUp, most)
		}
		if leader.failures() == 0 {
			t.Error("no renewal has failed: the fault has not hit")
		}
		ended, drained := leader.told(&leader.ended), leader.told(&leader.drained)
		if len(ended) != 1 || causeOf(ended[0].Err) != election.Resigned {
			t.Errorf("ended: %+v", ended)
		}
		if len(drained) != 1 || drained[0].Wait < windUp || drained[0].Err == nil {
			t.Errorf("drained: %+v, want an error: the next leader did not wait", drained)
		}
		n.Heal()
		c.check(t, exclusive)
		t.Logf("the next led after %v, the work ended after %v, Run returned after %v: %v",
			round(next.began.Sub(asked)), round(old.drained.Sub(asked)), round(took), drained[0].Err)
	})
}
