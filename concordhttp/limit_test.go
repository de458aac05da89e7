package concordhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/ratelimit"
)

// newLimits returns a limiter in memory, and the backend with its test controls.
func newLimits(t *testing.T, limits ...ratelimit.Limit) (*ratelimit.Limiter, *memorybackend.Backend) {
	t.Helper()
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ratelimit.NewPolicy(limits...)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ratelimit.New(be.Limits(), p, &ratelimit.Options{Hooks: &ratelimit.Hooks{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(l.Close(context.Background()), be.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return l, be
}

// limited returns a handler behind a limit.
func limited(t *testing.T, l *ratelimit.Limiter, by concordhttp.KeyFunc, o *concordhttp.LimitOptions, next http.HandlerFunc) http.Handler {
	t.Helper()
	limit, err := concordhttp.Limit(l, by, o)
	if err != nil {
		t.Fatal(err)
	}
	return limit(next)
}

// ask sends a request with an API key to a handler, or without one if it is "".
func ask(t *testing.T, h http.Handler, key string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if key != "" {
		r.Header.Set("X-Api-Key", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var byKey = concordhttp.ByHeader("X-Api-Key")

// fields are the headers that a limit writes, in one text.
func fields(h http.Header) string {
	var all []string
	for _, name := range []string{"Retry-After", "RateLimit-Policy", "RateLimit", "WWW-Authenticate", "Cache-Control"} {
		for _, v := range h.Values(name) {
			all = append(all, name+": "+v)
		}
	}
	return strings.Join(all, "\n")
}

func TestLimitAnswers(t *testing.T) {
	const policy = `RateLimit-Policy: "burst";q=2;w=1;concord-burst=3, "day";q=5;w=86400` + "\n"
	synctest.Test(t, func(t *testing.T) {
		l, _ := newLimits(t,
			ratelimit.Limit{Name: "burst", N: 2, Per: time.Second, Burst: 3},
			ratelimit.Limit{Name: "day", N: 5, Per: 24 * time.Hour, Algorithm: ratelimit.FixedWindow},
			ratelimit.Limit{Name: "tried", N: 1, Per: time.Second, Shadow: true})
		ran := 0
		h := limited(t, l, byKey, nil, func(w http.ResponseWriter, r *http.Request) { ran++; done(w, r) })
		// Time in the bubble begins at a midnight of UTC, and so does the day's window.
		for i, want := range []struct {
			status int
			fields string
		}{
			{http.StatusNoContent, policy + `RateLimit: "burst";r=2;t=1`},
			{http.StatusNoContent, policy + `RateLimit: "burst";r=1;t=1`},
			{http.StatusNoContent, policy + `RateLimit: "burst";r=0;t=1`}, // half a second
			{http.StatusTooManyRequests, "Retry-After: 1\n" + policy + `RateLimit: "burst";r=0;t=1` + "\nCache-Control: no-store"},
		} {
			w := ask(t, h, "a")
			if w.Code != want.status || fields(w.Header()) != want.fields {
				t.Errorf("%d: %d\n%s", i, w.Code, fields(w.Header()))
			}
		}
		time.Sleep(time.Second) // what Retry-After said
		for range 2 {
			if w := ask(t, h, "a"); w.Code != http.StatusNoContent {
				t.Errorf("after Retry-After: %d\n%s", w.Code, fields(w.Header()))
			}
		}
		time.Sleep(time.Second + time.Microsecond)
		w := ask(t, h, "a")
		want := "Retry-After: 86398\n" + policy + `RateLimit: "day";r=0;t=86398` + "\nCache-Control: no-store"
		if w.Code != http.StatusTooManyRequests || fields(w.Header()) != want {
			t.Errorf("%d\n%s", w.Code, fields(w.Header()))
		}
		const body = `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Quota exceeded","status":429,` +
			`"detail":"Too many requests. Wait as long as Retry-After says.","violated-policies":["day"]}`
		if got := w.Body.String(); got != body || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s\n%s", w.Header().Get("Content-Type"), got)
		}
		if w := ask(t, h, "b"); w.Code != http.StatusNoContent {
			t.Errorf("another key: %d", w.Code)
		}
		if ran != 6 {
			t.Errorf("the handler ran %d times", ran)
		}
	})
}

// A 429 that is obeyed to the second is followed by a success, for limits of any kind.
func TestRetryAfterIsNeverTooEarly(t *testing.T) {
	for _, limits := range [][]ratelimit.Limit{
		{{Name: "l", N: 3, Per: time.Second}},
		{{Name: "l", N: 7, Per: 10 * time.Second, Burst: 2}},
		{{Name: "l", N: 1000, Per: 24 * time.Hour, Burst: 3}},
		{{Name: "l", N: 5, Per: 2500 * time.Millisecond, Algorithm: ratelimit.FixedWindow}},
		{{Name: "l", N: 5, Per: 7 * time.Second, Algorithm: ratelimit.SlidingWindow}},
		{{Name: "l", N: 5, Per: 7 * time.Second, Algorithm: ratelimit.StrictWindow}},
		{{Name: "a", N: 3, Per: time.Second}, {Name: "b", N: 3, Per: time.Minute}, {Name: "c", N: 3, Per: 10 * time.Second, Algorithm: ratelimit.FixedWindow}},
	} {
		for _, obey := range []string{"Retry-After", "RateLimit"} {
			synctest.Test(t, func(t *testing.T) {
				l, _ := newLimits(t, limits...)
				h := limited(t, l, byKey, nil, done)
				for i := range 40 {
					time.Sleep(time.Duration(i*i) * 12345 * time.Microsecond)
					w := ask(t, h, "k")
					for ; w.Code == http.StatusNoContent && !strings.Contains(w.Header().Get("RateLimit"), "r=0"); w = ask(t, h, "k") {
					}
					if obey == "Retry-After" {
						w = ask(t, h, "k")
					}
					value := w.Header().Get(obey)
					s, err := strconv.Atoi(value[strings.LastIndexByte(value, '=')+1:])
					if err != nil {
						t.Fatalf("%v in %s", err, fields(w.Header()))
					}
					time.Sleep(time.Duration(s) * time.Second)
					if again := ask(t, h, "k"); again.Code != http.StatusNoContent {
						t.Fatalf("%v after %s: %d, %s, after %s", limits, obey, again.Code, fields(again.Header()), fields(w.Header()))
					}
				}
			})
		}
	}
}

func TestLimitKeys(t *testing.T) {
	l, _ := newLimits(t, ratelimit.Limit{Name: "l", N: 1, Per: time.Hour})
	long := strings.Repeat("k", ratelimit.MaxKey+1)
	for name, c := range map[string]struct {
		o       *concordhttp.LimitOptions
		key     string
		status  int
		problem string
		fields  string
	}{
		"none":            {nil, "", http.StatusBadRequest, "key-missing", "Cache-Control: no-store"},
		"none, challenge": {&concordhttp.LimitOptions{Challenge: "Bearer"}, "", http.StatusUnauthorized, "key-missing", "WWW-Authenticate: Bearer\nCache-Control: no-store"},
		"long":            {nil, long, http.StatusBadRequest, "key-malformed", "Cache-Control: no-store"},
		"long, shared":    {&concordhttp.LimitOptions{Shared: "all"}, long, http.StatusBadRequest, "key-malformed", "Cache-Control: no-store"},
	} {
		w := ask(t, limited(t, l, byKey, c.o, never(t)), c.key)
		var p struct{ Type, Title, Detail string }
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || !strings.HasSuffix(p.Type, "concordhttp#"+c.problem) || p.Title == "" || p.Detail == "" {
			t.Errorf("%s: %d %s, %v", name, w.Code, w.Body, err)
		}
		if got := fields(w.Header()); got != c.fields {
			t.Errorf("%s: %s", name, got)
		}
	}
	h := limited(t, l, byKey, nil, done)
	if w := ask(t, h, long[1:]); w.Code != http.StatusNoContent {
		t.Errorf("a key of %d bytes: %d", ratelimit.MaxKey, w.Code)
	}
	shared := limited(t, l, byKey, &concordhttp.LimitOptions{Shared: "all"}, done)
	for _, want := range []int{http.StatusNoContent, http.StatusTooManyRequests} {
		if w := ask(t, shared, ""); w.Code != want {
			t.Errorf("without a key: %d, want %d", w.Code, want)
		}
	}
	empty := limited(t, l, func(*http.Request) (string, error) { return "", nil }, nil, never(t))
	if w := ask(t, empty, ""); w.Code != http.StatusBadRequest {
		t.Errorf("an empty key: %d", w.Code)
	}
}

func TestLimitCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := newLimits(t, ratelimit.Limit{Name: "l", N: 10, Per: time.Hour})
		cost := int64(1)
		h := limited(t, l, byKey, &concordhttp.LimitOptions{Cost: func(*http.Request) int64 { return cost }}, done)
		for _, step := range []struct {
			cost   int64
			status int
			field  string
		}{
			{4, http.StatusNoContent, `"l";r=6;t=1440`},
			{0, http.StatusNoContent, ``},
			{-1 << 63, http.StatusNoContent, ``},
			{7, http.StatusTooManyRequests, `"l";r=6;t=360`},
			{6, http.StatusNoContent, `"l";r=0;t=360`},
			{11, http.StatusBadRequest, ``},
			{1<<63 - 1, http.StatusBadRequest, ``},
		} {
			cost = step.cost
			if w := ask(t, h, "k"); w.Code != step.status || w.Header().Get("RateLimit") != step.field {
				t.Errorf("%d: %d %q", step.cost, w.Code, w.Header().Get("RateLimit"))
			}
		}
	})
}

// While the engine does not answer, a limit that is closed then is told from one that is used up.
func TestLimitWithoutEngine(t *testing.T) {
	for name, c := range map[string]struct {
		down   ratelimit.Down
		status int
		fields string
	}{
		"open":   {ratelimit.Open, http.StatusNoContent, `RateLimit-Policy: "l";q=1;w=3600`},
		"closed": {ratelimit.Closed, http.StatusServiceUnavailable, "Retry-After: 1\n" + `RateLimit-Policy: "l";q=1;w=3600` + "\n" + `RateLimit: "l";r=0;t=1` + "\nCache-Control: no-store"},
	} {
		l, be := newLimits(t, ratelimit.Limit{Name: "l", N: 1, Per: time.Hour, Down: c.down})
		be.Control().FailNext(1, nil)
		w := ask(t, limited(t, l, byKey, nil, done), "k")
		if w.Code != c.status || fields(w.Header()) != c.fields {
			t.Errorf("%s: %d\n%s", name, w.Code, fields(w.Header()))
		}
		reduced := strings.Contains(w.Body.String(), `#temporary-reduced-capacity"`) && strings.Contains(w.Body.String(), `"violated-policies":["l"]`)
		if reduced != (name == "closed") {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

func TestLimitUndecided(t *testing.T) {
	l, _ := newLimits(t, ratelimit.Limit{Name: "l", N: 1, Per: time.Hour})
	h := limited(t, l, byKey, nil, never(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r.Header.Set("X-Api-Key", "k")
	gone := httptest.NewRecorder()
	h.ServeHTTP(gone, r)
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*httptest.ResponseRecorder{"gone": gone, "closed": ask(t, h, "k")} {
		if w.Code != http.StatusServiceUnavailable || fields(w.Header()) != "Retry-After: 1\nCache-Control: no-store" || !strings.Contains(w.Body.String(), "concordhttp#undecided") {
			t.Errorf("%s: %d\n%s\n%s", name, w.Code, fields(w.Header()), w.Body)
		}
	}
}

// Limits inside one another add their fields, and a handler's own replace them.
func TestLimitFieldsOfSeveral(t *testing.T) {
	outer, _ := newLimits(t, ratelimit.Limit{Name: "address", N: 9, Per: time.Hour})
	inner, _ := newLimits(t, ratelimit.Limit{Name: "tenant", N: 5, Per: time.Hour})
	both := func(o *concordhttp.LimitOptions, next http.HandlerFunc) http.Header {
		limit, err := concordhttp.Limit(outer, byKey, o)
		if err != nil {
			t.Fatal(err)
		}
		return ask(t, limit(limited(t, inner, byKey, o, next)), "k").Header()
	}
	const policies = `RateLimit-Policy: "address";q=9;w=3600` + "\n" + `RateLimit-Policy: "tenant";q=5;w=3600` + "\n"
	if got, want := fields(both(nil, done)), policies+`RateLimit: "address";r=8;t=400`+"\n"+`RateLimit: "tenant";r=4;t=720`; got != want {
		t.Errorf("got\n%s", got)
	}
	own := func(w http.ResponseWriter, r *http.Request) { w.Header().Set("RateLimit", `"own";r=1`); done(w, r) }
	if got, want := fields(both(nil, own)), policies+`RateLimit: "own";r=1`; got != want {
		t.Errorf("got\n%s", got)
	}
	if got := fields(both(&concordhttp.LimitOptions{Quiet: true}, done)); got != "" {
		t.Errorf("quiet: got\n%s", got)
	}
}

// remote is an engine that has to be asked.
type remote struct{ ratelimit.Backend }

// What a process knows of its own allowance is not told: its end is not that of the limit.
func TestLimitWithAllowance(t *testing.T) {
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var last ratelimit.Decision
	p, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "l", N: 40, Per: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ratelimit.New(remote{be.Limits()}, p, &ratelimit.Options{
		Allowance: &ratelimit.Allowance{Life: time.Minute},
		Hooks:     &ratelimit.Hooks{Decided: func(i ratelimit.Info) { last = i.Decision }},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := limited(t, l, byKey, nil, done)
	seen := map[ratelimit.Source]int{}
	for range 60 {
		w := ask(t, h, "k")
		seen[last.Source]++
		if told := w.Header().Get("RateLimit") != ""; told != (last.Source != ratelimit.FromAllowance) {
			t.Errorf("%v: %q", last.Source, w.Header().Get("RateLimit"))
		}
		if refused := w.Header().Get("Retry-After") != ""; refused != (w.Code == http.StatusTooManyRequests) || refused == last.Allowed {
			t.Errorf("%v: %d, Retry-After %q", last.Source, w.Code, w.Header().Get("Retry-After"))
		}
	}
	if seen[ratelimit.FromEngine] == 0 || seen[ratelimit.FromAllowance] == 0 || seen[ratelimit.FromDenial] == 0 {
		t.Errorf("decided by %v", seen)
	}
	if err := errors.Join(l.Close(t.Context()), be.Close(t.Context())); err != nil {
		t.Error(err)
	}
}

// Limits that are only on trial are told to nobody.
func TestLimitOfShadows(t *testing.T) {
	l, _ := newLimits(t, ratelimit.Limit{Name: "l", N: 1, Per: time.Hour, Shadow: true})
	h := limited(t, l, byKey, nil, done)
	for range 2 {
		if w := ask(t, h, "k"); w.Code != http.StatusNoContent || fields(w.Header()) != "" {
			t.Errorf("%d\n%s", w.Code, fields(w.Header()))
		}
	}
}

func TestLimitPolicyChanges(t *testing.T) {
	l, _ := newLimits(t, ratelimit.Limit{Name: "l", N: 1, Per: time.Hour})
	h := limited(t, l, byKey, nil, done)
	if got := ask(t, h, "k").Header().Get("RateLimit-Policy"); got != `"l";q=1;w=3600` {
		t.Errorf("got %s", got)
	}
	p, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "m", N: 5, Per: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SetPolicy(p, ratelimit.AsIs, 1); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, h, "k").Header().Get("RateLimit-Policy"); got != `"m";q=5;w=3600` {
		t.Errorf("got %s", got)
	}
}

func TestLimitConstructor(t *testing.T) {
	_, err := concordhttp.Limit(nil, nil, &concordhttp.LimitOptions{Shared: strings.Repeat("k", ratelimit.MaxKey+1), Challenge: "a\nb"})
	for _, field := range []string{"limits", "by", "Shared", "Challenge"} {
		if err == nil || !errors.Is(err, fence.ErrInvalid) || !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(line string) bool { return strings.Contains(line, field+" must") }) {
			t.Errorf("%s is missing in %v", field, err)
		}
	}
}
