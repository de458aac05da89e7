package concordhttp_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/retry"
)

// A client that tries again, but not at a server that fails all the time. The order is sent under one key in all
// attempts, so that the server can tell them from a second order.
func ExampleRetry() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		attempt := r.Header.Get(concordhttp.HeaderAttempt)
		fmt.Printf("attempt %q, with a key: %v\n", attempt, r.Header.Get("Idempotency-Key") != "")
		if attempt == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()

	retrier, err := retry.New("orders", &retry.Options{Backoff: retry.FullJitter(10*time.Millisecond, time.Second)})
	if err != nil {
		log.Fatal(err)
	}
	group, err := breaker.NewGroup[string]("orders", nil)
	if err != nil {
		log.Fatal(err)
	}
	breaks, err := concordhttp.Breaker(nil, group, nil)
	if err != nil {
		log.Fatal(err)
	}
	transport, err := concordhttp.Retry(breaks, retrier, &concordhttp.RetryOptions{Keys: true})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()

	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL, strings.NewReader("one tea"))
	if err != nil {
		log.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Println(resp.Status, "and the breaker has seen", group.Get(server.URL).Counts().Calls)
	// Output:
	// attempt "", with a key: true
	// attempt "2", with a key: true
	// 200 OK and the breaker has seen 2
}
