package httpfaults

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/lock"
)

const (
	resource = "ledger"

	// eventually bounds the wait for what must happen, but has no promised time.
	eventually = 20 * time.Second
)

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

// engine opens a backend on the server. What goes wrong with it is meant to.
func engine(t *testing.T, server *testbed.Redis) *redisbackend.Backend {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: server.Addr(), ContextTimeoutEnabled: true,
		ReadTimeout: time.Second, DialTimeout: time.Second, DialerRetries: 1,
	})
	be, err := redisbackend.New(client, &redisbackend.Options{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventually)
		defer cancel()
		if err := errors.Join(be.Close(ctx), client.Close()); err != nil {
			t.Error(err)
		}
	})
	return be
}

// site is an HTTP server that guards one resource, and what it has served.
type site struct {
	*httptest.Server
	client *http.Client
	served atomic.Int32
}

func newSite(t *testing.T, marks fence.Marks) *site {
	t.Helper()
	f, err := concordhttp.NewFence(marks, func(*http.Request) (string, error) { return resource, nil },
		concordhttp.TrustAddresses(netip.MustParsePrefix("127.0.0.0/8")),
		&concordhttp.FenceOptions{Timeout: 5 * time.Second, Hooks: &concordhttp.Hooks{}})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{}
	mux := http.NewServeMux()
	mux.Handle("POST /fence", f.RaiseHandler())
	mux.Handle("PUT /", f.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.served.Add(1) })))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	tr, err := concordhttp.NewTransport(&http.Transport{}, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.client = &http.Client{Transport: tr, Timeout: eventually}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

func (s *site) raise(t *testing.T, token fence.Token) error {
	return concordhttp.Raise(t.Context(), s.client, s.URL+"/fence", resource, token)
}

// put returns the status and what Refused says.
func (s *site) put(t *testing.T, token fence.Token) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(concordhttp.WithToken(t.Context(), resource, token), http.MethodPut, s.URL, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode, concordhttp.Refused(resp)
}

// TestMarksOutliveTheServers: a holder is late, and between its grant and its request the HTTP
// server was replaced and the Redis server killed and started again.
func TestMarksOutliveTheServers(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, &testbed.RedisOptions{AppendOnly: true, Args: []string{"--appendfsync", "always"}})
	be := engine(t, server)
	locks, err := lock.New(be.Leases(), &lock.Options{TTL: 300 * time.Millisecond, NoRenew: true, Hooks: &lock.Hooks{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := locks.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	late, err := locks.Acquire(t.Context(), resource)
	if err != nil {
		t.Fatal(err)
	}
	first := newSite(t, be.Fences())
	if status, err := first.put(t, late.Token()); status != http.StatusOK || err != nil {
		t.Fatalf("put in time: %d, %v", status, err)
	}
	next, err := locks.Acquire(t.Context(), resource) // when the first has run out
	if err != nil {
		t.Fatal(err)
	}
	if err := first.raise(t, next.Token()); err != nil {
		t.Fatal(err)
	}
	first.Close()
	server.Kill()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	second := newSite(t, engine(t, server).Fences())
	var fenced *fence.FencedError
	if status, err := second.put(t, late.Token()); status != http.StatusPreconditionFailed || !errors.As(err, &fenced) || fenced.Mark != next.Token() {
		t.Errorf("late put: %d, %v", status, err)
	}
	if second.served.Load() != 0 {
		t.Errorf("the late request was served")
	}
	if status, err := second.put(t, next.Token()); status != http.StatusOK || err != nil {
		t.Errorf("put of the holder: %d, %v", status, err)
	}
}

// TestStoreOfTheMarksIsDown: no request runs while its token cannot be checked, and all goes on when
// it can.
func TestStoreOfTheMarksIsDown(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, &testbed.RedisOptions{AppendOnly: true})
	s := newSite(t, engine(t, server).Fences())
	if err := s.raise(t, 33); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if status, err := s.put(t, 33); status != http.StatusServiceUnavailable || err != nil || s.served.Load() != 0 {
		t.Errorf("put without Redis: %d, %v, served %d", status, err, s.served.Load())
	}
	if err := s.raise(t, 34); err == nil || errors.Is(err, fence.ErrFenced) {
		t.Errorf("raise without Redis = %v", err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if status, err := s.put(t, 33); status != http.StatusOK || err != nil {
		t.Errorf("put: %d, %v", status, err)
	}
}
