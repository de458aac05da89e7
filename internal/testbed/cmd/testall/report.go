package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// report reads the output of go test -json and prints what go test prints without -json and -v:
// one line a package, and all about each failed test. It counts results and keeps the reasons of
// skipped tests. The counts are of tests without subtests; a test with subtests counts by these.
type report struct {
	out     io.Writer
	partial []byte // of a line not yet complete
	running map[string]*packageRun

	passed, failed, skipped int
	skips                   []string
}

// packageRun is what is known of a package whose tests still run.
type packageRun struct {
	output  map[string]*strings.Builder // by test; "" is the package itself
	order   []string                    // the keys of output, first come first
	results map[string]string           // pass, fail or skip, by test
}

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

func newReport(out io.Writer) *report {
	return &report{out: out, running: make(map[string]*packageRun)}
}

// Write takes the output of go test in pieces of any size.
func (r *report) Write(p []byte) (int, error) {
	r.partial = append(r.partial, p...)
	for {
		line, rest, complete := bytes.Cut(r.partial, []byte("\n"))
		if !complete {
			return len(p), nil
		}
		r.line(line)
		r.partial = rest
	}
}

func (r *report) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		fmt.Fprintf(r.out, "%s\n", line) // from the go command itself
		return
	}
	if e.Action == "build-output" {
		fmt.Fprint(r.out, e.Output)
		return
	}
	if e.Package == "" {
		return
	}
	p := r.running[e.Package]
	if p == nil {
		p = &packageRun{output: make(map[string]*strings.Builder), results: make(map[string]string)}
		r.running[e.Package] = p
	}
	switch e.Action {
	case "output":
		p.add(e.Test, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e.Package, e.Action)
		} else {
			r.endTest(p, e)
		}
	}
}

func (p *packageRun) add(test, text string) {
	if strings.HasPrefix(text, "=== ") {
		return // which test runs, pauses or goes on
	}
	if p.output[test] == nil {
		p.output[test] = new(strings.Builder)
		p.order = append(p.order, test)
	}
	p.output[test].WriteString(text)
}

// take returns what a test has printed and forgets it.
func (p *packageRun) take(test string) string {
	b := p.output[test]
	if b == nil {
		return ""
	}
	delete(p.output, test)
	return b.String()
}

func (r *report) endTest(p *packageRun, e event) {
	p.results[e.Test] = e.Action
	text := p.take(e.Test)
	switch e.Action {
	case "fail":
		fmt.Fprint(r.out, text)
	case "skip":
		r.skips = append(r.skips, fmt.Sprintf("%s %s: %s", e.Package, e.Test, skipReason(text)))
	}
}

// skipReason returns what a skipped test said, without file and line.
func skipReason(text string) string {
	var said []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "--- SKIP") {
			continue
		}
		if place, rest, ok := strings.Cut(line, ": "); ok && strings.Contains(place, ".go:") {
			line = rest
		}
		said = append(said, line)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

func (r *report) endPackage(name, action string) {
	p := r.running[name]
	delete(r.running, name)
	last := p.take("")
	if action == "fail" {
		for _, test := range p.order { // a panic or time-out leaves tests without a result
			fmt.Fprint(r.out, p.take(test))
		}
		fmt.Fprint(r.out, last)
	} else {
		for line := range strings.Lines(last) {
			if strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") {
				fmt.Fprint(r.out, line)
			}
		}
	}
	failed := r.failed
	r.count(p.results)
	if action == "fail" && r.failed == failed {
		r.failed++ // the package does not build, panicked, ran out of time or leaked
	}
}

// count adds the results of a package. A test with subtests is counted by these, unless it failed
// and none of them did.
func (r *report) count(results map[string]string) {
	parents := make(map[string]bool)
	blamed := make(map[string]bool) // parents of failed tests
	for test, result := range results {
		for parent := range ancestors(test) {
			parents[parent] = true
			if result == "fail" {
				blamed[parent] = true
			}
		}
	}
	for test, result := range results {
		switch {
		case result == "fail" && !blamed[test]:
			r.failed++
		case parents[test]:
		case result == "pass":
			r.passed++
		case result == "skip":
			r.skipped++
		}
	}
}

// ancestors yields the tests of which the named one is a subtest: a, a/b for a/b/c.
func ancestors(test string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i, c := range test {
			if c == '/' && !yield(test[:i]) {
				return
			}
		}
	}
}

// flush ends a run of go test: what it left unfinished, because it was killed, counts as failed.
func (r *report) flush() {
	if len(r.partial) > 0 {
		r.line(r.partial)
		r.partial = nil
	}
	for name := range r.running {
		fmt.Fprintf(r.out, "FAIL\t%s [not finished]\n", name)
		r.endPackage(name, "fail")
	}
}

func (r *report) printSkips() {
	if len(r.skips) == 0 {
		return
	}
	fmt.Fprintln(r.out, "\nskipped:")
	for _, s := range r.skips {
		fmt.Fprintln(r.out, "  "+s)
	}
}

func (r *report) printTotals() {
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
}
