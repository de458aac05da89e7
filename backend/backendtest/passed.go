package backendtest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// Passed is a log of the calls that a rate limit has let through, to hold against what the limit
// promises. The zero Passed is empty and ready. Its methods may be called by several goroutines; it must
// not be copied.
type Passed struct {
	mu    sync.Mutex
	calls []passing
}

// passing is a call that was let through at some instant between two.
type passing struct {
	from, to time.Time
	units    int64
}

// Add notes a call that cost so many units and was let through at some instant from one time to
// another: for example from when it was sent to when it was answered. What is reserved is let through
// when its wait is over. All times must be of one clock. A call of no units is none.
func (p *Passed) Add(from, to time.Time, units int64) {
	if units <= 0 {
		return
	}
	if to.Before(from) { // by a clock that was set back
		from, to = to, from
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, passing{from, to, units})
}

// Units returns how many units were let through. [AtLeast] is what to compare them with.
func (p *Passed) Units() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var sum int64
	for _, c := range p.calls {
		sum += c.units
	}
	return sum
}

// grain is by how much a time may look longer to an engine: its instants are whole microseconds, and a
// wait is rounded up to one.
const grain = 2 * time.Microsecond

// Check returns an error if within any time w more was let through than [AtMost] of l and w, and slack
// units besides. The error names that time, the sum and the bound. It accuses nobody wrongly: a call
// counts only where it was let through for certain, and an engine may count a time by two microseconds
// longer. Calls that are under way for all of a time hide as many units in it, so the check is sharp for
// times longer than the slowest call. It takes n*log(n) steps for n calls.
func (p *Passed) Check(l ratelimit.Limit, slack int64) error {
	policy, err := ratelimit.NewPolicy(l)
	if err != nil {
		return err
	}
	l = policy.Limits()[0]
	p.mu.Lock()
	calls := slices.Clone(p.calls)
	p.mu.Unlock()
	if len(calls) == 0 {
		return nil
	}
	start := slices.MinFunc(calls, func(a, b passing) int { return a.from.Compare(b.from) }).from
	starts, ends := make([]edge, len(calls)), make([]edge, len(calls))
	for i, c := range calls {
		starts[i], ends[i] = edge{at: c.from.Sub(start), units: c.units}, edge{at: c.to.Sub(start), units: c.units}
	}
	accumulate(starts)
	accumulate(ends)
	// Of the units that were through at an instant e, those that had not begun before s came between s
	// and e: at least through(e) - begun(s). Both sums grow with time, so of all instants only the starts
	// and ends of calls matter, and for each end only the start with which the sum goes farthest beyond
	// the bound, or stays least below it.
	worst := worstOfSteps
	if l.Algorithm == ratelimit.TokenBucket || l.Algorithm == ratelimit.SlidingWindow {
		worst = worstOfSlope
	}
	for i, s := range worst(l, starts, ends) {
		sum := ends[i].before + ends[i].units - starts[s].before
		w := ends[i].at - starts[s].at
		if most := AtMost(l, w+grain); sum-slack > most {
			return fmt.Errorf("backendtest: a %v of %d for each %v let %d units through in %v, from %v on; at most %d and %d are right",
				l.Algorithm, l.N, l.Per, sum, w, start.Add(starts[s].at).Round(0), most, slack)
		}
	}
	return nil
}

// edge is an end of a call: its time since the first start, its units, and those of earlier edges.
type edge struct {
	at            time.Duration
	units, before int64
}

func accumulate(edges []edge) {
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	for i := 1; i < len(edges); i++ {
		edges[i].before = edges[i-1].before + edges[i-1].units
	}
}
