package concordhttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/ratelimit"
)

// script is a base that answers with its next header, and notes when it was asked.
type script struct {
	mu    sync.Mutex
	next  []http.Header // with a Retry-After it is a 429
	start time.Time
	asked []time.Duration
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Since(s.start))
	resp := &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Header: http.Header{}, Request: r}
	if len(s.next) > 0 {
		resp.Header, s.next = s.next[0], s.next[1:]
		if resp.Header.Get("Retry-After") != "" {
			resp.StatusCode = http.StatusTooManyRequests
		}
	}
	return resp, nil
}

func newScript(next ...http.Header) *script { return &script{next: next, start: time.Now()} }

func after(s string) http.Header { return http.Header{"Retry-After": {s}} }

func obey(t *testing.T, base http.RoundTripper, o *concordhttp.ObeyOptions) *concordhttp.ObeyTransport {
	t.Helper()
	tr, err := concordhttp.Obey(base, o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// call sends a request and returns its status, or 0 and the error.
func call(ctx context.Context, tr http.RoundTripper, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// within reports whether d is what was asked for, and a tenth and 100 ms at most on top.
func within(d, want time.Duration) bool { return d >= want && d <= want+want/10+100*time.Millisecond }

func TestObeyWaits(t *testing.T) {
	for name, c := range map[string]struct {
		first http.Header
		o     *concordhttp.ObeyOptions
		want  time.Duration
	}{
		"seconds":     {after("7"), nil, 7 * time.Second},
		"fields":      {http.Header{"Ratelimit": {`"l";r=0;t=5`}}, nil, 5 * time.Second},
		"nothing":     {http.Header{"Ratelimit": {`"l";r=3;t=5`}}, nil, 0},
		"too long":    {after("86400"), nil, time.Minute},
		"much longer": {after("86400"), &concordhttp.ObeyOptions{MaxHold: time.Hour}, time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			base := newScript(c.first)
			tr := obey(t, base, c.o)
			status, err := call(t.Context(), tr, "http://api/a")
			if want := map[bool]int{true: 429, false: 204}[c.first.Get("Retry-After") != ""]; status != want || err != nil {
				t.Errorf("%s: first answered %d, %v", name, status, err)
			}
			if status, err := call(t.Context(), tr, "http://api/b"); status != 204 || err != nil {
				t.Errorf("%s: then answered %d, %v", name, status, err)
			}
			if got := base.asked[1]; c.want == 0 && got != 0 || c.want > 0 && !within(got, c.want) {
				t.Errorf("%s: sent after %v, want %v", name, got, c.want)
			}
		})
	}
}

func TestObeyWithDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := newScript(after("7"))
		tr := obey(t, base, nil)
		if _, err := call(t.Context(), tr, "http://api/"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		body := &noted{Reader: strings.NewReader("x")}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://api/", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		var held *concordhttp.HeldBackError
		if resp != nil || !errors.Is(err, concordhttp.ErrHeldBack) || !errors.As(err, &held) || held.RetryAfter() != 6*time.Second || held.Origin != "http://api:80" {
			t.Errorf("%v, %v", resp, err)
		}
		if since := time.Since(base.start); since != time.Second || len(base.asked) != 1 || !body.closed {
			t.Errorf("after %v, asked %d times, body closed: %v", since, len(base.asked), body.closed)
		}
		// With a little more time it is sent before the deadline, and not after it by chance.
		for range 50 {
			base := newScript(after("7"))
			tr := obey(t, base, nil)
			if _, err := call(t.Context(), tr, "http://api/"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second+time.Millisecond)
			if _, err := call(ctx, tr, "http://api/"); err != nil {
				t.Error(err)
			}
			cancel()
		}
	})
}

func TestObeyCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := newScript(after("7"))
		tr := obey(t, base, nil)
		if _, err := call(t.Context(), tr, "http://api/"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := call(ctx, tr, "http://api/"); !errors.Is(err, context.Canceled) || time.Since(base.start) != time.Second || len(base.asked) != 1 {
			t.Errorf("%v after %v, asked %d times", err, time.Since(base.start), len(base.asked))
		}
	})
}

func TestObeyNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := newScript(after("7"))
		tr := obey(t, base, &concordhttp.ObeyOptions{NoWait: true})
		if _, err := call(t.Context(), tr, "http://api/"); err != nil {
			t.Fatal(err)
		}
		if _, err := call(t.Context(), tr, "http://api/"); !errors.Is(err, concordhttp.ErrHeldBack) || !strings.Contains(err.Error(), "http://api:80: held back by a rate limit for 7s") {
			t.Errorf("err = %v", err)
		}
		time.Sleep(7 * time.Second)
		if status, err := call(t.Context(), tr, "http://api/"); status != 204 || err != nil {
			t.Errorf("then %d, %v", status, err)
		}
	})
}

