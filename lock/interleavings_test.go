package lock_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/concord-go/concord/internal/evidence"
)

// interleavings is the number of them in the lease protocol.
const interleavings = 44

// notBuilt is what a row without a test must say.
const notBuilt = "not built yet"

// rows returns the cells of each row of the table in a file of testdata.
func rows(t *testing.T, file string) [][]string {
	t.Helper()
	all, err := evidence.Rows(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// shown checks that every test which a cell names exists, and returns how many there are.
func shown(t *testing.T, where, cell string) int {
	t.Helper()
	named, err := evidence.Check("..", cell)
	if err != nil {
		t.Errorf("%s: %v", where, err)
	}
	return named
}

func TestEveryInterleavingIsShown(t *testing.T) {
	all := rows(t, "interleavings.md")
	if len(all) != interleavings {
		t.Errorf("%d rows, want %d", len(all), interleavings)
	}
	for i, cells := range all {
		if len(cells) != 4 || cells[0] != strconv.Itoa(i+1) {
			t.Errorf("row %d: %q", i+1, cells)
			continue
		}
		if shown(t, "interleaving "+cells[0], cells[3]) == 0 && !strings.HasSuffix(cells[3], notBuilt) {
			t.Errorf("interleaving %s: neither a test nor %q", cells[0], notBuilt)
		}
	}
}

func TestEveryBugIsAnswered(t *testing.T) {
	for _, cells := range rows(t, "bugs.md") {
		if len(cells) != 3 {
			t.Errorf("row %q", cells)
			continue
		}
		reason := strings.Contains(cells[2], "cannot happen") || strings.Contains(cells[2], notBuilt)
		if shown(t, cells[0]+": "+cells[1], cells[2]) == 0 && !reason {
			t.Errorf("%s: %s: neither a test nor a reason", cells[0], cells[1])
		}
	}
}
