package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDocComments(t *testing.T) {
	for _, p := range load(t).own {
		path, _ := rel(p.ImportPath)
		fset, files := parseFiles(t, p.Dir, p.GoFiles)
		report(t, undocumented(path, fset, files))
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range load(t).own {
		path, _ := rel(p.ImportPath)
		report(t, checkPackageComment(t, path, p.Dir))
	}
}

func TestExamples(t *testing.T) {
	for _, p := range load(t).own {
		path, _ := rel(p.ImportPath)
		kind, _ := layerOf(path)
		if isInternal(path) || kind == root || kind == suite || p.Name == "main" {
			continue
		}
		report(t, checkExample(t, path, p.Dir))
	}
}

// undocumented returns the exported identifiers that have no doc comment. A constant or variable
// may share the comment of its group. Fields with no blank line between them are a group too, in
// which those that speak for themselves need no comment, as long as one field has some.
func undocumented(path string, fset *token.FileSet, files []*ast.File) []string {
	var bad []string
	check := func(name string, comments ...*ast.CommentGroup) {
		for _, c := range comments {
			if strings.TrimSpace(c.Text()) != "" {
				return
			}
		}
		bad = append(bad, fmt.Sprintf("%s: %s has no doc comment", path, name))
	}
	for _, f := range files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if d.Recv != nil {
					base := baseName(d.Recv.List[0].Type)
					if !ast.IsExported(base) {
						continue
					}
					name = base + "." + name
				}
				if d.Name.IsExported() {
					check(name, d.Doc)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.ValueSpec:
						for _, n := range s.Names {
							if n.IsExported() {
								check(n.Name, s.Doc, s.Comment, d.Doc)
							}
						}
					case *ast.TypeSpec:
						if !s.Name.IsExported() {
							continue
						}
						doc := d.Doc
						if d.Lparen.IsValid() {
							doc = nil // a comment on a group of types is not that of each type
						}
						check(s.Name.Name, s.Doc, s.Comment, doc)
						members(fset, s, check)
					}
				}
			}
		}
	}
	return bad
}

// members checks the fields of a struct and the methods of an interface.
func members(fset *token.FileSet, s *ast.TypeSpec, check func(string, ...*ast.CommentGroup)) {
	switch t := s.Type.(type) {
	case *ast.StructType:
		for _, group := range fieldGroups(fset, t.Fields.List) {
			var comments []*ast.CommentGroup
			for _, f := range group {
				comments = append(comments, f.Doc, f.Comment)
			}
			for _, f := range group {
				for _, n := range f.Names {
					if n.IsExported() {
						check(s.Name.Name+"."+n.Name, comments...)
					}
				}
			}
		}
	case *ast.InterfaceType:
		for _, f := range t.Methods.List {
			for _, n := range f.Names {
				if n.IsExported() {
					check(s.Name.Name+"."+n.Name, f.Doc, f.Comment)
				}
			}
		}
	}
}

// fieldGroups splits the fields of a struct at blank lines.
func fieldGroups(fset *token.FileSet, fields []*ast.Field) [][]*ast.Field {
	var groups [][]*ast.Field
	last := 0 // the line where the field before ends
	for _, f := range fields {
		first := fset.Position(f.Pos()).Line
		if f.Doc != nil {
			first = fset.Position(f.Doc.Pos()).Line
		}
		if len(groups) == 0 || first > last+1 {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], f)
		last = fset.Position(f.End()).Line
	}
	return groups
}

// checkPackageComment wants the package comment in doc.go, where a reader looks for it.
func checkPackageComment(t *testing.T, path, dir string) []string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "doc.go")); err != nil {
		return []string{path + ": no doc.go"}
	}
	_, files := parseFiles(t, dir, []string{"doc.go"})
	if strings.TrimSpace(files[0].Doc.Text()) == "" {
		return []string{path + ": doc.go has no package comment"}
	}
	return nil
}

// checkExample wants at least one example in example_test.go.
func checkExample(t *testing.T, path, dir string) []string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "example_test.go")); err != nil {
		return []string{path + ": no example_test.go"}
	}
	_, files := parseFiles(t, dir, []string{"example_test.go"})
	for _, d := range files[0].Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Example") {
			return nil
		}
	}
	return []string{path + ": no Example in example_test.go"}
}

func TestDocCommentRule(t *testing.T) {
	fset, files := parseFiles(t, "testdata/src/docs", []string{"docs.go"})
	expect(t, undocumented("docs", fset, files), []string{
		"docs: Bare has no doc comment",
		"docs: Alone has no doc comment",
		"docs: Thing has no doc comment",
		"docs: Options.Late has no doc comment",
		"docs: Options.Later has no doc comment",
		"docs: Port.Give has no doc comment",
		"docs: Options.Method has no doc comment",
		"docs: Func has no doc comment",
	})
}

func TestPackageCommentRule(t *testing.T) {
	for dir, want := range map[string][]string{
		"docs":  nil,
		"nodoc": {"x: doc.go has no package comment"},
		"api":   {"x: no doc.go"},
	} {
		expect(t, checkPackageComment(t, "x", filepath.Join("testdata", "src", dir)), want)
	}
}

func TestExampleRule(t *testing.T) {
	for dir, want := range map[string][]string{
		"docs":  nil,
		"nodoc": {"x: no Example in example_test.go"},
		"api":   {"x: no example_test.go"},
	} {
		expect(t, checkExample(t, "x", filepath.Join("testdata", "src", dir)), want)
	}
}
