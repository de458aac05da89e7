package evidence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// nested is a module of its own, which is not there in the module cache. Tests in it are believed then.
const nested = "internal/testbed"

var testName = regexp.MustCompile("`([a-z/]+): ([^`]+)`")

// Rows returns the cells of each row of the one table in a file, without its heading.
func Rows(file string) ([][]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
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
		return nil, fmt.Errorf("%s has no table", file)
	}
	return all[2:], nil
}

// Table returns what is wrong with the one table in a file: a row without so many columns, a test in a last
// cell that is not there, or a last cell that names no test and has none of the reasons in it. root is the
// path to the root of the repository.
func Table(root, file string, columns int, reasons ...string) error {
	rows, err := Rows(file)
	if err != nil {
		return err
	}
	var errs []error
	for _, cells := range rows {
		if len(cells) != columns {
			errs = append(errs, fmt.Errorf("%s: row %q", file, cells))
			continue
		}
		if err := check(root, cells[columns-1], reasons); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", file, strings.Join(cells[:columns-1], ": "), err))
		}
	}
	return errors.Join(errs...)
}

// check looks for the tests that a cell names.
func check(root, cell string, reasons []string) error {
	found := testName.FindAllStringSubmatch(cell, -1)
	for _, m := range found {
		folder, name := m[1], m[2]
		there, err := exists(root, folder, name)
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("there is no %q in %s", name, folder)
		}
	}
	contains := func(reason string) bool { return strings.Contains(cell, reason) }
	if len(found) == 0 && !slices.ContainsFunc(reasons, contains) {
		return errors.New("neither a test nor a reason")
	}
	return nil
}

// exists looks for a test func, or for a case of the conformance suite, in the files of a folder.
func exists(root, folder, name string) (bool, error) {
	if _, err := os.Stat(filepath.Join(root, nested)); err != nil && strings.HasPrefix(folder, nested) {
		return true, nil
	}
	files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil {
		return false, err
	}
	texts := []string{`{"` + name + `", `, `name: "` + name + `"`}
	test := strings.HasPrefix(name, "Test")
	if test {
		texts = []string{"\nfunc " + name + "(t *testing.T)"}
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") != test { // tests of the suite have names of cases in them
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(string(source), text) }) {
			return true, nil
		}
	}
	return false, nil
}
