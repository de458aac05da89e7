package concordhttp

import (
	"net/http"

	"github.com/concord-go/concord/breaker"
)

// BreakerOptions configure [Breaker]. The zero value of every field means its default; nil means all
// defaults. Breaker copies them.
type BreakerOptions struct {
	// Key says which breaker of the group a request belongs to. The default is its origin: scheme, host and
	// port. A finer one, such as a shard or a route, keeps what fails there from stopping the rest; it must not have
	// more values than the group has places.
	Key func(*http.Request) string

	// Outcome says what a response tells about its server. The default calls 5xx a failure and all else
	// a success, also 429: a server that refuses requests by itself works.
	Outcome func(*http.Response) breaker.Outcome

	// WholeBody waits with the outcome for the end of the body: one that breaks is a failure, one that is
	// read or closed is what Outcome said. The time of a call is then that of reading, too. Not for streams:
	// one that lasts longer than ProbeTimeout tells nothing when it is a probe. One that is never
	// closed is not counted.
	WholeBody bool

	_ struct{}
}

func (o *BreakerOptions) withDefaults() BreakerOptions {
	var opt BreakerOptions
	if o != nil {
		opt = *o
	}
	if opt.Key == nil {
		opt.Key = func(req *http.Request) string { return originOf(req.URL) }
	}
	if opt.Outcome == nil {
		opt.Outcome = func(resp *http.Response) breaker.Outcome {
			if resp.StatusCode >= http.StatusInternalServerError {
				return breaker.Failure
			}
			return breaker.Success
		}
	}
	return opt
}
