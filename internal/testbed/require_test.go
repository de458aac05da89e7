package testbed

import (
	"strings"
	"testing"
)

func TestRequired(t *testing.T) {
	for _, tt := range []struct {
		list string
		want bool
	}{
		{"", false},
		{"etcd", false},
		{"redis-cluster", false},
		{"redis", true},
		{"etcd, redis", true},
	} {
		if got := required(tt.list, "redis"); got != tt.want {
			t.Errorf("required(%q) = %t", tt.list, got)
		}
	}
}

// verdict records how missing ends a test. A real test ends at the first of these calls.
type verdict struct {
	testing.TB
	words []string
}

func (v *verdict) Helper()               {}
func (v *verdict) Skipf(string, ...any)  { v.words = append(v.words, "skipped") }
func (v *verdict) Fatalf(string, ...any) { v.words = append(v.words, "failed") }

func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := FindRedis()
	if err == nil || !strings.Contains(err.Error(), "no redis-server") {
		t.Errorf("FindRedis without a redis-server: %v", err)
	}
	for list, want := range map[string]string{"": "skipped", "redis": "failed"} {
		t.Setenv(requireEnv, list)
		v := &verdict{TB: t}
		if missing(v, "redis", err); v.words[0] != want {
			t.Errorf("with %s=%q the test was %s, want %s", requireEnv, list, v.words[0], want)
		}
	}
}

func TestCheckRedisVersion(t *testing.T) {
	for version, ok := range map[string]bool{"7.0.15": true, "8.2.1": true, "6.2.14": false, "": false} {
		if err := CheckRedisVersion(version); (err == nil) != ok {
			t.Errorf("CheckRedisVersion(%q) = %v", version, err)
		}
	}
}
