package evidence

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// Check returns how many tests a cell names, with an error if one of them is not there. root is the path
// to the root of the repository.
func Check(root, cell string) (named int, err error) {
	found := testName.FindAllStringSubmatch(cell, -1)
	for _, m := range found {
		folder, name := m[1], m[2]
		there, err := exists(root, folder, name)
		if err != nil {
			return 0, err
		}
		if !there {
			return 0, fmt.Errorf("there is no %q in %s", name, folder)
		}
	}
	return len(found), nil
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
	text := `name: "` + name + `"`
	if strings.HasPrefix(name, "Test") {
		text = "\nfunc " + name + "(t *testing.T)"
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return false, err
		}
		if strings.Contains(string(source), text) {
			return true, nil
		}
	}
	return false, nil
}
