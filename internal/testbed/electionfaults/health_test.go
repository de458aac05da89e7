package electionfaults

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
)

// A leader that becomes sick steps down though the engine can be reached, and another one leads. It
// stands again when it is well.
func TestSickLeaderStepsDown(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		const ttl = 6 * time.Second
		const often = ttl / 3 // the health is looked at
		var sick atomic.Bool
		c := newChronicle(t)
		frail := join(t, s, election.Candidate{ID: "frail"}, election.Options{TTL: ttl, Healthy: func(context.Context) error {
			if sick.Load() {
				return errors.New("no disk")
			}
			return nil
		}}, nil)
		frail.run(t, c, 0)
		first := c.led(t)
		other := join(t, s, election.Candidate{ID: "other"}, election.Options{TTL: ttl}, nil)
		other.run(t, c, 0)
		waiting(t, other, 1)

		sick.Store(true)
		fell := time.Now()
		next := c.after(t, fell)
		old := c.over(t, first.term)
		if cause := causeOf(old.cause); cause != election.Resigned {
			t.Errorf("cause %v, want resigned", old.cause)
		}
		if next.id != "other" || next.began.Sub(fell) > often+slack {
			t.Errorf("%s led %v after the leader fell sick, want at most %v", next.id, next.began.Sub(fell), often)
		}
		if l, err := frail.Leader(suite.Soon(t)); err != nil || l.ID != "other" {
			t.Errorf("the engine, asked by the sick candidate: %v, %v", l, err)
		}
		time.Sleep(often) // a sick candidate does not stand
		if state, err := frail.Leases().Inspect(suite.Soon(t), key); err != nil || state.Waiting > 0 {
			t.Errorf("%d candidates wait, %v", state.Waiting, err)
		}
		sick.Store(false)
		waiting(t, other, 1)
		other.stop()
		if again := c.after(t, next.began); again.id != "frail" {
			t.Errorf("%s leads", again.id)
		}
		if told := frail.told(&frail.health); len(told) != 2 || told[0].Err == nil || told[1].Err != nil {
			t.Errorf("told of the health: %+v", told)
		}
		c.check(t, orderly)
		t.Logf("stopped %v and the other led %v after the leader fell sick", round(old.ended.Sub(fell)), round(next.began.Sub(fell)))
	})
}
