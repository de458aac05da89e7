package lock_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// interleavings is the number of them in the lease protocol.
const interleavings = 44

// notBuilt is what a row without a test must say.
const notBuilt = "not built yet"

var testName = regexp.MustCompile("`([a-z/]+): ([^`]+)`")

// rows returns the cells of each row of the table in a file of testdata, without its heading.
func rows(t *testing.T, file string) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "|") {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			all = append(all, cells)
		}
	}
	if len(all) < 3 {
		t.Fatalf("%s has no table", file)
	}
	return all[2:]
}

// shown checks that every test which a cell names exists, and returns how many there are.
func shown(t *testing.T, where, cell string) int {
	t.Helper()
	found := testName.FindAllStringSubmatch(cell, -1)
	for _, m := range found {
		folder, name := m[1], m[2]
		if !exists(t, folder, name) {
			t.Errorf("%s: there is no %q in %s", where, name, folder)
		}
	}
	return len(found)
}

// exists looks for a test func, or for a case of the conformance suite, in the files of a folder.
func exists(t *testing.T, folder, name string) bool {
	t.Helper()
	const nested = "../internal/testbed" // a module of its own, not there in the module cache
	if _, err := os.Stat(nested); err != nil && strings.HasPrefix("../"+folder, nested) {
		return true
	}
	files, err := filepath.Glob(filepath.Join("..", folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	text := `name: "` + name + `"`
	if strings.HasPrefix(name, "Test") {
		text = "\nfunc " + name + "(t *testing.T)"
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), text) {
			return true
		}
	}
	return false
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
