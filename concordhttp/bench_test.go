package concordhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/ratelimit"
)

// BenchmarkLimit is what a limit adds to a request that passes, in memory.
func BenchmarkLimit(b *testing.B) {
	be, err := memorybackend.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	p, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "l", N: 1 << 40, Per: time.Second})
	if err != nil {
		b.Fatal(err)
	}
	l, err := ratelimit.New(be.Limits(), p, &ratelimit.Options{Hooks: &ratelimit.Hooks{}})
	if err != nil {
		b.Fatal(err)
	}
	behind := byAddress(b, &concordhttp.AddressOptions{Proxies: proxies})
	for name, c := range map[string]struct {
		by    concordhttp.KeyFunc
		quiet bool
	}{
		"header": {byKey, false}, "header, quiet": {byKey, true}, "address behind a proxy": {behind, false}, "hashed": {concordhttp.Hashed(byKey), false},
	} {
		b.Run(name, func(b *testing.B) {
			limit, err := concordhttp.Limit(l, c.by, &concordhttp.LimitOptions{Quiet: c.quiet})
			if err != nil {
				b.Fatal(err)
			}
			h := limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
			r.RemoteAddr = "10.0.0.1:80"
			r.Header.Set("X-Api-Key", "key")
			r.Header.Set("X-Forwarded-For", "203.0.113.9, 192.0.2.7")
			w := &noWriter{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				h.ServeHTTP(w, r)
			}
		})
	}
	if err := l.Close(context.Background()); err != nil {
		b.Error(err)
	}
	if err := be.Close(context.Background()); err != nil {
		b.Error(err)
	}
}

// noWriter is a response that nobody reads.
type noWriter struct{ h http.Header }

func (w *noWriter) Header() http.Header         { return w.h }
func (w *noWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *noWriter) WriteHeader(int)             {}
