package archtest

import (
	"strings"
	"testing"
)

// TestDependencies compares what each package depends on, tests not counted, with the recorded
// state, so that a new dependency is a decision and not an accident.
func TestDependencies(t *testing.T) {
	m := load(t)
	golden(t, "deps.golden", dependencies(m))
}

// dependencies lists each package of the module, with the packages outside of the standard
// library that it depends on indented below it. The internal packages of other modules are left
// out: they come with the others, and change with every release.
func dependencies(m *module) []string {
	var lines []string
	for _, p := range m.own {
		lines = append(lines, p.ImportPath)
		for _, dep := range p.Deps { // go list sorts them
			_, ours := rel(dep)
			if ours || !m.standard[dep] && !strings.Contains(dep+"/", "/internal/") {
				lines = append(lines, "\t"+dep)
			}
		}
	}
	return lines
}

func TestDependencyRule(t *testing.T) {
	got := dependencies(&module{
		own: []*pkg{
			{ImportPath: modulePath + "/a", Deps: []string{"errors", modulePath + "/internal/b", "x.org/y", "x.org/y/internal", "x.org/y/internal/z"}},
			{ImportPath: modulePath + "/internal/b", Deps: []string{"errors"}},
		},
		standard: map[string]bool{"errors": true},
	})
	expect(t, got, []string{
		modulePath + "/a",
		"\t" + modulePath + "/internal/b",
		"\tx.org/y",
		modulePath + "/internal/b",
	})
}
