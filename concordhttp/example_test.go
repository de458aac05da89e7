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

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
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
