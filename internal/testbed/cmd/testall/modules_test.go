package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// tree writes files below a temporary directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFindModules(t *testing.T) {
	root := tree(t, map[string]string{
		"go.mod":                "",
		"tools/go.mod":          "",
		"examples/go.mod":       "",
		"internal/sim/go.mod":   "",
		"internal/x/x.go":       "",
		"testdata/bad/go.mod":   "",
		".cache/copy/go.mod":    "",
		"_scratch/other/go.mod": "",
	})
	got, err := findModules(root)
	if want := []string{".", "examples", "internal/sim"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("findModules = %q, %v, want %q", got, err, want)
	}
}

func TestPackagesWith(t *testing.T) {
	root := tree(t, map[string]string{
		"go.mod":             "",
		"a_test.go":          "func FuzzRoot(f *testing.F) {}",
		"lock/x_test.go":     "package lock\n\nfunc FuzzKey(f *testing.F) {}",
		"lock/y_test.go":     "package lock\n\nfunc FuzzTag(f *testing.F) {}",
		"lease/x_test.go":    "package lease\n\n// func FuzzNot(f *testing.F) {}",
		"fence/fence.go":     "package fence\n\nfunc FuzzNoTest() {}",
		"examples/go.mod":    "",
		"examples/x_test.go": "func FuzzOther(f *testing.F) {}",
	})
	got, err := packagesWith(root, "Fuzz")
	if want := []string{"./.", "./lock"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("packagesWith = %q, %v, want %q", got, err, want)
	}
}

func TestFindRoot(t *testing.T) {
	root := tree(t, map[string]string{
		"go.mod":              "module " + rootModule + "\n\ngo 1.26.0\n",
		"internal/sim/go.mod": "module " + rootModule + "/internal/sim\n",
	})
	t.Chdir(filepath.Join(root, "internal", "sim"))
	want, err := filepath.EvalSymlinks(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := findRoot()
	if err == nil {
		got, err = filepath.EvalSymlinks(got)
	}
	if err != nil || got != want {
		t.Errorf("findRoot = %q, %v, want %q", got, err, want)
	}
}
