package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	modulePath = "github.com/concord-go/concord"
	rootDir    = "../.."
)

// pkg is a package as go list describes it. The names of the first fields are those of go list.
type pkg struct {
	ImportPath string
	Name       string
	Dir        string
	Standard   bool
	GoFiles    []string
	Imports    []string // of the files that are not tests
	Deps       []string // of the same, transitively
}

// rel returns the path of a package of this module below the module, "" for the root package.
// For other packages it returns false.
func rel(importPath string) (string, bool) {
	if importPath == modulePath {
		return "", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

// isInternal reports whether users cannot import the package.
func isInternal(rel string) bool {
	return strings.HasPrefix(rel, "internal/") || strings.Contains(rel, "/internal/")
}

// module is all packages of the root module and all they depend on.
type module struct {
	own      []*pkg          // in the order of their import paths
	standard map[string]bool // import paths of the standard library
}

// loadModule asks go list once. The result is the same on every machine: it is that of Linux on
// amd64 without cgo and without a workspace.
var loadModule = sync.OnceValues(func() (*module, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Name,Dir,Standard,GoFiles,Imports,Deps", "./...")
	cmd.Dir = rootDir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	m := &module{standard: make(map[string]bool)}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Standard {
			m.standard[p.ImportPath] = true
		} else if _, ok := rel(p.ImportPath); ok {
			m.own = append(m.own, p)
		}
	}
	sortBy(m.own, func(p *pkg) string { return p.ImportPath })
	return m, nil
})

func load(t *testing.T) *module {
	t.Helper()
	m, err := loadModule()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// parseFiles parses files of one directory with their comments.
func parseFiles(t *testing.T, dir string, names []string) (*token.FileSet, []*ast.File) {
	t.Helper()
	fset := token.NewFileSet()
	files := make([]*ast.File, 0, len(names))
	for _, name := range names {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return fset, files
}

// report fails the test with all violations of a rule.
func report(t *testing.T, violations []string) {
	t.Helper()
	for _, v := range violations {
		t.Error(v)
	}
}

// expect compares the violations that a rule found in a fixture with those it should find.
func expect(t *testing.T, got, want []string) {
	t.Helper()
	if diff := diffLines(want, got); diff != "" {
		t.Errorf("violations differ, - wanted, + found:\n%s", diff)
	}
}
