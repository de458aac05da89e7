package evidence_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/concord-go/concord/internal/evidence"
)

func TestRows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "table.md")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# Title\n\n| a | b |\n|---|---|\n| 1 | two words |\n| 3 |  |\n\nend\n")
	rows, err := evidence.Rows(file)
	if err != nil || len(rows) != 2 || !slices.Equal(rows[0], []string{"1", "two words"}) || !slices.Equal(rows[1], []string{"3", ""}) {
		t.Errorf("%q, %v", rows, err)
	}
	write("| a | b |\n|---|---|\n")
	if rows, err := evidence.Rows(file); err == nil {
		t.Errorf("an empty table: %q", rows)
	}
	if rows, err := evidence.Rows(file + "x"); err == nil {
		t.Errorf("no file: %q", rows)
	}
}

func TestCheck(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, c := range []struct {
		cell  string
		named int
		ok    bool
	}{
		{"cannot happen", 0, true},
		{"shown: `internal/evidence: TestCheck` and `backend/backendtest: queue/a dead waiter is skipped`", 2, true},
		{"`internal/evidence: TestChec`", 0, false},
		{"`internal/evidence: TestRows` `no/folder: TestCheck`", 0, false},
		{"`backend/backendtest: queue/nothing`", 0, false},
	} {
		if named, err := evidence.Check(root, c.cell); named != c.named || (err == nil) != c.ok {
			t.Errorf("%s: %d, %v", c.cell, named, err)
		}
	}
}
