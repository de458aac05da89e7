package concordhttp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/concord-go/concord/concordhttp"
)

func header(values ...string) http.Header { return http.Header{"X-Api-Key": values} }

func TestByHeader(t *testing.T) {
	for name, c := range map[string]struct {
		h    http.Header
		want string
		err  error
	}{
		"one":   {header("a"), "a", nil},
		"none":  {nil, "", concordhttp.ErrNoKey},
		"empty": {header(""), "", concordhttp.ErrNoKey},
		"two":   {header("a", "a"), "", concordhttp.ErrKey},
		"more":  {header("a", ""), "", concordhttp.ErrKey},
	} {
		key, err := byKey(&http.Request{Header: c.h})
		if key != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", name, key, err)
		}
	}
	var bad *concordhttp.KeyError
	if _, err := byKey(&http.Request{Header: header("a", "b")}); !errors.As(err, &bad) || bad.Field != "X-Api-Key" || bad.Error() != "X-Api-Key must stand once" {
		t.Errorf("err = %v", err)
	}
}

func TestByPrincipal(t *testing.T) {
	by := concordhttp.ByPrincipal(func(r *http.Request) string { u, _, _ := r.BasicAuth(); return u })
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if key, err := by(r); key != "" || !errors.Is(err, concordhttp.ErrNoKey) {
		t.Errorf("nobody: %q, %v", key, err)
	}
	r.SetBasicAuth("ann", "")
	if key, err := by(r); key != "ann" || err != nil {
		t.Errorf("%q, %v", key, err)
	}
}

func constant(key string, err error) concordhttp.KeyFunc {
	return func(*http.Request) (string, error) { return key, err }
}

func TestKeys(t *testing.T) {
	seen := map[string][]string{}
	for _, list := range [][]string{{""}, {"a"}, {"1:a"}, {"", ""}, {"", "", ""}, {"a", ""}, {"", "a"}, {"a", "b"}, {"ab"}, {"1:a1:b"}, {"0:"}, {"a1", "b"}, {"a", "1b"}, {"a\x00b"}, {"a:", "b"}, {"a", ":b"}} {
		var by []concordhttp.KeyFunc
		for _, key := range list {
			by = append(by, constant(key, nil))
		}
		key, err := concordhttp.Keys(by...)(nil)
		if err != nil {
			t.Error(err)
		}
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q are both %q", list, other, key)
		}
		seen[key] = list
	}
	errA, errB := errors.New("a"), errors.New("b")
	if _, err := concordhttp.Keys(constant("k", nil), constant("", errA), constant("", errB))(nil); !errors.Is(err, errA) {
		t.Errorf("err = %v", err)
	}
	if _, err := concordhttp.Keys()(nil); !errors.Is(err, concordhttp.ErrNoKey) {
		t.Errorf("of nothing: %v", err)
	}
}

func TestHashed(t *testing.T) {
	// printf abc | openssl sha256 -binary | base64
	const abc = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
	if key, err := concordhttp.Hashed(constant("abc", nil))(nil); key != abc || err != nil {
		t.Errorf("%q, %v", key, err)
	}
	long := strings.Repeat("k", 8<<10)
	if key, err := concordhttp.Hashed(constant(long, nil))(nil); len(key) != 43 || err != nil {
		t.Errorf("long: %q, %v", key, err)
	}
	if _, err := concordhttp.Hashed(constant(long+"k", nil))(nil); !errors.Is(err, concordhttp.ErrKey) {
		t.Errorf("longer: %v", err)
	}
	if _, err := concordhttp.Hashed(constant("", concordhttp.ErrNoKey))(nil); !errors.Is(err, concordhttp.ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
}
