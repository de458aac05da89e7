package concordhttp

import (
	"net/http"
	"strconv"

	"github.com/concord-go/concord/retry"
)

// Attempts returns a middleware for servers that call others: it reads which attempt of its client a
// request is, and puts it into the context (retry.WithAttempt). A [retry.Retrier] of the handler then makes a single
// attempt within a second or later one of the client, so that layers do not multiply.
//
// header is what the clients' RetryOptions.AttemptHeader says; "" means [HeaderAttempt]. What is not a number, or
// stands twice, is ignored. Anybody may send it: it can only make a request be tried less often.
func Attempts(header string) func(http.Handler) http.Handler {
	if header == "" {
		header = HeaderAttempt
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if values := r.Header.Values(header); len(values) == 1 {
				if n, err := strconv.ParseUint(values[0], 10, 16); err == nil && n > 1 {
					r = r.WithContext(retry.WithAttempt(r.Context(), int(n)))
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}
