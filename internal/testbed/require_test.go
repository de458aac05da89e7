package testbed

import (
	"runtime"
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

// verdict records how a test ends.
type verdict struct {
	testing.TB
	word string
}

func (v *verdict) Helper()               {}
func (v *verdict) Skipf(string, ...any)  { v.end("skipped") }
func (v *verdict) Fatalf(string, ...any) { v.end("failed") }

func (v *verdict) end(word string) {
	v.word = word
	runtime.Goexit()
}

// verdictOn returns how a test that calls start ends.
func verdictOn(t *testing.T, start func(tb testing.TB)) string {
	t.Helper()
	v := &verdict{TB: t, word: "went on"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		start(v)
	}()
	<-done
	return v.word
}

func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := FindRedis()
	if err == nil || !strings.Contains(err.Error(), "no redis-server") {
		t.Errorf("FindRedis without a redis-server: %v", err)
	}
	for list, want := range map[string]string{"": "skipped", "redis": "failed"} {
		t.Setenv(requireEnv, list)
		for name, start := range map[string]func(testing.TB){
			"redis":    func(tb testing.TB) { StartRedis(tb, nil) },
			"sentinel": func(tb testing.TB) { StartSentinel(tb, nil) },
			"cluster":  func(tb testing.TB) { StartCluster(tb, nil) },
		} {
			if got := verdictOn(t, start); got != want {
				t.Errorf("%s, with %s=%q: the test %s, want %s", name, requireEnv, list, got, want)
			}
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
