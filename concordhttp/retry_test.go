package concordhttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/retry"
)

func newRetrier(t *testing.T, o *retry.Options) *retry.Retrier {
	t.Helper()
	r, err := retry.New("server", o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// soon makes attempts follow each other at once.
func soon() *retry.Options {
	return &retry.Options{Backoff: retry.Constant(0)}
}

func retrying(t *testing.T, base http.RoundTripper, r *retry.Retrier, o *concordhttp.RetryOptions) *http.Client {
	t.Helper()
	tr, err := concordhttp.Retry(base, r, o)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: tr, Timeout: patience}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// answering is a server that handles its requests with one handler after the other, and then the last
// again. It notes what came.
type answering struct {
	*httptest.Server
	mu    sync.Mutex
	came  []string // attempt header, key and body
	conns map[string]bool
}

func answer(t *testing.T, handlers ...http.HandlerFunc) *answering {
	t.Helper()
	a := &answering{conns: map[string]bool{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a client that breaks off is part of the tests
		a.mu.Lock()
		n := len(a.came)
		a.came = append(a.came, r.Header.Get(concordhttp.HeaderAttempt)+","+r.Header.Get("Idempotency-Key")+","+string(body))
		a.conns[r.RemoteAddr] = true
		a.mu.Unlock()
		handlers[min(n, len(handlers)-1)](w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *answering) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.came)
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// The body is sent from its beginning each time, and each attempt after the first says so.
func TestRetryRewinds(t *testing.T) {
	a := answer(t, status(503, "no"), cut, status(200, "yes"))
	c := retrying(t, nil, newRetrier(t, soon()), nil)
	resp, err := c.Do(request(t, http.MethodPut, a.URL, strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	if body := answered(t, resp, 200); body != "yes" {
		t.Errorf("answered %q", body)
	}
	if want := []string{",,body", "2,,body", "3,,body"}; !slices.Equal(a.all(), want) {
		t.Errorf("sent %q, want %q", a.all(), want)
	}
	if resp.Request.Header.Get(concordhttp.HeaderAttempt) != "" {
		t.Error("the caller's request was changed")
	}
}

// Which requests are sent how often.
func TestRetryRepeats(t *testing.T) {
	plain := struct{ io.Reader }{strings.NewReader("x")} // hides what GetBody could be made of
	for name, c := range map[string]struct {
		method string
		body   io.Reader
		key    string
		o      *concordhttp.RetryOptions
		first  http.HandlerFunc
		want   int
	}{
		"GET":                    {method: "GET", first: status(503, ""), want: 2},
		"DELETE of a connection": {method: "DELETE", first: cut, want: 2},
		"502":                    {method: "GET", first: status(502, ""), want: 2},
		"504":                    {method: "GET", first: status(504, ""), want: 2},
		"429":                    {method: "GET", first: status(429, ""), want: 2},
		"500":                    {method: "GET", first: status(500, ""), want: 1},
		"404":                    {method: "GET", first: status(404, ""), want: 1},
		"404 listed":             {method: "GET", first: status(404, ""), o: &concordhttp.RetryOptions{Statuses: []int{404}}, want: 2},
		"POST":                   {method: "POST", body: strings.NewReader("x"), first: status(503, ""), want: 1},
		"POST of a connection":   {method: "POST", body: strings.NewReader("x"), first: cut, want: 1},
		"POST with a key":        {method: "POST", body: strings.NewReader("x"), key: "k", first: status(503, ""), want: 2},
		"POST gets a key":        {method: "POST", body: strings.NewReader("x"), o: &concordhttp.RetryOptions{Keys: true}, first: cut, want: 2},
		"PATCH":                  {method: "PATCH", body: strings.NewReader("x"), first: status(503, ""), want: 1},
		"POST that may":          {method: "POST", o: &concordhttp.RetryOptions{Repeatable: func(*http.Request) bool { return true }}, first: status(503, ""), want: 2},
		"no way back":            {method: "PUT", body: plain, first: status(503, ""), want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := answer(t, c.first, done)
			// Even if every failure is called transient.
			opt := soon()
			opt.Classify = func(error) retry.Class { return retry.ClassTransient }
			req := request(t, c.method, a.URL, c.body)
			if c.key != "" {
				req.Header.Set("Idempotency-Key", c.key)
			}
			// A new connection: net/http sends some requests again by itself when a used one was closed.
			resp, err := retrying(t, &http.Transport{}, newRetrier(t, opt), c.o).Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			came := a.all()
			if len(came) != c.want || (c.want == 2) != (err == nil && resp.StatusCode == 204) {
				t.Errorf("sent %q, %v", came, err)
			}
			if key := strings.Split(came[0], ",")[1]; c.o != nil && c.o.Keys && (len(key) != 22 || !strings.Contains(came[1], ","+key+",")) {
				t.Errorf("keys: %q", came)
			}
		})
	}
}

// What was not sent may be sent, whatever it is: nobody listens at first, and a certificate that is not
// trusted is no better the second time.
func TestRetryUnsent(t *testing.T) {
	gone := httptest.NewServer(http.HandlerFunc(done))
	gone.Close()
	failed := 0
	opt := soon()
	var classes []retry.Class
	opt.Hooks = &retry.Hooks{Failed: func(_ context.Context, i retry.Info) { failed++; classes = append(classes, i.Class) }}
	c := retrying(t, &http.Transport{}, newRetrier(t, opt), nil)
	_, err := c.Do(request(t, http.MethodPost, gone.URL, strings.NewReader("x")))
	var exhausted *retry.ExhaustedError
	if !errors.As(err, &exhausted) || exhausted.Reason != retry.AttemptsExhausted || failed != 3 || classes[0] != retry.ClassUnsent {
		t.Errorf("%v, %d failures %v", err, failed, classes)
	}

	failed = 0
	secret := httptest.NewUnstartedServer(http.HandlerFunc(done))
	secret.Config.ErrorLog = log.New(io.Discard, "", 0)
	secret.StartTLS()
	defer secret.Close()
	_, err = c.Do(request(t, http.MethodGet, secret.URL, http.NoBody))
	if err == nil || errors.As(err, &exhausted) || failed != 1 {
		t.Errorf("%v after %d failures", err, failed)
	}
}

// A base that does not tell how far it came may have sent the request.
func TestRetryUnknownWhetherSent(t *testing.T) {
	came := 0
	base := roundTrip(func(*http.Request) (*http.Response, error) { came++; return nil, errors.New("boom") })
	for method, want := range map[string]int{http.MethodPost: 1, http.MethodPut: 3} {
		came = 0
		_, err := retrying(t, base, newRetrier(t, soon()), nil).Do(request(t, method, "http://api/", strings.NewReader("x")))
		if err == nil || came != want {
			t.Errorf("%s: %v after %d", method, err, came)
		}
	}
}

// Over HTTP/2 it is known as well that a request was sent.
func TestRetryHTTP2(t *testing.T) {
	a := answer(t, cut, done)
	s := httptest.NewUnstartedServer(a.Config.Handler)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	c := retrying(t, s.Client().Transport, newRetrier(t, soon()), nil)
	if resp, err := c.Do(request(t, http.MethodPost, s.URL, strings.NewReader("x"))); err == nil || len(a.all()) != 1 {
		t.Errorf("%v, %v, sent %q", resp, err, a.all())
	}
	resp, err := c.Do(request(t, http.MethodPut, s.URL, strings.NewReader("x")))
	if err != nil || resp.ProtoMajor != 2 {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
}

// The last response is returned as it came, and not as an error.
func TestRetryReturnsTheLastResponse(t *testing.T) {
	for name, body := range map[string]string{"short": "overloaded", "long": strings.Repeat("x", 300<<10), "empty": ""} {
		a := answer(t, status(503, body))
		c := retrying(t, &http.Transport{}, newRetrier(t, soon()), nil)
		resp, err := c.Do(request(t, http.MethodGet, a.URL, http.NoBody))
		if err != nil {
			t.Fatal(err)
		}
		if got := answered(t, resp, 503); got != body || len(a.all()) != 3 {
			t.Errorf("%s: %d bytes after %d attempts", name, len(got), len(a.all()))
		}
		if name != "long" && len(a.conns) != 1 {
			t.Errorf("%s: %d connections", name, len(a.conns))
		}
	}
}

// While an attempt waits, its connection is free for others.
func TestRetryFreesTheConnection(t *testing.T) {
	a := answer(t, status(503, "no"), done)
	waiting := make(chan struct{})
	opt := &retry.Options{
		Backoff: retry.Constant(time.Hour),
		Hooks:   &retry.Hooks{Scheduled: func(context.Context, retry.Info) { close(waiting) }},
	}
	c := retrying(t, &http.Transport{MaxConnsPerHost: 1}, newRetrier(t, opt), nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		resp, err := (&http.Client{Transport: c.Transport}).Do(request(t, http.MethodGet, a.URL, http.NoBody).WithContext(ctx))
		if err == nil {
			_ = resp.Body.Close()
		}
		ended <- err
	}()
	<-waiting
	resp, err := c.Do(request(t, http.MethodGet, a.URL, http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	answered(t, resp, 204)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that waits: %v", err)
	}
}

// The body of a failure that never ends does not hold up the next attempt.
func TestRetryEndlessBody(t *testing.T) {
	stalled := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(503)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	a := answer(t, stalled, done)
	resp, err := retrying(t, &http.Transport{}, newRetrier(t, soon()), nil).Do(request(t, http.MethodGet, a.URL, http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	answered(t, resp, 204)
}

// The body can be read when the time of the attempt and of the call is over, and ends with the caller's
// context.
func TestRetryBodyOutlivesItsAttempt(t *testing.T) {
	const short = 50 * time.Millisecond
	over := make(chan struct{})
	a := answer(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-over
		_, _ = io.WriteString(w, "late")
		if r.URL.Path == "/endless" {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	})
	opt := soon()
	opt.AttemptTimeout, opt.TotalTimeout = time.Second, 2*time.Second
	c := retrying(t, &http.Transport{}, newRetrier(t, opt), nil)
	resp, err := c.Do(request(t, http.MethodGet, a.URL, http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), opt.TotalTimeout+short)
	defer cancel()
	<-ctx.Done()
	close(over)
	if body := answered(t, resp, 200); body != "late" {
		t.Errorf("read %q", body)
	}

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	resp, err = c.Do(request(t, http.MethodGet, a.URL+"/endless", http.NoBody).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("read on: %v", err)
	}
	_ = resp.Body.Close()
}

// What belongs to an attempt is free when the body is closed.
func TestRetryReleasesTheContext(t *testing.T) {
	var of []context.Context
	base := roundTrip(func(r *http.Request) (*http.Response, error) {
		of = append(of, r.Context())
		code := 503
		if len(of) == 2 {
			code = 200
		}
		return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader("x")), Header: http.Header{}, Request: r}, nil
	})
	resp, err := retrying(t, base, newRetrier(t, soon()), nil).Do(request(t, http.MethodGet, "http://api/", http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	if of[0].Err() == nil || of[1].Err() != nil {
		t.Errorf("before: %v, %v", of[0].Err(), of[1].Err())
	}
	answered(t, resp, 200)
	if of[1].Err() == nil {
		t.Error("it goes on")
	}
}

// An attempt that takes too long is followed by another.
func TestRetryAttemptTimeout(t *testing.T) {
	a := answer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, done)
	opt := soon()
	opt.AttemptTimeout = time.Second
	resp, err := retrying(t, &http.Transport{}, newRetrier(t, opt), nil).Do(request(t, http.MethodGet, a.URL, http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	answered(t, resp, 204)
}

// A connection that has switched protocols can be written to.
func TestRetrySwitchedProtocols(t *testing.T) {
	a := answer(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = rw.WriteString(line)
		_ = rw.Flush()
	})
	req := request(t, http.MethodGet, a.URL, http.NoBody)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	// A Client with a Timeout hides it.
	resp, err := retrying(t, &http.Transport{}, newRetrier(t, soon()), nil).Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	w, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || resp.StatusCode != 101 {
		t.Fatalf("%s, %T", resp.Status, resp.Body)
	}
	if _, err := io.WriteString(w, "hello\n"); err != nil {
		t.Error(err)
	}
	if echo, err := io.ReadAll(w); string(echo) != "hello\n" {
		t.Errorf("%q, %v", echo, err)
	}
}

// What a server asks for is heeded within bounds, and nonsense is not.
func TestRetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"seconds":   {after("7"), 7 * time.Second},
		"a date":    {http.Header{"Retry-After": {"Fri, 01 Jan 2027 00:00:09 GMT"}, "Date": {"Fri, 01 Jan 2027 00:00:00 GMT"}}, 9 * time.Second},
		"hostile":   {after("86400"), 30 * time.Second},
		"nonsense":  {after("soon"), time.Millisecond},
		"negative":  {after("-1"), time.Millisecond},
		"a past":    {http.Header{"Retry-After": {"Fri, 01 Jan 1999 00:00:09 GMT"}, "Date": {"Fri, 01 Jan 2027 00:00:00 GMT"}}, time.Millisecond},
		"much more": {after("99999999999999999999"), 30 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			base := newScript(c.header)
			opt := &retry.Options{Backoff: retry.Constant(time.Millisecond)}
			tr, err := concordhttp.Retry(base, newRetrier(t, opt), nil)
			if err != nil {
				t.Fatal(err)
			}
			if code, err := call(t.Context(), tr, "http://api/"); code != 204 || err != nil {
				t.Errorf("%s: %d, %v", name, code, err)
			}
			if len(base.asked) != 2 || base.asked[1] < c.want || base.asked[1] > c.want+c.want/10 {
				t.Errorf("%s: asked at %v", name, base.asked)
			}
		})
	}
}

// A server that asks for more time than there is gets no second request, and its answer is returned at
// once; a caller who leaves meanwhile gets the error of the context.
func TestRetryEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := newScript(after("7"), after("7"))
		tr, err := concordhttp.Retry(base, newRetrier(t, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if code, err := call(ctx, tr, "http://api/"); code != 429 || err != nil || len(base.asked) != 1 || time.Since(base.start) > 0 {
			t.Errorf("%d, %v, asked at %v", code, err, base.asked)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := call(ctx, tr, "http://api/"); !errors.Is(err, context.Canceled) || time.Since(base.start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(base.start))
		}
		body := &noted{Reader: strings.NewReader("x")}
		if _, err := tr.RoundTrip(request(t, http.MethodPut, "http://api/", body).WithContext(ctx)); !errors.Is(err, context.Canceled) || !body.closed {
			t.Errorf("too late: %v, closed: %v", err, body.closed)
		}
	})
}

// An answer that shows a healthy server pays into the budget; 5xx do not, listed or not.
func TestRetryBudget(t *testing.T) {
	for code, pays := range map[int]bool{200: true, 404: true, 500: false, 503: false} {
		synctest.Test(t, func(t *testing.T) { // where no time passes that pays in
			budget, err := retry.NewBudget("b", &retry.BudgetOptions{Capacity: 10, Ratio: 1})
			if err != nil {
				t.Fatal(err)
			}
			opt := soon()
			opt.Budget = budget
			base := roundTrip(func(r *http.Request) (*http.Response, error) {
				c := code
				if r.URL.Path == "/drain" {
					c = 503
				}
				return &http.Response{StatusCode: c, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
			})
			tr, err := concordhttp.Retry(base, newRetrier(t, opt), nil)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := call(t.Context(), tr, "http://api/drain"); err != nil {
					t.Fatal(err)
				}
			}
			before := budget.Level()
			if got, err := call(t.Context(), tr, "http://api/"); got != code || err != nil {
				t.Errorf("%d, %v", got, err)
			}
			if rose := budget.Level() > before+0.5; rose != pays {
				t.Errorf("%d: from %v to %v", code, before, budget.Level())
			}
		})
	}
}

// Only one of three layers in three processes makes attempts.
func TestRetryLayers(t *testing.T) {
	var mu sync.Mutex
	sent := map[string]int{}
	count := func(name string, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			sent[name]++
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	}
	back := httptest.NewServer(count("back", status(503, "down")))
	defer back.Close()
	inner := retrying(t, &http.Transport{}, newRetrier(t, soon()), nil)
	pass := concordhttp.Attempts("")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := inner.Do(request(t, http.MethodGet, back.URL, http.NoBody).WithContext(r.Context()))
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
	}))
	front := httptest.NewServer(count("front", pass))
	defer front.Close()
	resp, err := retrying(t, &http.Transport{}, newRetrier(t, soon()), nil).Do(request(t, http.MethodGet, front.URL, http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	answered(t, resp, 503)
	if sent["front"] != 3 || sent["back"] != 5 { // 3 in the first attempt of the outer call, and 1 in each other
		t.Errorf("sent %v", sent)
	}
}

func TestAttempts(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   int
	}{
		{nil, 1}, {[]string{"2"}, 2}, {[]string{"65535"}, 65535}, {[]string{"65536"}, 1}, {[]string{"0"}, 1}, {[]string{"-3"}, 1},
		{[]string{"x"}, 1}, {[]string{""}, 1}, {[]string{"2", "2"}, 1}, {[]string{strings.Repeat("9", 4096)}, 1},
	} {
		got := 0
		h := concordhttp.Attempts("X-Try")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = retry.AttemptFrom(r.Context()) }))
		r := request(t, http.MethodGet, "/", http.NoBody)
		r.Header["X-Try"] = c.values
		if h.ServeHTTP(httptest.NewRecorder(), r); got != c.want {
			t.Errorf("%.20q: %d", c.values, got)
		}
	}
}

