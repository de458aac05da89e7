package backendtest_test

import (
	"testing"
	"time"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/ratelimit"
)

// What the oracle says, worked out by hand for each algorithm. Times are in ms after a whole hour.
func TestLimitOracle(t *testing.T) {
	const (
		take, peek, give = ratelimit.OpTake, ratelimit.OpPeek, ratelimit.OpGive
		charge, reset    = ratelimit.OpCharge, ratelimit.OpReset
	)
	type step struct {
		at      int64
		kind    ratelimit.OpKind
		n, wait int64
		// of the decision
		allowed                   bool
		left                      int64
		retry, next, whole, waits int64
	}
	const hour = int64(3_600_000_000)
	for _, c := range []struct {
		limits []ratelimit.Limit
		steps  []step
	}{
		{[]ratelimit.Limit{{Name: "l", N: 4, Per: time.Second, Burst: 2}}, []step{
			{0, take, 1, 0, true, 1, 0, 0, 250, 0},
			{0, take, 2, 249, false, 1, 250, 0, 250, 0},
			{0, take, 2, 250, true, 0, 0, 500, 750, 250},
			{500, peek, 1, 0, true, 1, 0, 0, 250, 0},
			{400, peek, 1, 0, false, 0, 100, 0, 350, 0}, // the clock went back
			{500, charge, 2, 0, true, 0, 0, 500, 750, 0},
			{500, charge, 2, 0, true, 0, 0, 1000, 1250, 0},
			{500, give, 1, 0, true, 0, 0, 750, 1000, 0},
			{500, reset, 0, 0, true, 2, 0, 0, 0, 0},
		}},
		{[]ratelimit.Limit{{Name: "l", N: 4, Per: time.Second, Algorithm: ratelimit.FixedWindow}}, []step{
			{900, take, 4, 0, true, 0, 0, 100, 100, 0},
			{900, take, 1, 1000, false, 0, 100, 0, 100, 0},
			{1000, take, 3, 0, true, 1, 0, 0, 1000, 0},
			{999, take, 2, 0, false, 1, 1001, 0, 1001, 0}, // the clock stands still
			{1000, give, 9, 0, true, 4, 0, 0, 0, 0},
			{1000, charge, 3, 0, true, 1, 0, 0, 1000, 0},
			{1000, charge, 3, 0, true, 0, 0, 1000, 1000, 0},
		}},
		{[]ratelimit.Limit{{Name: "l", N: 4, Per: time.Second, Algorithm: ratelimit.SlidingWindow}}, []step{
			{900, take, 4, 0, true, 0, 0, 350, 1100, 0}, // three quarters of four are three
			{1249, peek, 1, 0, false, 0, 1, 0, 751, 0},
			{1250, take, 1, 0, true, 0, 0, 250, 1750, 0},
			{1250, peek, 3, 0, false, 0, 750, 0, 1750, 0},
			{1250, give, 2, 0, true, 1, 0, 0, 750, 0},
		}},
		{[]ratelimit.Limit{{Name: "l", N: 4, Per: time.Second, Algorithm: ratelimit.StrictWindow}}, []step{
			{50, take, 1, 0, true, 3, 0, 0, 1050, 0},
			{150, take, 3, 0, true, 0, 0, 950, 1050, 0},
			{1099, take, 1, 0, false, 0, 1, 0, 101, 0},
			{1100, take, 1, 0, true, 0, 0, 100, 1100, 0},
		}},
		{[]ratelimit.Limit{
			{Name: "s", N: 2, Per: time.Second, Shadow: true},
			{Name: "l", N: 4, Per: time.Second, Algorithm: ratelimit.FixedWindow},
		}, []step{
			{0, take, 3, 0, true, 1, 0, 0, 1000, 0},
			{0, take, 2, 0, false, 1, 1000, 0, 1000, 0},
			{0, take, 1, 0, true, 0, 0, 1000, 1000, 0}, // the shadow had not counted anything
		}},
	} {
		p, err := ratelimit.NewPolicy(c.limits...)
		if err != nil {
			t.Fatal(err)
		}
		o := backendtest.NewLimitOracle(p)
		for i, s := range c.steps {
			ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
			got := o.Decide(100*hour+1000*s.at, ratelimit.Op{Kind: s.kind, Policy: p, N: s.n, MaxWait: ms(s.wait)})
			want := ratelimit.Decision{
				Allowed: s.allowed, Limit: "l", Remaining: s.left, RetryAfter: ms(s.retry), NextAfter: ms(s.next),
				ResetAfter: ms(s.whole), Wait: ms(s.waits), Source: ratelimit.FromEngine,
			}
			if len(c.limits) > 1 && i == 0 {
				want.Shadow = "s"
			}
			if got != want {
				t.Errorf("%v, step %d:\ngot  %+v\nwant %+v", c.limits[0].Algorithm, i, got, want)
			}
		}
	}
}
