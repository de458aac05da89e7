package archtest

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// machinePaths are directories of one machine. A path below them in a file is of no use to
// anybody else. They are put together here so that this file does not contain them.
var machinePaths = []string{
	"/" + "work" + "/",
	"/" + "root" + "/",
}

// TestNoMachinePaths looks through every text file of the repository, tracked or new.
func TestNoMachinePaths(t *testing.T) {
	for _, name := range repositoryFiles(t) {
		text, err := os.ReadFile(filepath.Join(rootDir, name))
		if os.IsNotExist(err) {
			continue // removed from the working tree
		}
		if err != nil {
			t.Fatal(err)
		}
		report(t, checkText(name, text))
	}
}

// repositoryFiles asks git, which knows what is ignored. Outside of a repository, as in the
// module cache, it returns all files.
func repositoryFiles(t *testing.T) []string {
	t.Helper()
	git := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = rootDir
	if out, err := git.Output(); err == nil && len(out) > 0 {
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	var names []string
	err := filepath.WalkDir(rootDir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", ".cache", ".tools":
				return fs.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() {
			name, _ := filepath.Rel(rootDir, file)
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func checkText(name string, text []byte) []string {
	if bytes.IndexByte(text, 0) >= 0 {
		return nil // not text
	}
	var bad []string
	n := 0
	for line := range bytes.Lines(bytes.ToLower(text)) {
		n++
		for _, path := range machinePaths {
			if bytes.Contains(line, []byte(path)) {
				bad = append(bad, fmt.Sprintf("%s:%d: a path below %s", name, n, path))
			}
		}
	}
	return bad
}

func TestTextRule(t *testing.T) {
	work, root := machinePaths[0], machinePaths[1]
	text := "fine\nsee " + strings.ToUpper(work) + "notes\n~" + root + "go and " + work + "x\n"
	expect(t, checkText("a.md", []byte(text)), []string{
		"a.md:2: a path below " + work,
		"a.md:3: a path below " + work,
		"a.md:3: a path below " + root,
	})
	expect(t, checkText("a.bin", []byte(work+"\x00")), nil)
	expect(t, checkText("a.md", []byte("the workshop/ and rooted/ things, work/ root/")), nil)
}
