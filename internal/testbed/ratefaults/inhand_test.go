package ratefaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/ratelimit"
)

// Processes have units in hand while the limit has filled up behind them, and spend all at once: the worst
// that allowances can do. What they had in hand comes on top of the burst, and with Strict is within it.
func TestSpentAtOnce(t *testing.T) {
	t.Parallel()
	for name, strict := range map[string]bool{"allowances": false, "strict allowances": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := ratelimit.Limit{Name: "l", N: 4000, Per: time.Second, Burst: 2400}
			ahead := ratelimit.Allowance{Block: 64, Life: 400 * time.Millisecond, Strict: strict}
			f := launch(t, processes, orders{
				Store:  stores.OfRedis(testbed.StartRedis(t, nil)),
				Limits: []ratelimit.Limit{limit}, Callers: 1, Calls: 64, More: callers / 2, Timeout: patience, Allowance: &ahead,
			})
			for _, c := range f.list {
				c.Says("made")
			}
			time.Sleep(ahead.Life / 2) // for the limit to fill up, while the units live
			for _, c := range f.list {
				c.Tell("more")
			}
			time.Sleep(asking)
			o := f.end(t)
			var beyond int64
			if !strict {
				beyond = beside(limit, processes, ahead)
			}
			got := o.counted()
			if err := got.passed().Check(limit, beyond); err != nil {
				t.Error(err)
			}
			t.Logf("%d units in %v, where %d may be beyond; without these: %v", got.calls(), round(o.took), beyond, got.passed().Check(limit, 0))
		})
	}
}
