package concordhttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

func TestHandlerGetsTheToken(t *testing.T) {
	m := newMarks()
	s := serve(t, newFence(t, m, loopback, nil), func(w http.ResponseWriter, r *http.Request) {
		resource, token, ok := concordhttp.TokenFrom(r.Context())
		_, _ = fmt.Fprint(w, resource, " ", token, " ", ok)
	})
	c := newClient(t, s.URL)
	if _, body := send(t, c, s.URL+"/r/a%2Fb%20c", "a/b c", 33, http.StatusOK); body != "a/b c 33 true" {
		t.Errorf("handler got %q", body)
	}
	if mark, _ := m.Mark(t.Context(), "a/b c"); mark != 33 {
		t.Errorf("mark %v", mark)
	}
	send(t, c, s.URL+"/r/a%2Fb%20c", "a/b c", 33, http.StatusOK) // one holder makes many requests
}

func TestAnswers(t *testing.T) {
	m := newMarks()
	m.all["r"] = 1<<62 + 34
	var outcome concordhttp.Outcome
	o := &concordhttp.FenceOptions{
		RetryAfter: 1500 * time.Millisecond,
		Hooks:      &concordhttp.Hooks{Decided: func(_ context.Context, i concordhttp.Info) { outcome = i.Outcome }},
	}
	s := serve(t, newFence(t, m, loopback, o), never(t))
	stranger := serve(t, newFence(t, m, nobody, o), never(t))
	down := &marks{fault: func(context.Context) error { return lease.ErrUnavailable }}
	broken := serve(t, newFence(t, down, loopback, o), never(t))
	for _, tt := range []struct {
		outcome concordhttp.Outcome
		server  *httptest.Server
		token   string
		status  int
	}{
		{concordhttp.FencedOut, s, "4611686018427387937", 412},
		{concordhttp.Missing, s, "", 428},
		{concordhttp.Missing, stranger, "", 428},
		{concordhttp.Malformed, s, "0", 400},
		{concordhttp.Untrusted, stranger, "4611686018427387939", 403},
		{concordhttp.Untrusted, stranger, "nonsense", 403},
		{concordhttp.Unavailable, broken, "33", 503},
	} {
		h := http.Header{}
		if tt.token != "" {
			h = http.Header{concordhttp.HeaderToken: {tt.token}, concordhttp.HeaderResource: {"r"}}
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, tt.server.URL+"/r/r", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = h
		resp, err := tt.server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var p struct {
			Type, Title, Detail, Resource, Token, Mark string
			Status                                     int
		}
		if err := json.Unmarshal([]byte(answered(t, resp, tt.status)), &p); err != nil {
			t.Error(err)
		}
		if p.Status != tt.status || !strings.HasSuffix(p.Type, "#"+string(tt.outcome)) || p.Title == "" || p.Detail == "" || outcome != tt.outcome {
			t.Errorf("%s %s: outcome %q, %+v", tt.outcome, tt.token, outcome, p)
		}
		if resp.Header.Get("Content-Type") != "application/problem+json" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", tt.outcome, resp.Header)
		}
		if tt.outcome == concordhttp.FencedOut {
			if p.Resource != "r" || p.Token != tt.token || p.Mark != "4611686018427387938" {
				t.Errorf("%+v", p)
			}
		} else if p.Resource+p.Token+p.Mark != "" {
			t.Errorf("%s tells %+v", tt.outcome, p)
		}
		want := map[concordhttp.Outcome]string{concordhttp.Unavailable: "2"}[tt.outcome]
		if got := resp.Header.Get("Retry-After"); got != want {
			t.Errorf("%s: Retry-After %q, want %q", tt.outcome, got, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	m := newMarks()
	f := newFence(t, m, loopback, &concordhttp.FenceOptions{Optional: true}) // what is there is checked all the same
	s := serve(t, f, never(t))
	pair := func(token ...string) http.Header {
		return http.Header{concordhttp.HeaderToken: token, concordhttp.HeaderResource: {"r"}}
	}
	for _, h := range []http.Header{
		pair("0"), pair("33", "33"), pair("33", "34"), pair("33,34"), pair("9223372036854775808"), pair(strings.Repeat("9", 500)),
		{concordhttp.HeaderToken: {"33"}},
		{concordhttp.HeaderResource: {"r"}},
		{concordhttp.HeaderToken: {"33"}, concordhttp.HeaderResource: {"another"}},
	} {
		raw(t, s.URL+"/r/r", h, http.StatusBadRequest)
	}
	if len(m.all) != 0 {
		t.Errorf("marks were raised: %v", m.all)
	}
}

// A token of one resource on the path of another would raise the wrong mark and keep its good
// holder out.
func TestTokenOfAnotherResource(t *testing.T) {
	m := newMarks()
	s := serve(t, newFence(t, m, loopback, nil), never(t))
	send(t, newClient(t, s.URL), s.URL+"/r/customers", "orders", 33, http.StatusBadRequest)
	if len(m.all) != 0 {
		t.Errorf("marks were raised: %v", m.all)
	}
}

func TestResourceCannotBeTold(t *testing.T) {
	secret := errors.New("no such table: orders")
	var told error
	f, err := concordhttp.NewFence(newMarks(), func(*http.Request) (string, error) { return "r", secret }, loopback,
		&concordhttp.FenceOptions{Hooks: &concordhttp.Hooks{Decided: func(_ context.Context, i concordhttp.Info) { told = i.Err }}})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, f, never(t))
	_, body := send(t, newClient(t, s.URL), s.URL+"/r/r", "r", 33, http.StatusBadRequest)
	if !errors.Is(told, secret) || strings.Contains(body, "table") {
		t.Errorf("hooks got %v, the client %s", told, body)
	}
}

func TestOptional(t *testing.T) {
	m := newMarks()
	s := serve(t, newFence(t, m, nobody, &concordhttp.FenceOptions{Optional: true}), func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := concordhttp.TokenFrom(r.Context()); ok {
			t.Error("the handler got a token")
		}
		done(w, r)
	})
	c := newClient(t, s.URL)
	send(t, c, s.URL+"/r/r", "", 0, http.StatusNoContent)
	send(t, c, s.URL+"/r/r", "r", 33, http.StatusForbidden) // not served without its token
	resp, err := c.Post(s.URL+"/fence", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answered(t, resp, http.StatusPreconditionRequired) // a raise without a token is none
}

// What the engine says is for the log and not for the client.
func TestStoreDown(t *testing.T) {
	m := newMarks()
	m.fault = func(context.Context) error { return fmt.Errorf("dial redis-7: %w", lease.ErrUnavailable) }
	var out bytes.Buffer
	o := &concordhttp.FenceOptions{Hooks: concordhttp.LogHooks(slog.New(slog.NewTextHandler(&out, nil)))}
	s := serve(t, newFence(t, m, loopback, o), never(t))
	_, body := send(t, newClient(t, s.URL), s.URL+"/r/r", "r", 33, http.StatusServiceUnavailable)
	s.Close() // the log is written
	if strings.Contains(body, "redis") || !strings.Contains(out.String(), "redis-7") {
		t.Errorf("client: %s\nlog: %s", body, &out)
	}
}

func TestStoreHangs(t *testing.T) {
	m := newMarks()
	m.fault = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	s := serve(t, newFence(t, m, loopback, &concordhttp.FenceOptions{Timeout: time.Millisecond}), never(t))
	send(t, newClient(t, s.URL), s.URL+"/r/r", "r", 33, http.StatusServiceUnavailable)
}

func TestLogSaysNothingOfWhatGoesWell(t *testing.T) {
	var out bytes.Buffer
	o := &concordhttp.FenceOptions{Hooks: concordhttp.LogHooks(slog.New(slog.NewTextHandler(&out, nil)))}
	s := serve(t, newFence(t, newMarks(), loopback, o), done)
	c := newClient(t, s.URL)
	send(t, c, s.URL+"/r/r", "r", 33, http.StatusNoContent)
	send(t, c, s.URL+"/r/r", "", 0, http.StatusPreconditionRequired)
	send(t, c, s.URL+"/r/r", "r", 32, http.StatusPreconditionFailed)
	s.Close()
	if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), "fenced-out") || !strings.Contains(out.String(), "peer=127.0.0.1") {
		t.Errorf("log: %s", &out)
	}
}

