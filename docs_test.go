package concord_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	// codeSpan is `code` within a line of Markdown.
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	// testName is a test as docs/guarantees.md writes it: lock.TestDo, or Leases/grant/held for a
	// case of the conformance suite.
	testName = regexp.MustCompile(`^(?:(\w+)\.((?:Test|Fuzz|Example|Benchmark)\w*)|(?:Leases|Fences|Limits)/(.+))$`)
)

// TestGuaranteesNameRealTests looks up each test that docs/guarantees.md mentions.
func TestGuaranteesNameRealTests(t *testing.T) {
	if _, err := os.Stat(filepath.Join("internal", "testbed", "go.mod")); err != nil {
		t.Skip("needs the whole repository: other modules hold some of the tests")
	}
	text, err := os.ReadFile(filepath.Join("docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	functions, cases := testsOfTree(t)
	named := 0
	for n, line := range strings.Split(string(text), "\n") {
		for _, span := range codeSpan.FindAllStringSubmatch(line, -1) {
			m := testName.FindStringSubmatch(span[1])
			switch {
			case m == nil:
				continue
			case m[3] != "" && !cases[m[3]]:
				t.Errorf("docs/guarantees.md:%d: the conformance suite has no case %q", n+1, m[3])
			case m[3] == "" && !functions[span[1]]:
				t.Errorf("docs/guarantees.md:%d: there is no test %s", n+1, span[1])
			}
			named++
		}
	}
	if named < 20 {
		t.Errorf("docs/guarantees.md names %d tests; is their form still the one that is looked for?", named)
	}
}

// testsOfTree returns the functions of all test files, as folder.Name, and every string of the
// conformance suite, among them the names of its cases.
func testsOfTree(t *testing.T) (functions, cases map[string]bool) {
	t.Helper()
	functions, cases = map[string]bool{}, map[string]bool{}
	suite := filepath.Join("backend", "backendtest")
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "testdata" || path != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		dir := filepath.Dir(path)
		isTest := strings.HasSuffix(path, "_test.go")
		if !isTest && (dir != suite || filepath.Ext(path) != ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if isTest && n.Recv == nil {
					functions[filepath.Base(dir)+"."+n.Name.Name] = true
				}
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && dir == suite && !isTest {
					cases[s] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return functions, cases
}
