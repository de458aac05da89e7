package archtest

import (
	"cmp"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func sortBy[T any, K cmp.Ordered](s []T, key func(T) K) {
	slices.SortFunc(s, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}

// golden compares lines with a file of testdata, or writes the file.
func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if diff := diffLines(splitLines(string(text)), lines); diff != "" {
		t.Errorf("%s differs, - recorded, + now:\n%sif the change is meant: go test ./internal/archtest -update", file, diff)
	}
}

func splitLines(text string) []string {
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// diffLines returns the lines of old that are missing in now and the other way round, in the
// order of the text, or "" when both are equal.
func diffLines(old, now []string) string {
	if slices.Equal(old, now) {
		return ""
	}
	var b strings.Builder
	i, j := 0, 0
	for i < len(old) || j < len(now) {
		switch {
		case i < len(old) && j < len(now) && old[i] == now[j]:
			i++
			j++
		case j < len(now) && !slices.Contains(old[i:], now[j]):
			b.WriteString("+ " + now[j] + "\n")
			j++
		case i < len(old):
			b.WriteString("- " + old[i] + "\n")
			i++
		default:
			b.WriteString("+ " + now[j] + "\n")
			j++
		}
	}
	return b.String()
}

func TestDiffLines(t *testing.T) {
	for _, tt := range []struct{ old, now, want string }{
		{"a b c", "a b c", ""},
		{"a b c", "a c", "- b\n"},
		{"a c", "a b c", "+ b\n"},
		{"a b", "a x", "+ x\n- b\n"},
		{"a b", "b a", "- a\n+ a\n"},
		{"", "a", "+ a\n"},
	} {
		if got := diffLines(strings.Fields(tt.old), strings.Fields(tt.now)); got != tt.want {
			t.Errorf("diff of %q and %q = %q, want %q", tt.old, tt.now, got, tt.want)
		}
	}
}
