package concordhttp

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// maxFields is how many bytes of RateLimit are read. More is ignored.
const maxFields = 4 << 10

// heldFor returns how long a response asks not to send any more: by Retry-After of a refusal, and
// without that by the longest t of what RateLimit says is used up. It is 0 if the response asks for
// nothing, or so that it cannot be understood.
func heldFor(resp *http.Response, now time.Time) time.Duration {
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		if d, ok := parseRetryAfter(resp.Header, now); ok {
			return d
		}
	}
	if age := resp.Header.Get("Age"); age != "" && age != "0" {
		return 0 // an answer of a cache, which says what was true when it was stored
	}
	return usedUp(resp.Header.Values(headerRateLimit))
}

// parseRetryAfter reads seconds, or a date, which is one of the server's clock: it is compared with the
// Date of the response, if that has one.
func parseRetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := strings.Trim(h.Get(headerRetryAfter), " \t")
	if value != "" && strings.Trim(value, "0123456789") == "" {
		s, _ := strconv.ParseInt(value, 10, 64) // of digits that are too many it is the largest
		return seconds(s), true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(0, at.Sub(now)), true
}

// usedUp returns the longest t of the items of RateLimit with r=0. A field that is malformed is ignored
// as a whole.
func usedUp(lines []string) (longest time.Duration) {
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	if size == 0 || size > maxFields {
		return 0
	}
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return 0
	}
	for _, member := range list {
		item, ok := member.(httpsfv.Item)
		if !ok {
			return 0
		}
		r, ok := integer(item, "r")
		if !ok {
			return 0
		}
		if t, ok := integer(item, "t"); ok && r == 0 {
			longest = max(longest, seconds(t))
		}
	}
	return longest
}

// integer returns a parameter that is an integer and not negative.
func integer(item httpsfv.Item, name string) (int64, bool) {
	v, _ := item.Params.Get(name)
	n, ok := v.(int64)
	return n, ok && n >= 0
}

// seconds returns s seconds, or as many as fit.
func seconds(s int64) time.Duration {
	return time.Duration(min(s, int64(maxHold/time.Second))) * time.Second
}
