package concordhttp

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/concord-go/concord/ratelimit"
)

func TestHeldFor(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	const date = "Fri, 20 Nov 2026 12:00:30 GMT"
	for name, c := range map[string]struct {
		status int
		h      http.Header
		want   time.Duration
	}{
		"nothing":                  {429, http.Header{}, 0},
		"seconds":                  {429, http.Header{"Retry-After": {"7"}}, 7 * time.Second},
		"seconds, 503":             {503, http.Header{"Retry-After": {" 7 "}}, 7 * time.Second},
		"none":                     {429, http.Header{"Retry-After": {"0"}}, 0},
		"none, over RateLimit":     {429, http.Header{"Retry-After": {"0"}, "Ratelimit": {`"l";r=0;t=9`}}, 0},
		"not of a refusal":         {301, http.Header{"Retry-After": {"7"}}, 0},
		"many":                     {429, http.Header{"Retry-After": {strings.Repeat("9", 100)}}, maxHold},
		"a date":                   {429, http.Header{"Retry-After": {date}}, 30 * time.Second},
		"a date of another clock":  {429, http.Header{"Retry-After": {date}, "Date": {"Fri, 20 Nov 2026 12:00:25 GMT"}}, 5 * time.Second},
		"a date that is over":      {429, http.Header{"Retry-After": {"Fri, 20 Nov 2026 11:00:00 GMT"}}, 0},
		"a far date":               {429, http.Header{"Retry-After": {"Fri, 20 Nov 9999 11:00:00 GMT"}}, math.MaxInt64},
		"an old form":              {429, http.Header{"Retry-After": {"Friday, 20-Nov-26 12:00:30 GMT"}}, 30 * time.Second},
		"malformed":                {429, http.Header{"Retry-After": {"soon"}}, 0},
		"negative":                 {429, http.Header{"Retry-After": {"-7"}}, 0},
		"malformed, and RateLimit": {429, http.Header{"Retry-After": {"7.5"}, "Ratelimit": {`"l";r=0;t=9`}}, 9 * time.Second},
		"seconds over RateLimit":   {429, http.Header{"Retry-After": {"7"}, "Ratelimit": {`"l";r=0;t=9`}}, 7 * time.Second},
		"RateLimit":                {200, http.Header{"Ratelimit": {`"l";r=0;t=9`}}, 9 * time.Second},
		"RateLimit of a cache":     {200, http.Header{"Ratelimit": {`"l";r=0;t=9`}, "Age": {"1"}}, 0},
		"RateLimit, fresh":         {200, http.Header{"Ratelimit": {`"l";r=0;t=9`}, "Age": {"0"}}, 9 * time.Second},
		"something left":           {200, http.Header{"Ratelimit": {`"l";r=1;t=9`}}, 0},
		"the longest":              {200, http.Header{"Ratelimit": {`"a";r=0;t=9, "b";r=0;t=90`, `"c";r=5;t=900`}}, 90 * time.Second},
		"a token, a foreign word":  {200, http.Header{"Ratelimit": {`l; t=9;acme=(1;r=0`}}, 0},
		"a token":                  {200, http.Header{"Ratelimit": {`l;acme-x="a,b";pk=:YQ==:;t=9;r=0`}}, 9 * time.Second},
		"the last of two":          {200, http.Header{"Ratelimit": {`l;t=8;t=9;r=1;r=0`}}, 9 * time.Second},
		"no t":                     {200, http.Header{"Ratelimit": {`"l";r=0`}}, 0},
		"no r":                     {200, http.Header{"Ratelimit": {`"l";t=9`}}, 0},
		"t is no integer":          {200, http.Header{"Ratelimit": {`"l";r=0;t=9.5`}}, 0},
		"t is negative":            {200, http.Header{"Ratelimit": {`"l";r=0;t=-9`}}, 0},
		"t is a string":            {200, http.Header{"Ratelimit": {`"l";r=0;t="9"`}}, 0},
		"an inner list":            {200, http.Header{"Ratelimit": {`("l");r=0;t=9`}}, 0},
		"one is malformed":         {200, http.Header{"Ratelimit": {`"a";r=0;t=9, "b`}}, 0},
		"an older draft":           {200, http.Header{"Ratelimit": {`limit=100, remaining=0, reset=5`}}, 0},
		"too long":                 {200, http.Header{"Ratelimit": {`"l";r=0;t=9` + strings.Repeat(" ", maxFields)}}, 0},
		"the largest":              {200, http.Header{"Ratelimit": {`"l";r=0;t=999999999999999`}}, maxHold},
		"too large":                {200, http.Header{"Ratelimit": {`"l";r=0;t=9999999999999999`}}, 0},
	} {
		if got := heldFor(&http.Response{StatusCode: c.status, Header: c.h}, now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func FuzzHeldFor(f *testing.F) {
	f.Add("7", "Fri, 20 Nov 2026 12:00:30 GMT", `"a";r=0;t=9, b;x=:YQ==:;y=?1;z=@1;s=%"a";r=1`, `(1 2);r=0`)
	f.Fuzz(func(t *testing.T, after, date, one, two string) {
		h := http.Header{"Retry-After": {after}, "Date": {date}, "Ratelimit": {one, two}}
		for _, status := range []int{200, 429} {
			if d := heldFor(&http.Response{StatusCode: status, Header: h}, time.Now()); d < 0 {
				t.Errorf("held for %v", d)
			}
		}
	})
}

// FuzzFields: what is written can be read, and says what the limit and the decision say.
func FuzzFields(f *testing.F) {
	f.Add(int64(10), int64(1e6), int64(20), int64(0), int64(2e9), false)
	f.Add(int64(1<<40), int64(1), int64(1<<40), int64(3), int64(math.MaxInt64), true)
	f.Fuzz(func(t *testing.T, n, per, burst, left, wait int64, allowed bool) {
		n, burst, wait = 1+n&(ratelimit.MaxUnits-1), 1+burst&(ratelimit.MaxUnits-1), wait&math.MaxInt64
		left = (left & math.MaxInt64) % (burst + 1)
		limit := ratelimit.Limit{Name: "a.B-1_", N: n, Per: time.Duration(1+per&(1<<44-1)) * time.Microsecond, Burst: burst}
		p, err := ratelimit.NewPolicy(limit)
		if err != nil {
			t.Skip() // its burst stands for too long
		}
		d := &ratelimit.Decision{
			Allowed: allowed, Limit: limit.Name, Remaining: left, Source: ratelimit.FromEngine,
			RetryAfter: time.Duration(wait), ResetAfter: time.Duration(wait), NextAfter: time.Duration(wait),
		}
		field := rateField(d)
		held := usedUp([]string{field})
		if want := min(max(d.RetryAfter, time.Second), maxHold); left == 0 && wait > 0 && (held < want || held >= want+time.Second) {
			t.Errorf("%s: held for %v, want %v", field, held, want)
		}
		if left > 0 && held != 0 {
			t.Errorf("%s: held for %v", field, held)
		}
		list, err := httpsfv.UnmarshalList([]string{policyField(p)})
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %v", policyField(p), err)
		}
		q, okQ := integer(list[0].(httpsfv.Item), "q")
		w, okW := integer(list[0].(httpsfv.Item), "w")
		if !okQ || !okW || w < 1 || q < min(n, maxInteger) {
			t.Errorf("%s of %d in %v", policyField(p), n, limit.Per)
		}
	})
}

func TestPolicyField(t *testing.T) {
	for want, l := range map[string]ratelimit.Limit{
		`"l";q=10;w=1`:                   {N: 10, Per: time.Second},
		`"l";q=10;w=1;concord-burst=20`:  {N: 10, Per: time.Second, Burst: 20},
		`"l";q=100;w=1;concord-burst=10`: {N: 10, Per: 100 * time.Millisecond},
		`"l";q=4;w=2`:                    {N: 3, Per: 1500 * time.Millisecond, Algorithm: ratelimit.FixedWindow},
		`"l";q=999999999999999;w=1`:      {N: 1 << 40, Per: time.Microsecond, Algorithm: ratelimit.FixedWindow},
		`"l";q=1;w=31622400`:             {N: 1, Per: 366 * 24 * time.Hour},
		`"l";q=1000;w=1`:                 {N: 1, Per: time.Millisecond, Algorithm: ratelimit.StrictWindow},
	} {
		l.Name = "l"
		p, err := ratelimit.NewPolicy(l, ratelimit.Limit{Name: "tried", N: 1, Per: time.Second, Shadow: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := policyField(p); got != want {
			t.Errorf("%+v: %s, want %s", l, got, want)
		}
	}
}
