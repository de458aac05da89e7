package concordhttp_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
)

// store is a value behind a Fence.
type store struct {
	mu    sync.Mutex
	value string
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodPut {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "unreadable", http.StatusBadRequest)
			return
		}
		s.value = string(body)
	}
	_, _ = fmt.Fprint(w, s.value)
}

func (s *store) get() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

// TestPausedHolder is the worked history: a holder is paused, another takes over, and the first
// goes on as if nothing had happened, at each point of the work of the second.
func TestPausedHolder(t *testing.T) {
	type step func(t *testing.T, c *http.Client, s *httptest.Server, token fence.Token)
	raise := func(t *testing.T, c *http.Client, s *httptest.Server, token fence.Token) {
		t.Helper()
		if err := concordhttp.Raise(t.Context(), c, s.URL+"/fence", "ledger", token); err != nil {
			t.Error(err)
		}
	}
	get := func(t *testing.T, c *http.Client, s *httptest.Server, token fence.Token) {
		t.Helper()
		req, err := http.NewRequestWithContext(concordhttp.WithToken(t.Context(), "ledger", token), http.MethodGet, s.URL+"/r/ledger", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if body := answered(t, resp, http.StatusOK); body != "balance" {
			t.Errorf("read %q", body)
		}
	}
	write := func(t *testing.T, c *http.Client, s *httptest.Server, token fence.Token) {
		t.Helper()
		send(t, c, s.URL+"/r/ledger", "ledger", token, http.StatusOK)
	}
	for name, before := range map[string][]step{
		"after the raise, before the first read":  {raise},
		"after the first read, before the write":  {raise, get},
		"after a read that was the raise":         {get},
		"after the write":                         {raise, get, write},
		"after a write that nothing has preceded": {write},
	} {
		t.Run(name, func(t *testing.T) {
			be, err := memorybackend.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			locks, err := lock.New(be.Leases(), &lock.Options{Hooks: &lock.Hooks{}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := errors.Join(locks.Close(t.Context()), be.Close(t.Context())); err != nil {
					t.Error(err)
				}
			}()
			data := &store{value: "balance"}
			s := serve(t, newFence(t, be.Fences(), loopback, nil), data.ServeHTTP)
			c := newClient(t, s.URL)

			paused, err := locks.Acquire(t.Context(), "ledger")
			if err != nil {
				t.Fatal(err)
			}
			raise(t, c, s, paused.Token())
			get(t, c, s, paused.Token())
			be.Control().ExpireNow("ledger") // as if it had slept for longer than its TTL
			next, err := locks.Acquire(t.Context(), "ledger")
			if err != nil {
				t.Fatal(err)
			}
			for _, do := range before {
				do(t, c, s, next.Token())
			}
			value := data.get()

			resp, err := put(t, c, s.URL+"/r/ledger", "ledger", paused.Token())
			if err != nil {
				t.Fatal(err)
			}
			var fenced *fence.FencedError
			if err := concordhttp.Refused(resp); !errors.As(err, &fenced) || !errors.Is(err, fence.ErrFenced) ||
				*fenced != (fence.FencedError{Resource: "ledger", Token: paused.Token(), Mark: next.Token()}) {
				t.Errorf("the late write was answered %s: %v", resp.Status, err)
			}
			if body := answered(t, resp, http.StatusPreconditionFailed); !strings.Contains(body, next.Token().String()) {
				t.Errorf("the body was used up: %q", body)
			}
			if got := data.get(); got != value {
				t.Errorf("the late write has changed %q to %q", value, got)
			}
			if err := concordhttp.Raise(t.Context(), c, s.URL+"/fence", "ledger", paused.Token()); !errors.Is(err, fence.ErrFenced) {
				t.Errorf("late raise = %v", err)
			}
			write(t, c, s, next.Token())
			if got := data.get(); got != "body" {
				t.Errorf("the holder has written %q", got)
			}
		})
	}
}

// Without raise or read of the new holder the server cannot know of it: what the order raise, read,
// write is for.
func TestWithoutRaiseTheLateWriteIsServed(t *testing.T) {
	s := serve(t, newFence(t, newMarks(), loopback, nil), done)
	c := newClient(t, s.URL)
	send(t, c, s.URL+"/r/r", "r", 33, http.StatusNoContent)
	// 34 is granted here, and its holder reads by another way
	send(t, c, s.URL+"/r/r", "r", 33, http.StatusNoContent)
}

// Two servers with the same marks, and one that starts anew, are one fence.
func TestServersShareMarks(t *testing.T) {
	m := newMarks()
	a, b := serve(t, newFence(t, m, loopback, nil), done), serve(t, newFence(t, m, loopback, nil), done)
	c := newClient(t, a.URL, b.URL)
	send(t, c, a.URL+"/r/r", "r", 34, http.StatusNoContent)
	send(t, c, b.URL+"/r/r", "r", 33, http.StatusPreconditionFailed)
	a.Close()
	again := serve(t, newFence(t, m, loopback, nil), done)
	send(t, newClient(t, again.URL), again.URL+"/r/r", "r", 33, http.StatusPreconditionFailed)
}
