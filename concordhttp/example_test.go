package concordhttp_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/ratelimit"
)

// A server whose orders can be written by the holder of their lock, and a holder that is late.
func Example() {
	ctx := context.Background()
	be, err := memorybackend.New(nil) // a server that restarts wants marks that do not go with it
	if err != nil {
		log.Fatal(err)
	}
	defer be.Close(ctx)
	orderOf := func(r *http.Request) (string, error) { return "orders/" + r.PathValue("id"), nil }
	workers := concordhttp.TrustAddresses(netip.MustParsePrefix("127.0.0.0/8"))
	f, err := concordhttp.NewFence(be.Fences(), orderOf, workers, &concordhttp.FenceOptions{Hooks: &concordhttp.Hooks{}})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /fence", f.RaiseHandler())
	mux.Handle("PUT /orders/{id}", f.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		resource, token, _ := concordhttp.TokenFrom(r.Context())
		fmt.Println("saving", resource, "under", token)
	})))
	server := httptest.NewServer(mux)
	defer server.Close()

	transport, err := concordhttp.NewTransport(nil, server.URL)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()
	save := func(token fence.Token) error {
		ctx := concordhttp.WithToken(ctx, "orders/42", token)
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, server.URL+"/orders/42", strings.NewReader("paid"))
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return concordhttp.Refused(resp)
	}

	const paused, successor fence.Token = 33, 34 // of two leases of the lock orders/42
	fmt.Println(save(paused))
	fmt.Println(concordhttp.Raise(ctx, client, server.URL+"/fence", "orders/42", successor)) // before it reads
	err = save(paused)
	fmt.Println(errors.Is(err, fence.ErrFenced), err)
	fmt.Println(save(successor))
	// Output:
	// saving orders/42 under 33
	// <nil>
	// <nil>
	// true "orders/42": token 33 is fenced out by 34
	// saving orders/42 under 34
	// <nil>
}

// Two requests an hour for each tenant and address; the addresses are those that the load balancer tells.
func ExampleLimit() {
	ctx := context.Background()
	be, err := memorybackend.New(nil) // or redisbackend.New(client, nil), for all processes together
	if err != nil {
		log.Fatal(err)
	}
	defer be.Close(ctx)
	policy, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "hour", N: 2, Per: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	limits, err := ratelimit.New(be.Limits(), policy, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer limits.Close(ctx)
	address, err := concordhttp.ByAddress(&concordhttp.AddressOptions{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		log.Fatal(err)
	}
	limit, err := concordhttp.Limit(limits, concordhttp.Keys(concordhttp.ByHeader("X-Tenant"), address), nil)
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer server.Close()

	for range 3 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("X-Tenant", "acme")
		req.Header.Set("X-Forwarded-For", "192.0.2.7") // by the load balancer
		resp, err := server.Client().Do(req)
		if err != nil {
			log.Fatal(err)
		}
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode, resp.Header.Get("RateLimit-Policy"))
	}
	// Output:
	// 200 "hour";q=2;w=3600
	// 200 "hour";q=2;w=3600
	// 429 "hour";q=2;w=3600
}

// A client does not call a server that has said when to come again, and fails at once if it cannot wait.
func ExampleObey() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	transport, err := concordhttp.Obey(nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for range 2 {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			log.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println("not sent:", errors.Is(err, concordhttp.ErrHeldBack))
			continue
		}
		_ = resp.Body.Close()
		fmt.Println(resp.Status)
	}
	// Output:
	// 429 Too Many Requests
	// not sent: true
}
