package archtest

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAPI compares what each public package exports with the recorded state, so that no change of
// it goes unnoticed.
func TestAPI(t *testing.T) {
	m := load(t)
	recorded := make(map[string]bool)
	for _, p := range m.own {
		path, _ := rel(p.ImportPath)
		if isInternal(path) || p.Name == "main" {
			continue
		}
		name := apiFile(path)
		recorded[name] = true
		_, files := parseFiles(t, p.Dir, p.GoFiles)
		golden(t, name, exported(files))
	}
	old, err := filepath.Glob("testdata/api/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range old {
		if name, _ := filepath.Rel("testdata", file); recorded[name] {
			continue
		}
		if !*update {
			t.Errorf("%s: there is no such package", file)
		} else if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	}
}

func apiFile(rel string) string {
	if rel == "" {
		rel = "concord"
	}
	return filepath.Join("api", strings.ReplaceAll(rel, "/", "_")+".txt")
}

// exported returns one line for each exported constant, variable, function, type, field and
// method, sorted. Names of parameters and values of constants are left out.
func exported(files []*ast.File) []string {
	var a api
	for _, f := range files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				a.function(d)
			case *ast.GenDecl:
				a.general(d)
			}
		}
	}
	slices.Sort(a)
	return a
}

// api collects the lines.
type api []string

func (a *api) add(words ...string) {
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	*a = append(*a, strings.Join(words, " "))
}

func (a *api) function(d *ast.FuncDecl) {
	if !d.Name.IsExported() {
		return
	}
	if d.Recv == nil {
		a.add("func", d.Name.Name+source(signature(d.Type)))
		return
	}
	recv := d.Recv.List[0].Type
	if base := baseName(recv); ast.IsExported(base) {
		a.add("method", "("+source(recv)+")", d.Name.Name+source(signature(d.Type)))
	}
}

func (a *api) general(d *ast.GenDecl) {
	var group ast.Expr // the type that constants without a value take over
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.ValueSpec:
			if s.Type != nil || len(s.Values) > 0 {
				group = s.Type
			}
			for _, name := range s.Names {
				if name.IsExported() {
					a.add(d.Tok.String(), name.Name, source(group))
				}
			}
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				a.typ(s)
			}
		}
	}
}

func (a *api) typ(s *ast.TypeSpec) {
	name := s.Name.Name
	head := name
	if s.TypeParams != nil {
		head += typeParams(s.TypeParams)
	}
	if s.Assign != token.NoPos {
		a.add("type", head, "=", source(s.Type))
		return
	}
	switch t := s.Type.(type) {
	case *ast.StructType:
		a.add("type", head, "struct")
		for _, f := range t.Fields.List {
			if len(f.Names) == 0 && ast.IsExported(baseName(f.Type)) {
				a.add("field", name+"."+baseName(f.Type), source(f.Type), "embedded")
			}
			for _, n := range f.Names {
				if n.IsExported() {
					a.add("field", name+"."+n.Name, source(f.Type))
				}
			}
		}
	case *ast.InterfaceType:
		closed := ""
		for _, f := range t.Methods.List {
			method, ok := f.Type.(*ast.FuncType)
			switch {
			case !ok:
				a.add("method", name, "embeds", source(f.Type))
			case f.Names[0].IsExported():
				a.add("method", name+"."+f.Names[0].Name+source(signature(method)))
			default:
				closed = "closed" // nobody else can implement it
			}
		}
		a.add("type", head, "interface", closed)
	case *ast.FuncType:
		a.add("type", head, "func"+source(signature(t)))
	default:
		a.add("type", head, source(s.Type))
	}
}

// signature drops the names of parameters and results.
type signature *ast.FuncType

// source prints a type as it stands in the source, on one line; nothing for nil.
func source(node any) string {
	switch n := node.(type) {
	case nil:
		return ""
	case signature:
		return typeParams(n.TypeParams) + "(" + fieldTypes(n.Params) + ")" + results(n.Results)
	case *ast.FuncType:
		return "func" + source(signature(n))
	case *ast.Ellipsis:
		return "..." + source(n.Elt)
	}
	var b bytes.Buffer
	if err := format.Node(&b, token.NewFileSet(), node); err != nil {
		return "?" + err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// typeParams prints [K comparable, V any]. Their names stay, as the rest refers to them.
func typeParams(l *ast.FieldList) string {
	if l == nil {
		return ""
	}
	params := make([]string, len(l.List))
	for i, f := range l.List {
		names := make([]string, len(f.Names))
		for j, n := range f.Names {
			names[j] = n.Name
		}
		params[i] = strings.Join(names, ", ") + " " + source(f.Type)
	}
	return "[" + strings.Join(params, ", ") + "]"
}

func fieldTypes(l *ast.FieldList) string {
	var types []string
	for _, f := range l.List {
		types = append(types, slices.Repeat([]string{source(f.Type)}, max(1, len(f.Names)))...)
	}
	return strings.Join(types, ", ")
}

func results(l *ast.FieldList) string {
	switch {
	case l == nil:
		return ""
	case l.NumFields() == 1:
		return " " + fieldTypes(l)
	default:
		return " (" + fieldTypes(l) + ")"
	}
}

// baseName returns the name of the type in *T, T[K], pkg.T.
func baseName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return baseName(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.IndexExpr:
		return baseName(e.X)
	case *ast.IndexListExpr:
		return baseName(e.X)
	}
	return ""
}

func TestAPIRule(t *testing.T) {
	_, files := parseFiles(t, "testdata/src/api", []string{"api.go"})
	want, err := os.ReadFile("testdata/src/api/want.txt")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, exported(files), splitLines(string(want)))
}
