package peerbench

import (
	"slices"
	"testing"
	"time"
)

// score is what the contenders of a kind have done in their turns.
type score struct {
	took     time.Duration
	grants   int
	handOffs int   // grants to another waiter than the one before
	wins     []int // grants of each waiter
	requests int64
}

func newScore(waiters int) score { return score{wins: make([]int, waiters)} }

// grant counts a grant to a waiter, after one to last.
func (r *score) grant(to, last int) {
	r.grants++
	r.wins[to]++
	if to != last {
		r.handOffs++
	}
}

// add sums up turns.
func (r *score) add(turn score) {
	r.took += turn.took
	r.grants += turn.grants
	r.handOffs += turn.handOffs
	r.requests += turn.requests
	for i, n := range turn.wins {
		r.wins[i] += n
	}
}

func (r *score) perSecond(n int) float64 { return float64(n) / r.took.Seconds() }

// unevenness is the wins of the luckiest over those of the unluckiest. Who has won nothing is
// taken for a winner of one, so that it is a number.
func (r *score) unevenness() float64 {
	return float64(slices.Max(r.wins)) / float64(max(1, slices.Min(r.wins)))
}

func TestScore(t *testing.T) {
	sum := newScore(3)
	for range 2 {
		turn := newScore(3)
		last := 2
		for _, to := range []int{0, 0, 0, 1, 0} {
			turn.grant(to, last)
			last = to
		}
		turn.took, turn.requests = time.Second, 7
		sum.add(turn)
	}
	if sum.grants != 10 || sum.handOffs != 6 || sum.requests != 14 || !slices.Equal(sum.wins, []int{8, 2, 0}) {
		t.Errorf("two turns: %+v", sum)
	}
	if got := sum.perSecond(sum.handOffs); got != 3 {
		t.Errorf("hand-offs per second: %v", got)
	}
	if got := sum.unevenness(); got != 8 {
		t.Errorf("unevenness: %v", got)
	}
}
