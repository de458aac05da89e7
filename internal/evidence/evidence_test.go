package evidence_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
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

func TestTable(t *testing.T) {
	root, file := filepath.Join("..", ".."), filepath.Join(t.TempDir(), "table.md")
	for _, c := range []struct{ row, want string }{
		{"| a | cannot happen |", ""},
		{"| a | not built yet |", ""},
		{"| a | `internal/evidence: TestTable` and `backend/backendtest: queue/a dead waiter is skipped` |", ""},
		{"| a | `backend/backendtest: a full limit refuses and says what is left` |", ""},
		{"| a | all is well |", "a: neither a test nor a reason"},
		{"| a | cannot happen: `internal/evidence: TestTabl` |", `there is no "TestTabl" in internal/evidence`},
		{"| a | `internal/evidence: TestTable` `no/folder: TestTable` |", `there is no "TestTable" in no/folder`},
		{"| a | `backend/backendtest: queue/nothing` |", `there is no "queue/nothing" in backend/backendtest`},
		{"| a | b | cannot happen |", "row [\"a\""},
		{"", "no table"},
	} {
		if err := os.WriteFile(file, []byte("| a | b |\n|---|---|\n"+c.row+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := evidence.Table(root, file, 2, "cannot happen", "not built yet")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.row, err)
		}
	}
}