// One origin, or one partition, does not hold back another.
func TestObeyTellsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := newScript(after("7"))
		tr := obey(t, base, &concordhttp.ObeyOptions{NoWait: true, Partition: func(r *http.Request) string { return r.URL.Query().Get("key") }})
		for _, step := range []struct {
			url  string
			held bool
		}{
			{"http://api/?key=a", false}, // which is refused
			{"http://API:80/?key=a", true},
			{"http://api/other?key=a", true},
			{"http://api/?key=b", false},
			{"http://api/", false},
			{"https://api/?key=a", false},
			{"http://api:81/?key=a", false},
		} {
			if _, err := call(t.Context(), tr, step.url); errors.Is(err, concordhttp.ErrHeldBack) != step.held {
				t.Errorf("%s: %v", step.url, err)
			}
		}
	})
}

// Who waits learns that it has become longer, a shorter time does not end a longer one, and not all come
// in the same instant.
func TestObeyCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		base := newScript(after("10"), after("30"), after("1"))
		slow := roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/slow" {
				<-release
			}
			return base.RoundTrip(r)
		})
		tr := obey(t, slow, nil)
		var wg sync.WaitGroup
		for range 2 { // on their way before anything was refused
			wg.Go(func() {
				if _, err := call(t.Context(), tr, "http://api/slow"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if _, err := call(t.Context(), tr, "http://api/"); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			wg.Go(func() {
				if status, err := call(t.Context(), tr, "http://api/"); status != 204 || err != nil {
					t.Error(status, err)
				}
			})
		}
		time.Sleep(5 * time.Second)
		close(release) // 30 s from here, and then 1 s, which is less
		wg.Wait()
		instants := map[time.Duration]bool{}
		for _, at := range base.asked[3:] {
			instants[at] = true
			if at < 35*time.Second || at > 35*time.Second+3*time.Second+100*time.Millisecond {
				t.Errorf("sent after %v", at)
			}
		}
		if len(base.asked) != 23 || len(instants) < 15 {
			t.Errorf("%d were sent, at %d instants", len(base.asked), len(instants))
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestObeyErrors(t *testing.T) {
	boom := errors.New("boom")
	tr := obey(t, roundTrip(func(*http.Request) (*http.Response, error) { return nil, boom }), nil)
	if _, err := call(t.Context(), tr, "http://api/"); !errors.Is(err, boom) {
		t.Errorf("err = %v", err)
	}
	for _, d := range []time.Duration{time.Second - 1, 24*time.Hour + 1, -1} {
		if _, err := concordhttp.Obey(nil, &concordhttp.ObeyOptions{MaxHold: d}); !errors.Is(err, fence.ErrInvalid) || !strings.Contains(err.Error(), "MaxHold must be 1s to 24h") {
			t.Errorf("%v: %v", d, err)
		}
	}
}

// A server with a limit and a client that obeys it, with real connections: who is told what is left is
// never refused, and who is only told when it is too late is refused once and served next.
func TestObeyALimit(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		l, _ := newLimits(t, ratelimit.Limit{Name: "l", N: 3, Per: time.Second})
		server := httptest.NewServer(limited(t, l, byKey, &concordhttp.LimitOptions{Quiet: quiet}, done))
		tr := obey(t, &http.Transport{}, nil)
		client := &http.Client{Transport: tr, Timeout: patience}
		var statuses []int
		for len(statuses) < 8 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Api-Key", "k")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			statuses = append(statuses, resp.StatusCode)
		}
		for i, status := range statuses {
			refusable := quiet && i > 0 && statuses[i-1] == http.StatusNoContent
			if status != http.StatusNoContent && (status != http.StatusTooManyRequests || !refusable) {
				t.Errorf("quiet %v: answered %v", quiet, statuses)
			}
		}
		client.CloseIdleConnections()
		server.Close()
	}
}

// The table of what is held back is bounded: what ends first makes room.
func TestObeyForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := roundTrip(func(r *http.Request) (*http.Response, error) {
			h := after(r.URL.Query().Get("s"))
			return &http.Response{StatusCode: 429, Body: http.NoBody, Header: h, Request: r}, nil
		})
		tr := obey(t, base, &concordhttp.ObeyOptions{NoWait: true})
		refuse := func(host string, s int) error {
			_, err := call(t.Context(), tr, fmt.Sprintf("http://%s/?s=%d", host, s))
			return err
		}
		for i := range 1024 {
			if err := refuse(fmt.Sprint("host", i), 10+i%40); err != nil {
				t.Fatal(err)
			}
		}
		if err := refuse("one-more", 60); err != nil {
			t.Fatal(err)
		}
		forgotten := 0
		for i := range 1024 {
			if err := refuse(fmt.Sprint("host", i), 0); err == nil {
				if forgotten++; i%40 != 0 {
					t.Errorf("host %d was forgotten", i)
				}
			}
		}
		if err := refuse("one-more", 60); !errors.Is(err, concordhttp.ErrHeldBack) || forgotten != 1 {
			t.Errorf("%v, %d were forgotten", err, forgotten)
		}
	})
}
