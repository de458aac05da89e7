package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/concord-go/concord/ratelimit"
)

// The headers of answers, by the IETF draft "RateLimit header fields for HTTP" and RFC 9110.
const (
	headerPolicy     = "RateLimit-Policy"
	headerRateLimit  = "RateLimit"
	headerRetryAfter = "Retry-After"
)

// refusal is what a 429 says.
type refusal struct {
	limit string        // that is used up
	after time.Duration // when to come again
}

// readRefusal reads a 429. The error is about whatever is not as it should be.
func readRefusal(h http.Header, body []byte) (refusal, error) {
	var problem struct {
		Status   int      `json:"status"`
		Violated []string `json:"violated-policies"`
	}
	if err := json.Unmarshal(body, &problem); err != nil {
		return refusal{}, fmt.Errorf("body: %w", err)
	}
	if mime := h.Get("Content-Type"); mime != "application/problem+json" || problem.Status != http.StatusTooManyRequests || len(problem.Violated) != 1 {
		return refusal{}, fmt.Errorf("a problem without its parts: %s %s", mime, body)
	}
	r := refusal{limit: problem.Violated[0]}
	seconds, err := strconv.Atoi(h.Get(headerRetryAfter))
	if err != nil || seconds < 1 {
		return r, fmt.Errorf("%s %q", headerRetryAfter, h.Get(headerRetryAfter))
	}
	r.after = time.Duration(seconds) * time.Second
	left, err := parameters(h, headerRateLimit, r.limit, "r", "t")
	if err == nil && (left["r"] != 0 || left["t"] != int64(seconds)) {
		err = fmt.Errorf("%s %q, and %s %d", headerRateLimit, h.Values(headerRateLimit), headerRetryAfter, seconds)
	}
	return r, errors.Join(err, tells(h, perClient))
}

// tells checks what an answer says of a limit.
func tells(h http.Header, l ratelimit.Limit) error {
	policy, err := parameters(h, headerPolicy, l.Name, "q", "w")
	if err == nil && (policy["q"] != l.N || policy["w"] != int64(l.Per/time.Second)) {
		err = fmt.Errorf("%s %q", headerPolicy, h.Values(headerPolicy))
	}
	return err
}

// parameters reads integers of the item of that name in a list of a structured field (RFC 9651).
func parameters(h http.Header, field, item string, names ...string) (map[string]int64, error) {
	wrong := func(err error) error { return fmt.Errorf("%s %q of %q: %w", field, h.Values(field), item, err) }
	list, err := httpsfv.UnmarshalList(h.Values(field))
	if err != nil {
		return nil, wrong(err)
	}
	for _, member := range list {
		i, ok := member.(httpsfv.Item)
		if !ok || i.Value != item {
			continue
		}
		found := map[string]int64{}
		for _, name := range names {
			v, _ := i.Params.Get(name)
			if found[name], ok = v.(int64); !ok {
				return nil, wrong(fmt.Errorf("no %s", name))
			}
		}
		return found, nil
	}
	return nil, wrong(errors.New("not there"))
}
