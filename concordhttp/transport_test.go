package concordhttp_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
)

func TestOrigins(t *testing.T) {
	for _, s := range []string{"", "ledger", "ledger:80", "ftp://ledger", "http://", "http://:80", "http://ledger/", "http://ledger/x", "http://u@ledger", "http://ledger?x", "http://ledger#x", "HTTP://ledger"} {
		if _, err := concordhttp.NewTransport(nil, "http://good", s); !errors.Is(err, fence.ErrInvalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := concordhttp.NewTransport(nil); !errors.Is(err, fence.ErrInvalid) {
		t.Errorf("without origins: %v", err)
	}
	_, err := concordhttp.NewTransport(nil, "one", "two")
	if err == nil || !strings.Contains(err.Error(), `"one"`) || !strings.Contains(err.Error(), `"two"`) {
		t.Errorf("err = %v", err)
	}
}

// answers is a base that answers by itself and keeps the request.
type answers struct{ last *http.Request }

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.last = r
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
}

// noted is a body that notes that it was closed.
type noted struct {
	io.Reader
	closed bool
}

func (n *noted) Close() error { n.closed = true; return nil }

func TestTokenGoesToItsOriginsOnly(t *testing.T) {
	base := &answers{}
	tr, err := concordhttp.NewTransport(base, "https://Ledger.internal", "http://127.0.0.1:8080", "http://[::1]:80")
	if err != nil {
		t.Fatal(err)
	}
	for u, allowed := range map[string]bool{
		"https://ledger.internal/x":      true,
		"https://LEDGER.internal:443/x":  true,
		"http://127.0.0.1:8080/":         true,
		"http://[::1]/x":                 true,
		"http://ledger.internal/x":       false,
		"https://ledger.internal:444/x":  false,
		"https://ledger.internal.evil/":  false,
		"https://ledger.internal@evil/":  false,
		"https://evil.ledger.internal/":  false,
		"http://127.0.0.1/":              false,
		"https://127.0.0.1:8080/":        false,
		"https://ledger.internal%2eevil": false,
	} {
		base.last = nil
		body := &noted{Reader: strings.NewReader("x")}
		req, err := http.NewRequestWithContext(concordhttp.WithToken(t.Context(), "r", 33), http.MethodPost, u, body)
		if err != nil {
			if allowed {
				t.Error(err)
			}
			continue
		}
		resp, err := tr.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		var origin *concordhttp.OriginError
		switch {
		case allowed && (err != nil || base.last.Header.Get(concordhttp.HeaderToken) != "33"):
			t.Errorf("%s: %v", u, err)
		case !allowed && (!errors.As(err, &origin) || !errors.Is(err, concordhttp.ErrOrigin) || base.last != nil || !body.closed):
			t.Errorf("%s: %v, sent: %v, body closed: %v", u, err, base.last != nil, body.closed)
		}
		if len(req.Header) != 0 {
			t.Errorf("%s: the caller's request was changed: %v", u, req.Header)
		}
	}
}

func TestRequestWithoutAToken(t *testing.T) {
	base := &answers{}
	tr, err := concordhttp.NewTransport(base, "http://ledger")
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://anywhere/", nil)
	resp, err := tr.RoundTrip(req)
	if err != nil || base.last != req {
		t.Errorf("a request without a token was not passed on as it is: %v", err)
	}
	_ = resp.Body.Close()

	req.Header.Set(concordhttp.HeaderToken, "99")
	req.Header.Set(concordhttp.HeaderResource, "r")
	req.Header.Set("Other", "stays")
	if resp, err = tr.RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if h := base.last.Header; h.Get(concordhttp.HeaderToken)+h.Get(concordhttp.HeaderResource) != "" || h.Get("Other") != "stays" {
		t.Errorf("sent %v", h)
	}
	if req.Header.Get(concordhttp.HeaderToken) != "99" {
		t.Error("the caller's request was changed")
	}
}

func TestBadTokenIsNotSent(t *testing.T) {
	base := &answers{}
	tr, err := concordhttp.NewTransport(base, "http://ledger")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct {
		resource string
		token    fence.Token
	}{{"r", 0}, {"r", 1 << 63}, {"", 33}, {strings.Repeat("r", fence.MaxResource+1), 33}} {
		req := httptest.NewRequestWithContext(concordhttp.WithToken(t.Context(), bad.resource, bad.token), http.MethodPut, "http://ledger/", nil)
		if resp, err := tr.RoundTrip(req); !errors.Is(err, fence.ErrInvalid) || base.last != nil {
			t.Errorf("%+v: %v, %v", bad, resp, err)
		}
	}
}

// A redirect to another server does not carry the token there, and the request does not go there
// without it either.
func TestRedirects(t *testing.T) {
	var elsewhere []http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere = append(elsewhere, r.Header) }))
	defer other.Close()
	f := newFence(t, newMarks(), loopback, nil)
	s := serve(t, f, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("to") == "other":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case r.URL.Query().Get("to") == "self":
			http.Redirect(w, r, "/r/r", http.StatusTemporaryRedirect)
		default:
			done(w, r)
		}
	})
	c := newClient(t, s.URL)
	send(t, c, s.URL+"/r/r?to=self", "r", 33, http.StatusNoContent)
	if resp, err := put(t, c, s.URL+"/r/r?to=other", "r", 33); !errors.Is(err, concordhttp.ErrOrigin) {
		stranded(t, resp, err)
	}
	// Also if the program has put the headers into the request by hand, which the client copies.
	req, err := http.NewRequestWithContext(concordhttp.WithToken(t.Context(), "r", 33), http.MethodPut, s.URL+"/r/r?to=other", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(concordhttp.HeaderToken, "33")
	req.Header.Set(concordhttp.HeaderResource, "r")
	if resp, err := c.Do(req); !errors.Is(err, concordhttp.ErrOrigin) {
		stranded(t, resp, err)
	}
	if len(elsewhere) != 0 {
		t.Errorf("the other server got %v", elsewhere)
	}
}

// stranded reports a request that should not have been sent.
func stranded(t *testing.T, resp *http.Response, err error) {
	t.Helper()
	t.Errorf("err = %v", err)
	if err == nil {
		_ = resp.Body.Close()
	}
}

// A token that was received does not go on by itself, neither with the context nor with the headers
// that a proxy copies.
func TestReceivedTokenStops(t *testing.T) {
	var got http.Header
	inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = r.Header; done(w, r) }))
	defer inner.Close()
	target, err := url.Parse(inner.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = newClient(t, inner.URL).Transport
	s := serve(t, newFence(t, newMarks(), loopback, nil), proxy.ServeHTTP)
	send(t, newClient(t, s.URL), s.URL+"/r/r", "r", 33, http.StatusNoContent)
	if got == nil || got.Get(concordhttp.HeaderToken)+got.Get(concordhttp.HeaderResource) != "" {
		t.Errorf("the inner server got %v", got)
	}
}
