package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/retry"
)

const (
	oneAttempt = 300 * time.Millisecond // how long one may take
	oneCall    = time.Second            // how long all of them may
	maxBody    = 1 << 10
)

// client calls a server.
type client struct {
	url     string
	http    *http.Client
	retrier *retry.Retrier
	breaker *breaker.Breaker // nil without one
	hedge   bool
	tally   *tally
}

// newPlain returns a client that makes further attempts, as many as it likes.
func newPlain(p *plan, url string, t *tally) (*client, error) {
	return newClient(&plan{rate: p.rate, dial: p.dial}, url, t)
}

// newClient returns a client with what the plan says. A program has one for each service that it calls.
func newClient(p *plan, url string, t *tally) (c *client, err error) {
	transport := &http.Transport{DialContext: p.dial, MaxIdleConnsPerHost: p.rate}
	c = &client{url: url, http: &http.Client{Transport: transport}, hedge: p.hedge, tally: t}
	c.retrier, err = retry.New("server", &retry.Options{
		AttemptTimeout: oneAttempt,
		TotalTimeout:   oneCall,
		Backoff:        retry.FullJitter(20*time.Millisecond, 200*time.Millisecond),
		NoBudget:       !p.budget,
		HedgeDelay:     30 * time.Millisecond, // below that a hedge is not worth its price here
		HedgeShare:     0.1,
		Hooks:          &retry.Hooks{Hedged: func(context.Context, retry.Info) { t.hedged() }},
	})
	if err != nil || !p.breaker {
		return c, err
	}
	// Times of a show: a service that is worth waiting for has longer ones, see the defaults.
	c.breaker, err = breaker.New("server", &breaker.Options{
		Window: time.Second, OpenFor: 500 * time.Millisecond, MaxOpenFor: time.Second,
		Hooks: &breaker.Hooks{Changed: func(i breaker.Info) { t.changed(i.State) }},
	})
	return c, err
}

// call makes one call and counts what comes of it. The breaker is around the attempts, so that it
// judges what the caller gets, and a call that it rejects costs nothing.
func (c *client) call(ctx context.Context) {
	start := time.Now()
	c.tally.began()
	var err error
	if c.breaker == nil {
		_, err = c.attempts(ctx)
	} else {
		_, err = breaker.Do(ctx, c.breaker, c.attempts)
	}
	c.tally.ended(time.Since(start), errors.Is(err, breaker.ErrRejected), err)
}

func (c *client) attempts(ctx context.Context) (string, error) {
	if c.hedge {
		return retry.Hedge(ctx, c.retrier, c.attempt)
	}
	return retry.Do(ctx, c.retrier, c.attempt)
}

// attempt may be made several times, and two at a time, so it is for requests to which that does no harm.
func (c *client) attempt(ctx context.Context, _ retry.Attempt) (string, error) {
	c.tally.sent()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", c.url, resp.Status)
	}
	return string(b), err
}

// close returns when all attempts have ended, also those that were overtaken.
func (c *client) close(ctx context.Context) error {
	err := c.retrier.Close(ctx)
	c.http.CloseIdleConnections()
	return err
}
