package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
)

// phase is what became of the requests that ended while one thing was happening.
type phase struct {
	name     string
	harm     bool           // a try may fail
	requests int            // that were answered, or failed
	again    int            // that were answered, but not by the first replica
	failed   int            // that no replica has answered
	served   map[string]int // by whom
}

// tally counts requests.
type tally struct {
	mu     sync.Mutex
	phases []*phase
	second map[string]int // by whom, since the last line
	err    error          // of the first request that failed
}

// begin begins a phase.
func (t *tally) begin(name string, harm bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phases = append(t.phases, &phase{name: name, harm: harm, served: map[string]int{}})
	if t.second == nil {
		t.second = map[string]int{}
	}
}

// count counts a request in the present phase.
func (t *tally) count(by string, failed []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.phases[len(t.phases)-1]
	p.requests++
	if err != nil {
		p.failed++
		if t.err == nil {
			t.err = err
		}
		return
	}
	if len(failed) > 0 {
		p.again++
	}
	p.served[by]++
	t.second[by]++
}

// line tells who has answered how many requests since the last line.
func (t *tally) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := list(t.second)
	clear(t.second)
	return line
}

func list(served map[string]int) string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(served)) {
		parts = append(parts, fmt.Sprintf("%s %d", id, served[id]))
	}
	return strings.Join(parts, ", ")
}

// table tells all. The workers of the client have ended.
func (t *tally) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\nphase\trequests\ttried again\tfailed\tanswered by")
	for _, p := range t.phases {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", p.name, p.requests, p.again, p.failed, list(p.served))
	}
	_ = w.Flush() // as little is made of it as of the other lines
}

// verdict says what should not have happened.
func (t *tally) verdict() error {
	for _, p := range t.phases {
		switch {
		case p.failed > 0:
			return fmt.Errorf("%q: %d requests failed: %w", p.name, p.failed, t.err)
		case p.again > 0 && !p.harm:
			return fmt.Errorf("%q: %d requests had to be tried again", p.name, p.again)
		}
	}
	return nil
}
