package archtest

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// identifier takes the name out of a line of the API: the kind, the name with its type if it is a
// field or a method, and the rest.
var identifier = regexp.MustCompile(`^\w+ (?:\w+\.|\(\*?\w+(?:\[[\w, ]+\])?\) )?(\w+)`)

// TestDocsRender reads every public package as a user does, with go doc, and looks for each
// exported name in what it prints.
func TestDocsRender(t *testing.T) {
	for _, p := range load(t).own {
		path, _ := rel(p.ImportPath)
		if isInternal(path) || p.Name == "main" {
			continue
		}
		cmd := exec.Command("go", "doc", "-all", p.ImportPath)
		cmd.Dir = rootDir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("go doc -all %s: %v\n%s", p.ImportPath, err, out)
			continue
		}
		_, files := parseFiles(t, p.Dir, p.GoFiles)
		report(t, unrendered(path, exported(files), string(out)))
	}
}

// unrendered returns the exported names that text does not contain as words.
func unrendered(path string, api []string, text string) []string {
	words := make(map[string]bool)
	for _, w := range strings.FieldsFunc(text, func(c rune) bool {
		return c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}) {
		words[w] = true
	}
	var bad []string
	for _, line := range api {
		m := identifier.FindStringSubmatch(line)
		switch {
		case m == nil:
			bad = append(bad, path+": cannot read the line "+line)
		case !words[m[1]]:
			bad = append(bad, path+": go doc does not show "+line)
		}
	}
	return bad
}

func TestUnrendered(t *testing.T) {
	api := []string{"const Max", "field Options.TTL time.Duration", "func New(int) error", "method (*T) Do(int) error", "method (*G[K, V]) Get(K) V"}
	if bad := unrendered("p", api, "const Max = 1\ntype Options struct { TTL int }\nfunc New(n int) error\nfunc (t *T) Do(n int)\nfunc (g *G[K, V]) Get(k K)"); len(bad) != 0 {
		t.Errorf("all is there: %q", bad)
	}
	if bad := unrendered("p", api, "const Maximum, TTLs, Newer, Done, Got"); len(bad) != 5 {
		t.Errorf("nothing is there: %q", bad)
	}
}
