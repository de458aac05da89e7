package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// row is what came of the requests of one kind of client in one step.
type row struct {
	step, kind string
	passed     int
	over       map[string]int // refused, by limit
	wrong      int            // answers with wrong headers
	early      int            // refusals of clients that had waited as long as they were told
	failed     int
}

// tally counts requests.
type tally struct {
	mu     sync.Mutex
	step   string
	rows   []*row
	spans  map[string][]span // that have passed, by key
	served map[string]int    // by whom
	errs   []error           // the first of each kind
}

func (t *tally) begin(step string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.step = step
}

// row returns the row of a client in this step. The caller has the mutex.
func (t *tally) row(c *client) *row {
	for _, r := range t.rows {
		if r.step == t.step && r.kind == c.kind {
			return r
		}
	}
	r := &row{step: t.step, kind: c.kind, over: map[string]int{}}
	t.rows = append(t.rows, r)
	return r
}

// count counts an answer.
func (t *tally) count(c *client, a *answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.row(c)
	if a.wrong != nil {
		t.wrong(&r.wrong, c, a.wrong)
	}
	switch {
	case a.err != nil:
		t.wrong(&r.failed, c, a.err)
	case a.refused.limit != "":
		r.over[a.refused.limit]++
	default:
		r.passed++
		t.spans[c.key] = append(t.spans[c.key], a.span)
		t.served[a.by]++
	}
}

// early counts a refusal that should not have been.
func (t *tally) early(c *client, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong(&t.row(c).early, c, err)
}

func (t *tally) wrong(n *int, c *client, err error) {
	if *n++; *n == 1 {
		t.errs = append(t.errs, fmt.Errorf("%s: %s: %w", t.step, c.key, err))
	}
}

// end tells all, and says what should not have happened. The clients have ended.
func (t *tally) end(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\nstep\tclients\tpassed\tover their limit\tover that of all\twrong headers\ttoo early\tfailed")
	for _, r := range t.rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", r.step, r.kind, r.passed, r.over[perClient.Name], r.over[forAll.Name], r.wrong, r.early, r.failed)
	}
	_ = w.Flush() // as little is made of it as of the other lines
	all := slices.Concat(slices.Collect(maps.Values(t.spans))...)
	errs := append(slices.Clone(t.errs), kept(forAll, all))
	most := 0
	for _, one := range t.spans {
		errs = append(errs, kept(perClient, one))
		most = max(most, busiest(one, time.Second))
	}
	fmt.Fprintf(out, "\nin the busiest second: one client %d, of %d that may pass; all clients %d, of %d\n",
		most, perClient.Burst+perClient.N, busiest(all, time.Second), forAll.Burst+forAll.N)
	for _, id := range slices.Sorted(maps.Keys(t.served)) {
		fmt.Fprintf(out, "answered by %s: %d\n", id, t.served[id])
	}
	return errors.Join(errs...)
}
