package concordhttp_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
)

var (
	loopback = concordhttp.TrustAddresses(netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	nobody   = concordhttp.TrustAddresses()
)

// patience bounds the wait for what must happen, but has no promised time.
const patience = 10 * time.Second

// byPath is the resource of a request to /r/name.
func byPath(r *http.Request) (string, error) { return strings.TrimPrefix(r.URL.Path, "/r/"), nil }

// marks is a table of marks that may be slow or fail.
type marks struct {
	mu    sync.Mutex
	all   map[string]fence.Token
	fault func(context.Context) error
}

func newMarks() *marks { return &marks{all: map[string]fence.Token{}} }

func (m *marks) Raise(ctx context.Context, resource string, token fence.Token) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault != nil {
		if err := m.fault(ctx); err != nil {
			return err
		}
	}
	if err := fence.Validate(resource, token); err != nil {
		return err
	}
	if mark := m.all[resource]; token < mark {
		return &fence.FencedError{Resource: resource, Token: token, Mark: mark}
	}
	m.all[resource] = token
	return nil
}

func (m *marks) Mark(_ context.Context, resource string) (fence.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all[resource], nil
}

func newFence(t *testing.T, m fence.Marks, trust func(*http.Request) bool, o *concordhttp.FenceOptions) *concordhttp.Fence {
	t.Helper()
	var opt concordhttp.FenceOptions
	if o != nil {
		opt = *o
	}
	if opt.Hooks == nil {
		opt.Hooks = &concordhttp.Hooks{}
	}
	f, err := concordhttp.NewFence(m, byPath, trust, &opt)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// serve starts a server with next behind f under /r/ and the raise handler at /fence.
func serve(t *testing.T, f *concordhttp.Fence, next http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/r/", f.Handler(next))
	mux.Handle("/fence", f.RaiseHandler())
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func done(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// never is a handler that must not run.
func never(t *testing.T) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }
}

// newClient returns a client that sends tokens to the origins, over connections of its own.
func newClient(t *testing.T, origins ...string) *http.Client {
	t.Helper()
	base := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13}}
	tr, err := concordhttp.NewTransport(base, origins...)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: tr, Timeout: patience}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// put sends a request under token, or without one if it is 0.
func put(t *testing.T, c *http.Client, url, resource string, token fence.Token) (*http.Response, error) {
	t.Helper()
	ctx := t.Context()
	if token != 0 {
		ctx = concordhttp.WithToken(ctx, resource, token)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(req)
}

// send is put that must be answered with the status; it returns the response and its body.
func send(t *testing.T, c *http.Client, url, resource string, token fence.Token, status int) (*http.Response, string) {
	t.Helper()
	resp, err := put(t, c, url, resource, token)
	if err != nil {
		t.Fatal(err)
	}
	return resp, answered(t, resp, status)
}

// raw sends a request with headers as they are.
func raw(t *testing.T, url string, headers http.Header, status int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = headers
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return answered(t, resp, status)
}

func answered(t *testing.T, resp *http.Response, status int) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != status {
		t.Fatalf("answered %s, want %d: %s", resp.Status, status, body)
	}
	return string(body)
}