// Of requests that arrive together, each is refused that a higher token has overtaken, and the mark
// ends at the highest.
func TestConcurrentTokens(t *testing.T) {
	m := newMarks()
	var mu sync.Mutex
	var served []fence.Token // in the order of their raises
	s := serve(t, newFence(t, m, loopback, &concordhttp.FenceOptions{Serialize: true}), func(w http.ResponseWriter, r *http.Request) {
		_, token, _ := concordhttp.TokenFrom(r.Context())
		mu.Lock()
		served = append(served, token)
		mu.Unlock()
		done(w, r)
	})
	c := newClient(t, s.URL)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			token := fence.Token(i*7%50 + 1)
			resp, err := put(t, c, s.URL+"/r/r", "r", token)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusPreconditionFailed {
				t.Errorf("token %v: %s", token, resp.Status)
			}
		})
	}
	wg.Wait()
	for i := 1; i < len(served); i++ {
		if served[i] <= served[i-1] {
			t.Errorf("served in the order %v", served)
		}
	}
	if mark, _ := m.Mark(t.Context(), "r"); mark != 50 || len(served) == 0 || served[len(served)-1] != 50 {
		t.Errorf("mark %v after %v", mark, served)
	}
}

func TestNewFenceReportsAll(t *testing.T) {
	_, err := concordhttp.NewFence(nil, nil, nil, &concordhttp.FenceOptions{Timeout: time.Hour, RetryAfter: time.Millisecond})
	if !errors.Is(err, fence.ErrInvalid) {
		t.Fatalf("err = %v", err)
	}
	for _, field := range []string{"marks", "resource", "trust", "Timeout", "RetryAfter"} {
		if !strings.Contains(err.Error(), field+" must") {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}
