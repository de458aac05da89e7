package concord_test

import (
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeExample compiles the Go program in README.md as it stands there.
func TestReadmeExample(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	const open, end = "\n```go\n", "\n```\n"
	_, code, found := strings.Cut(string(text), open)
	code, rest, ended := strings.Cut(code, end)
	if !found || !ended || strings.Contains(rest, open) {
		t.Fatalf("README.md must have exactly one Go block, between %q and %q", open, end)
	}
	file := filepath.Join(t.TempDir(), "example.go")
	if err := os.WriteFile(file, []byte(code+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A file named on the command line is compiled with the module of the working directory.
	if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
		t.Errorf("the example in README.md does not compile: %v\n%s", err, out)
	}
	if tidy, err := format.Source([]byte(code + "\n")); err != nil || string(tidy) != code+"\n" {
		t.Errorf("the example in README.md is not formatted by gofmt: %v", err)
	}
}
