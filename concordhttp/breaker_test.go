package concordhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/retry"
)

// newGroup returns a group whose breakers open when two calls have failed.
func newGroup(t *testing.T, o *breaker.Options) *breaker.Group[string] {
	t.Helper()
	var opt breaker.Options
	if o != nil {
		opt = *o
	}
	opt.Hooks, opt.MinCalls, opt.FailureRate, opt.Probes = &breaker.Hooks{}, 2, 1, 1
	g, err := breaker.NewGroup[string]("servers", &breaker.GroupOptions{Breaker: &opt})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func breaking(t *testing.T, base http.RoundTripper, g *breaker.Group[string], o *concordhttp.BreakerOptions) *concordhttp.BreakerTransport {
	t.Helper()
	tr, err := concordhttp.Breaker(base, g, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// A server that fails is left alone, and another is not.
func TestBreakerByOrigin(t *testing.T) {
	bad, good := answer(t, status(500, "x"), cut, status(500, "")), answer(t, status(404, ""))
	g := newGroup(t, nil)
	tr := breaking(t, &http.Transport{}, g, nil)
	for range 2 {
		_, _ = call(t.Context(), tr, bad.URL) // one of each: a status and an error
	}
	body := &noted{Reader: strings.NewReader("x")}
	_, err := tr.RoundTrip(request(t, http.MethodPost, bad.URL, body))
	var rejected *breaker.RejectedError
	if !errors.As(err, &rejected) || rejected.Key != bad.URL || rejected.RetryAfter() <= 0 || !body.closed || len(bad.all()) != 2 {
		t.Errorf("%v, closed: %v, %d came", err, body.closed, len(bad.all()))
	}
	client := &http.Client{Transport: tr}
	if _, err := client.Do(request(t, http.MethodGet, bad.URL, http.NoBody)); !errors.Is(err, breaker.ErrRejected) {
		t.Errorf("through a client: %v", err)
	}
	for range 5 {
		if code, err := call(t.Context(), tr, good.URL); code != 404 || err != nil {
			t.Fatal(code, err)
		}
	}
	if c := g.Get(good.URL).Counts(); c.Calls != 5 || c.Failed != 0 {
		t.Errorf("the good one: %+v", c)
	}
}

// What counts, and as what.
func TestBreakerOutcomes(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		code          int
		err           error
		ctx           context.Context
		o             *concordhttp.BreakerOptions
		calls, failed int64
	}{
		"200": {code: 200, calls: 1}, "429": {code: 429, calls: 1}, "499": {code: 499, calls: 1},
		"500": {code: 500, calls: 1, failed: 1}, "503": {code: 503, calls: 1, failed: 1},
		"error":               {err: boom, calls: 1, failed: 1},
		"too late":            {code: 200, ctx: gone},
		"cancelled meanwhile": {err: context.Canceled},
		"own judgement":       {code: 429, o: &concordhttp.BreakerOptions{Outcome: func(*http.Response) breaker.Outcome { return breaker.Failure }}, calls: 1, failed: 1},
		"own disregard":       {code: 500, o: &concordhttp.BreakerOptions{Outcome: func(*http.Response) breaker.Outcome { return breaker.Ignored }}},
	} {
		g := newGroup(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		if c.ctx != nil {
			ctx = c.ctx
		}
		base := roundTrip(func(r *http.Request) (*http.Response, error) {
			if errors.Is(c.err, context.Canceled) {
				cancel()
				return nil, boom // whatever a client makes of it
			}
			if c.err != nil {
				return nil, c.err
			}
			return &http.Response{StatusCode: c.code, Body: http.NoBody, Request: r}, nil
		})
		_, _ = call(ctx, breaking(t, base, g, c.o), "http://api/")
		cancel()
		if n := g.Get("http://api:80").Counts(); n.Calls != c.calls || n.Failed != c.failed {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// With WholeBody a response that breaks off is a failure.
func TestBreakerWholeBody(t *testing.T) {
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, c := range map[string]struct {
		h             http.HandlerFunc
		whole, read   bool
		calls, failed int64
	}{
		"broken":            {half, true, true, 1, 1},
		"broken, header":    {half, false, true, 1, 0},
		"read":              {status(200, "all"), true, true, 1, 0},
		"closed":            {status(200, "all"), true, false, 1, 0},
		"failure by status": {status(500, "all"), true, false, 1, 1},
	} {
		g := newGroup(t, nil)
		a := answer(t, c.h)
		tr := breaking(t, &http.Transport{}, g, &concordhttp.BreakerOptions{WholeBody: c.whole})
		resp, err := tr.RoundTrip(request(t, http.MethodGet, a.URL, http.NoBody))
		if err != nil {
			t.Fatal(err)
		}
		counts := g.Get(a.URL).Counts
		if early := counts().Calls == 1; early != (!c.whole || c.failed == 1 && !c.read) {
			t.Errorf("%s: at the header %+v", name, counts())
		}
		if c.read {
			_, _ = io.ReadAll(resp.Body)
		}
		_ = resp.Body.Close()
		if n := counts(); n.Calls != c.calls || n.Failed != c.failed {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// A caller who leaves while reading is not counted.
func TestBreakerWholeBodyCancelled(t *testing.T) {
	a := answer(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	g := newGroup(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := breaking(t, &http.Transport{}, g, &concordhttp.BreakerOptions{WholeBody: true}).
		RoundTrip(request(t, http.MethodGet, a.URL, http.NoBody).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	_ = resp.Body.Close()
	if n := g.Get(a.URL).Counts(); n.Calls != 0 {
		t.Errorf("%+v", n)
	}
}

// A panic in the base or in the program's func does not leave a probe behind.
func TestBreakerPanic(t *testing.T) {
	for _, inBase := range []bool{true, false} {
		g := newGroup(t, nil)
		base := roundTrip(func(r *http.Request) (*http.Response, error) {
			if inBase {
				panic("base")
			}
			return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
		})
		tr := breaking(t, base, g, &concordhttp.BreakerOptions{Outcome: func(*http.Response) breaker.Outcome { panic("outcome") }})
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			_, _ = call(t.Context(), tr, "http://api/")
		}()
		if n := g.Get("http://api:80").Counts(); n.Failed != 1 {
			t.Errorf("%+v", n)
		}
	}
}

// down is a base that fails until a time, and counts.
type down struct {
	up   time.Time
	came int
}

func (d *down) RoundTrip(r *http.Request) (*http.Response, error) {
	d.came++
	code := 204
	if time.Now().Before(d.up) {
		code = 503
	}
	return &http.Response{StatusCode: code, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}

// Attempts around a breaker: a rejection is waited for, until the breaker tries again, and nothing is sent
// meanwhile. Also for what must not be repeated, since it was not sent.
func TestRetryAroundBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &down{up: time.Now().Add(time.Second)}
		g := newGroup(t, &breaker.Options{OpenFor: 5 * time.Second, MaxOpenFor: 5 * time.Second})
		opt := soon()
		opt.NoBudget, opt.MaxAttempts = true, 4
		tr, err := concordhttp.Retry(breaking(t, base, g, nil), newRetrier(t, opt), nil)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if code, err := call(t.Context(), tr, "http://api/"); code != 204 || err != nil || base.came != 3 {
			t.Errorf("%d, %v, %d sent", code, err, base.came)
		}
		// Two fail at once, and the third is rejected with the time to wait.
		if took := time.Since(start); took < 4*time.Second || took > 5500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		g.Get("http://api:80").ForceOpen()
		resp, err := tr.RoundTrip(request(t, http.MethodPost, "http://api/", strings.NewReader("x")))
		var exhausted *retry.ExhaustedError
		if !errors.Is(err, breaker.ErrRejected) || !errors.As(err, &exhausted) || exhausted.Attempts != 4 || base.came != 3 {
			t.Errorf("%v, %v, %d sent", resp, err, base.came)
		}
	})
}

// A breaker around attempts counts one outcome a call, and each rejection costs no attempt.
func TestBreakerAroundRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &down{up: time.Now().Add(time.Hour)}
		g := newGroup(t, nil)
		inner, err := concordhttp.Retry(base, newRetrier(t, soon()), nil)
		if err != nil {
			t.Fatal(err)
		}
		tr := breaking(t, inner, g, nil)
		for range 2 {
			if code, err := call(t.Context(), tr, "http://api/"); code != 503 || err != nil {
				t.Error(code, err)
			}
		}
		if _, err := call(t.Context(), tr, "http://api/"); !errors.Is(err, breaker.ErrRejected) || base.came != 6 {
			t.Errorf("%v, %d sent", err, base.came)
		}
	})
}

func TestBreakerBadInput(t *testing.T) {
	if _, err := concordhttp.Breaker(nil, nil, nil); !errors.Is(err, fence.ErrInvalid) || !strings.Contains(err.Error(), "group must not be nil") {
		t.Errorf("err = %v", err)
	}
}
