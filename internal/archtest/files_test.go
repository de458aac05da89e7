package archtest

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// maxLines is the most lines that a file may have which is not a test.
const maxLines = 400

// vague are file names that say nothing about what is in the file.
var vague = regexp.MustCompile(`^(util|common|helper).*\.go$|^types\.go$`)

func TestFileNames(t *testing.T) {
	for _, p := range load(t).own {
		if dir, _ := rel(p.ImportPath); !isInternal(dir) {
			report(t, checkNames(dir, p.GoFiles))
		}
	}
}

func TestFileLengths(t *testing.T) {
	eachSource(t, func(name, text string) {
		if !strings.HasSuffix(name, "_test.go") {
			report(t, checkLength(name, text))
		}
	})
}

func TestLuaHeaders(t *testing.T) {
	eachSource(t, func(name, text string) {
		if path.Ext(name) == ".lua" {
			report(t, checkLuaHeader(name, text))
		}
	})
}

// eachSource calls f with each Go and Lua file of the root module, fixtures left out.
func eachSource(t *testing.T, f func(name, text string)) {
	t.Helper()
	err := filepath.WalkDir(rootDir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(file, "go.mod"))
			nested := err == nil && file != rootDir
			if nested || d.Name() == "testdata" || file != rootDir && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(file); ext != ".go" && ext != ".lua" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(rootDir, file)
		f(filepath.ToSlash(name), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkNames(dir string, files []string) []string {
	var bad []string
	for _, name := range files {
		if vague.MatchString(name) {
			bad = append(bad, fmt.Sprintf("%s: name the file after what is in it", path.Join(dir, name)))
		}
	}
	return bad
}

func checkLength(name, text string) []string {
	if n := strings.Count(text, "\n"); n > maxLines {
		return []string{fmt.Sprintf("%s has %d lines, more than %d", name, n, maxLines)}
	}
	return nil
}

// checkLuaHeader wants a comment at the top that says which KEYS and ARGV the script takes and
// what it returns. A fragment, which other scripts include, says instead that it is one.
func checkLuaHeader(name, text string) []string {
	if strings.HasPrefix(text, "-- fragment:") {
		return nil
	}
	var header strings.Builder
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan() && strings.HasPrefix(lines.Text(), "--"); {
		header.WriteString(lines.Text() + "\n")
	}
	var bad []string
	for _, word := range []string{"KEYS", "ARGV", "returns"} {
		if !strings.Contains(header.String(), word) {
			bad = append(bad, fmt.Sprintf("%s: the comment at the top does not name %s", name, word))
		}
	}
	return bad
}

func TestFileNameRule(t *testing.T) {
	got := checkNames("lock", strings.Fields("lock.go util.go utils.go common_lock.go helpers.go types.go subtypes.go utility.lua"))
	var want []string
	for _, name := range strings.Fields("util.go utils.go common_lock.go helpers.go types.go") {
		want = append(want, "lock/"+name+": name the file after what is in it")
	}
	expect(t, got, want)
}

func TestFileLengthRule(t *testing.T) {
	expect(t, checkLength("a.go", strings.Repeat("\n", maxLines)), nil)
	expect(t, checkLength("a.go", strings.Repeat("\n", maxLines+1)), []string{"a.go has 401 lines, more than 400"})
}

func TestLuaHeaderRule(t *testing.T) {
	for name, want := range map[string][]string{
		"good.lua":     nil,
		"fragment.lua": nil,
		"late.lua":     {"late.lua: the comment at the top does not name returns"},
		"none.lua": {
			"none.lua: the comment at the top does not name KEYS",
			"none.lua: the comment at the top does not name ARGV",
			"none.lua: the comment at the top does not name returns",
		},
	} {
		text, err := os.ReadFile(filepath.Join("testdata", "lua", name))
		if err != nil {
			t.Fatal(err)
		}
		expect(t, checkLuaHeader(name, string(text)), want)
	}
}
