package concordhttp

import (
	"math"
	"math/bits"
	"strconv"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// The header fields of the IETF draft "RateLimit header fields for HTTP"
// (draft-ietf-httpapi-ratelimit-headers), which are structured fields of RFC 9651, and Retry-After of
// RFC 9110.
const (
	headerPolicy     = "RateLimit-Policy"
	headerRateLimit  = "RateLimit"
	headerRetryAfter = "Retry-After"
)

// maxInteger is the largest integer of a structured field.
const maxInteger = 999_999_999_999_999

// policyField returns what RateLimit-Policy says of a policy: `"burst";q=10;w=1;concord-burst=20,
// "day";q=1000;w=86400`. Shadow limits refuse nothing and are not told.
func policyField(p *ratelimit.Policy) string {
	var b []byte
	for _, l := range p.Limits() {
		if l.Shadow {
			continue
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		w := wholeSeconds(l.Per)
		q := min(scale(l.N, w*int64(time.Second), int64(l.Per)), maxInteger)
		b = appendName(b, l.Name)
		b = appendParameter(b, "q", q)
		b = appendParameter(b, "w", w)
		if l.Algorithm == ratelimit.TokenBucket && l.Burst != q {
			b = appendParameter(b, "concord-burst", l.Burst)
		}
	}
	return string(b)
}

// scale returns n*by/of, rounded down, as far as it fits.
func scale(n, by, of int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(by))
	if hi >= uint64(of) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(of))
	return int64(min(q, math.MaxInt64))
}

// rateField returns what RateLimit says of a decision: `"burst";r=7;t=1`. It is "" if the decision
// knows too little of the limit: of an allowance the units that this process has left, of a fallback
// nothing.
func rateField(d *ratelimit.Decision) string {
	t := d.RetryAfter
	if d.Allowed {
		if d.Source != ratelimit.FromEngine {
			return ""
		}
		t = d.ResetAfter
		if d.Remaining == 0 {
			t = d.NextAfter
		}
	}
	b := appendName(make([]byte, 0, 48), d.Limit)
	b = appendParameter(b, "r", d.Remaining)
	return string(appendParameter(b, "t", wholeSeconds(t)))
}

// wholeSeconds rounds up, so that nobody comes too early.
func wholeSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

// retryAfter returns the value of Retry-After: whole seconds, at least 1.
func retryAfter(d time.Duration) string { return strconv.FormatInt(max(1, wholeSeconds(d)), 10) }

// appendName writes the name of a limit, which has nothing in it that needs to be escaped.
func appendName(b []byte, name string) []byte {
	return append(append(append(b, '"'), name...), '"')
}

func appendParameter(b []byte, name string, value int64) []byte {
	b = append(append(append(b, ';'), name...), '=')
	return strconv.AppendInt(b, value, 10)
}
