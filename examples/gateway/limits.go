package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/ratelimit"
)

// apiKey says which client sends a request.
const apiKey = "X-Api-Key"

var (
	// perClient is worth this process's share while the engine does not answer.
	perClient = ratelimit.Limit{Name: "client", N: 10, Per: time.Second, Burst: 20, Down: ratelimit.Share}

	// forAll protects the upstreams: while nobody knows how much they get, they get nothing.
	forAll = ratelimit.Limit{Name: "all", N: 40, Per: time.Second, Burst: 60, Down: ratelimit.Closed}
)

// limits are what stands before a handler.
type limits struct {
	clients, all *ratelimit.Limiter
}

func newLimits(e *engine) (*limits, error) {
	opt := &ratelimit.Options{Timeout: 2 * time.Second, Share: 0.5} // of two gateways
	if e.limits.Capabilities().Block {
		// etcd decides on units that were taken ahead. Strict keeps the limits all the same.
		opt.Allowance = &ratelimit.Allowance{Life: 200 * time.Millisecond, Strict: true}
	}
	l := &limits{}
	var err error
	if l.clients, err = newLimiter(e, perClient, opt); err != nil {
		return nil, err
	}
	if l.all, err = newLimiter(e, forAll, opt); err != nil {
		return nil, errors.Join(err, l.clients.Close(context.Background())) // which nobody has used
	}
	return l, nil
}

func newLimiter(e *engine, limit ratelimit.Limit, o *ratelimit.Options) (*ratelimit.Limiter, error) {
	policy, err := ratelimit.NewPolicy(limit)
	if err != nil {
		return nil, err
	}
	return ratelimit.New(e.limits, policy, o)
}

// before puts the limits before a handler. That of the client comes first: what it refuses takes nothing
// from the others.
func (l *limits) before(next http.Handler, group string) (http.Handler, error) {
	service := func(*http.Request) (string, error) { return group, nil }
	// A key of an API is a secret, so the engine gets its hash.
	client, err := concordhttp.Limit(l.clients, concordhttp.Keys(service, concordhttp.Hashed(concordhttp.ByHeader(apiKey))), nil)
	if err != nil {
		return nil, err
	}
	all, err := concordhttp.Limit(l.all, concordhttp.Keys(service), nil)
	if err != nil {
		return nil, fmt.Errorf("limit of all: %w", err)
	}
	return client(all(next)), nil
}

func (l *limits) close(ctx context.Context) error {
	return errors.Join(l.clients.Close(ctx), l.all.Close(ctx))
}
