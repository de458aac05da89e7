package concordhttp

import (
	"errors"
	"net/http"

	"github.com/concord-go/concord/ratelimit"
)

// The problem types of the IETF draft, which gives them these addresses.
const (
	typeQuotaExceeded   = "https://iana.org/assignments/http-problem-types#quota-exceeded"
	typeReducedCapacity = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
)

// rateProblem is the body of a refusal (RFC 9457).
type rateProblem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail"`
	Violated []string `json:"violated-policies,omitempty"`
}

var (
	missingKey = &rateProblem{Type: problemBase + "key-missing", Title: "Key required", Status: http.StatusBadRequest,
		Detail: "The request does not say who sends it."}
	unauthorized = &rateProblem{Type: problemBase + "key-missing", Title: "Key required", Status: http.StatusUnauthorized,
		Detail: "The request does not say who sends it."}
	malformedKey = &rateProblem{Type: problemBase + "key-malformed", Title: "Key malformed", Status: http.StatusBadRequest,
		Detail: "What says who sends the request must stand once, and not be too long."}
	tooCostly = &rateProblem{Type: problemBase + "too-costly", Title: "Request too costly", Status: http.StatusBadRequest,
		Detail: "The request costs more than can ever be allowed. Send less at once."}
	undecided = &rateProblem{Type: problemBase + "undecided", Title: "Limit unavailable", Status: http.StatusServiceUnavailable,
		Detail: "It could not be decided whether the request may pass. Nothing was done; send this again later."}
)

// refuseKey answers a request without a usable key. The error itself stays here: it may tell the key.
func (l *limit) refuseKey(w http.ResponseWriter, err error) {
	switch {
	case !errors.Is(err, ErrNoKey):
		answer(w, http.StatusBadRequest, malformedKey)
	case l.opt.Challenge != "":
		w.Header().Set("WWW-Authenticate", l.opt.Challenge)
		answer(w, http.StatusUnauthorized, unauthorized)
	default:
		answer(w, http.StatusBadRequest, missingKey)
	}
}

// refuseRate answers a request that is over a limit, or that nobody could decide about.
func refuseRate(w http.ResponseWriter, d *ratelimit.Decision) {
	p := &rateProblem{
		Type: typeQuotaExceeded, Title: "Quota exceeded", Status: http.StatusTooManyRequests,
		Detail: "Too many requests. Wait as long as Retry-After says.", Violated: []string{d.Limit},
	}
	if d.Source == ratelimit.FromFallback {
		p.Type, p.Title, p.Status = typeReducedCapacity, "Capacity reduced", http.StatusServiceUnavailable
		p.Detail = "Fewer requests than usual can be served at the moment. Wait as long as Retry-After says."
	}
	w.Header().Set(headerRetryAfter, retryAfter(d.RetryAfter))
	answer(w, p.Status, p)
}
