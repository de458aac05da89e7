package lock_test

import (
	"strconv"
	"testing"

	"github.com/concord-go/concord/internal/evidence"
)

// interleavings is the number of them in the lease protocol.
const interleavings = 44

func TestEveryInterleavingIsShown(t *testing.T) {
	const file = "testdata/interleavings.md"
	if err := evidence.Table("..", file, 4, "not built yet"); err != nil {
		t.Error(err)
	}
	rows, err := evidence.Rows(file)
	if err != nil || len(rows) != interleavings {
		t.Fatalf("%d rows, want %d: %v", len(rows), interleavings, err)
	}
	for i, cells := range rows {
		if cells[0] != strconv.Itoa(i+1) {
			t.Errorf("row %d: %q", i+1, cells)
		}
	}
}

func TestEveryBugIsAnswered(t *testing.T) {
	if err := evidence.Table("..", "testdata/bugs.md", 3, "cannot happen", "not built yet"); err != nil {
		t.Error(err)
	}
}
