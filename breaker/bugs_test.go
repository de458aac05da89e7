package breaker_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/concord-go/concord/internal/evidence"
)

func TestEveryBugIsAnswered(t *testing.T) {
	rows, err := evidence.Rows(filepath.Join("testdata", "bugs.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, cells := range rows {
		if len(cells) != 3 {
			t.Errorf("row %q", cells)
			continue
		}
		where := cells[0] + ": " + cells[1]
		named, err := evidence.Check("..", cells[2])
		if err != nil {
			t.Errorf("%s: %v", where, err)
		}
		reason := strings.Contains(cells[2], "cannot happen") || strings.Contains(cells[2], "not built yet")
		if named == 0 && !reason {
			t.Errorf("%s: neither a test nor a reason", where)
		}
	}
}
