package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/concord-go/concord/breaker"
)

// counts are what happened in a time.
type counts struct {
	calls    int // begun
	good     int // answered
	failed   int // not answered
	rejected int // by the breaker
	sent     int // attempts
	hedged   int // of them, beside one that was slow
	took     []time.Duration
}

// perCall is how many attempts were sent for each call.
func (c *counts) perCall() float64 { return float64(c.sent) / float64(max(1, c.calls)) }

// p99 is how long the slowest call but one in a hundred took, however it ended.
func (c *counts) p99() time.Duration {
	if len(c.took) == 0 {
		return 0
	}
	slices.Sort(c.took)
	return c.took[len(c.took)*99/100].Round(time.Millisecond)
}

// tally counts the calls of one client. Each thing counts for when it happens.
type tally struct {
	mu     sync.Mutex
	phases []counts
	second counts
	state  breaker.State
}

func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phases = append(t.phases, counts{})
}

// count changes the counts of the phase and of the second.
func (t *tally) count(change func(*counts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.second)
	change(&t.phases[len(t.phases)-1])
}

func (t *tally) began() { t.count(func(c *counts) { c.calls++ }) }

func (t *tally) sent() { t.count(func(c *counts) { c.sent++ }) }

func (t *tally) hedged() { t.count(func(c *counts) { c.hedged++ }) }

func (t *tally) ended(took time.Duration, rejected bool, err error) {
	t.count(func(c *counts) {
		c.took = append(c.took, took)
		switch {
		case rejected:
			c.rejected++
		case err != nil:
			c.failed++
		default:
			c.good++
		}
	})
}

func (t *tally) changed(to breaker.State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = to
}

const heading = "  good  sent/call  rejected  hedged     p99"

// line tells of what has happened since the last line.
func (t *tally) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &t.second
	line := fmt.Sprintf("%6d  %9.2f  %8d  %6d  %6v", c.good, c.perCall(), c.rejected, c.hedged, c.p99())
	if t.state != breaker.Closed {
		line += "  " + t.state.String()
	}
	t.second = counts{}
	return line
}

// table tells all. The clients have ended.
func table(out io.Writer, phases []phase, sides []*side) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\nphase\tclient\tcalls\tgood\tfailed\trejected\tsent/call\thedged\tp99")
	for i, ph := range phases {
		for _, s := range sides {
			if i < len(s.tally.phases) {
				c := &s.tally.phases[i]
				fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%.2f\t%d\t%v\n",
					ph.name, s.name, c.calls, c.good, c.failed, c.rejected, c.perCall(), c.hedged, c.p99())
			}
		}
	}
	_ = w.Flush() // as little is made of it as of the other lines
}
