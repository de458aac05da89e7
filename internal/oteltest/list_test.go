package oteltest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// row is a metric, span or event as the list names it and as it is exported.
type row struct {
	kind       string // histogram, counter, up-down counter, gauge, span, event
	unit       string
	attributes []string // sorted
}

// list is what docs/operations.md says.
type list struct {
	metrics map[string]row
	spans   map[string]row
	values  map[string][]string // of each attribute
}

var code = regexp.MustCompile("`([^`]+)`")

func quoted(cell string) []string {
	var all []string
	for _, m := range code.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return all
}

// readList reads the three tables, which are known by the words in their heads.
func readList(t *testing.T) list {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n### OpenTelemetry\n")
	if !found {
		t.Fatal("docs/operations.md has no section OpenTelemetry")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	l := list{metrics: map[string]row{}, spans: map[string]row{}, values: map[string][]string{}}
	var head []string
	for line := range strings.Lines(section) {
		cells, ok := cellsOf(line)
		switch {
		case !ok:
			head = nil
		case head == nil:
			head = cells
		case strings.HasPrefix(cells[0], "---"):
		case len(cells) != len(head):
			t.Errorf("%q has %d cells", line, len(cells))
		case head[0] == "attribute":
			for _, name := range quoted(cells[0]) {
				l.values[name] = quoted(cells[1])
			}
		case head[1] == "type":
			l.metrics[quoted(cells[0])[0]] = row{kind: cells[1], unit: cells[2], attributes: quoted(cells[3])}
		case head[1] == "kind":
			l.spans[quoted(cells[0])[0]] = row{kind: cells[1], attributes: quoted(cells[2])}
		}
	}
	if len(l.metrics) == 0 || len(l.spans) == 0 || len(l.values) == 0 {
		t.Fatalf("the list was not understood: %v", l)
	}
	return l
}

func cellsOf(line string) ([]string, bool) {
	inner, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
	inner, end := strings.CutSuffix(inner, "|")
	if !ok || !end {
		return nil, false
	}
	cells := strings.Split(inner, "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells, true
}

// constants returns the texts of all constants of a type in a file.
func constants(t *testing.T, file, typeName string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", filepath.FromSlash(file)), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == typeName {
			for _, v := range spec.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, text)
			}
		}
		return true
	})
	return all
}
