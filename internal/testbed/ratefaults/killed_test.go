package ratefaults

import (
	"os"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/ratelimit"
)

// A process is killed while it has units in hand. They are lost, a block of each key at most, and the
// others go on at the full rate.
func TestKilledWithAllowance(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		const calls = 300
		ahead := &ratelimit.Allowance{Block: 256, Life: time.Minute}
		total := counter("total")
		paced := ratelimit.Limit{Name: "paced", N: 1000, Per: time.Second, Burst: 1000}
		o := orders{Store: s, Limits: []ratelimit.Limit{total, paced}, Callers: 1, Calls: calls, Timeout: patience, Allowance: ahead}
		victim := launch(t, 1, o)
		victim.list[0].Says("made")
		victim.list[0].Signal(os.Kill)
		killed := time.Now()
		if err := victim.list[0].End(); err == nil {
			t.Error("the process ended in good order")
		}
		held := used(t, s, total) - calls
		if held < 1 || held > ahead.Block {
			t.Errorf("the process had %d units in hand, want 1 to %d", held, ahead.Block)
		}

		o.Callers, o.Calls = 16, 0
		f := launch(t, 2, o)
		time.Sleep(asking)
		others := f.end(t)
		if n := others.fallback().calls(); n > 0 {
			t.Errorf("%d calls were not answered", n)
		}
		if got, all := others.of(total.Name).counted().calls(), used(t, s, total); all != calls+held+got {
			t.Errorf("%d units are counted, want the %d of all calls and the %d in hand", all, calls+got, held)
		}
		got := others.of(paced.Name).counted()
		if err := got.passed().Check(paced, beside(paced, 2, *ahead)); err != nil {
			t.Error(err)
		}
		// What was left of the burst, and the full rate; what they have in hand at the end is given back.
		left := paced.Burst - calls - ahead.Block
		if least := left + backendtest.AtLeast(paced, others.took*9/10) - 2*ahead.Block; got.calls() < least {
			t.Errorf("%d units in %v, want %d", got.calls(), round(others.took), least)
		}
		t.Logf("killed with %d units in hand, %v before the others began; %d units of %.0f a second in %v",
			held, round(f.began.Sub(killed)), got.calls(), rate(paced), round(others.took))
	})
}