// A request that was held back was not sent, and so may be sent later whatever it is.
func TestRetryHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := newScript(after("7"))
		tr, err := concordhttp.Retry(obey(t, base, &concordhttp.ObeyOptions{NoWait: true}), newRetrier(t, soon()), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []int{429, 204} {
			resp, err := tr.RoundTrip(request(t, http.MethodPost, "http://api/", strings.NewReader("x")))
			if err != nil || resp.StatusCode != want || len(base.asked) != i+1 {
				t.Errorf("%v, %v, asked at %v", resp, err, base.asked)
			}
		}
		if !within(base.asked[1], 7*time.Second) {
			t.Errorf("asked at %v", base.asked)
		}
	})
}

// The end can be asked whether it was a timeout, as net/http's own errors can.
func TestRetryTimeoutError(t *testing.T) {
	a := answer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	gone := httptest.NewServer(http.HandlerFunc(done))
	gone.Close()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for _, c := range []struct {
		ctx  context.Context
		url  string
		late bool
	}{{short, a.URL, true}, {t.Context(), gone.URL, false}} {
		_, err := retrying(t, &http.Transport{}, newRetrier(t, soon()), nil).Do(request(t, http.MethodGet, c.url, http.NoBody).WithContext(c.ctx))
		var asked net.Error
		if !errors.As(err, &asked) || asked.Timeout() != c.late || !errors.Is(err, retry.ErrExhausted) {
			t.Errorf("%s: %v", c.url, err)
		}
	}
}

// A body that cannot be rewound after all is an error, and ends the call.
func TestRetryBadRewind(t *testing.T) {
	boom := errors.New("boom")
	a := answer(t, status(503, ""))
	req := request(t, http.MethodPut, a.URL, bytes.NewReader([]byte("x")))
	req.GetBody = func() (io.ReadCloser, error) { return nil, boom }
	resp, err := retrying(t, &http.Transport{}, newRetrier(t, soon()), nil).Do(req)
	if !errors.Is(err, boom) || len(a.all()) != 1 {
		t.Errorf("%v, %v after %d", resp, err, len(a.all()))
	}
}

func TestRetryBadInput(t *testing.T) {
	_, err := concordhttp.Retry(nil, nil, &concordhttp.RetryOptions{Statuses: []int{200, 600}, AttemptHeader: "a b"})
	for _, part := range []string{"r must not be nil", "not 200", "not 600", "AttemptHeader must be at most 64"} {
		if !errors.Is(err, fence.ErrInvalid) || !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
}
