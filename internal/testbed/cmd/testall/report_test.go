package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestReport feeds a recorded output of go test -json of one package that passes, one that fails,
// one that panics, one that does not build and one without tests, in small pieces.
func TestReport(t *testing.T) {
	recorded, err := os.ReadFile("testdata/run.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/run.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	rep := newReport(&out)
	for piece := range slices.Chunk(recorded, 37) {
		if _, err := rep.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	rep.flush()
	rep.printSkips()
	rep.printTotals()
	if out.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestReportUnfinished(t *testing.T) {
	var out strings.Builder
	rep := newReport(&out)
	rep.line([]byte(`{"Action":"run","Package":"p","Test":"TestA"}`))
	rep.line([]byte(`{"Action":"output","Package":"p","Test":"TestA","Output":"last words\n"}`))
	rep.flush()
	if got := out.String(); got != "FAIL\tp [not finished]\nlast words\n" || rep.failed != 1 {
		t.Errorf("printed %q and counted %d failures", got, rep.failed)
	}
}

func TestCount(t *testing.T) {
	for _, tt := range []struct {
		name                    string
		results                 map[string]string
		passed, failed, skipped int
	}{
		{"plain", map[string]string{"A": "pass", "B": "fail", "C": "skip"}, 1, 1, 1},
		{"subtests", map[string]string{"A": "pass", "A/x": "pass", "A/y": "skip"}, 1, 0, 1},
		{"failed subtest", map[string]string{"A": "fail", "A/x": "fail", "A/x/1": "fail", "A/y": "pass"}, 1, 1, 0},
		{"failed parent", map[string]string{"A": "fail", "A/x": "pass"}, 1, 1, 0},
	} {
		r := newReport(new(strings.Builder))
		r.count(tt.results)
		if r.passed != tt.passed || r.failed != tt.failed || r.skipped != tt.skipped {
			t.Errorf("%s: %d passed, %d failed, %d skipped", tt.name, r.passed, r.failed, r.skipped)
		}
	}
}
