package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/concord-go/concord/concordhttp"
)

const (
	patience = 10 * time.Second // for an answer
	maxBody  = 1 << 12
)

// client is one client of the gateways, with a key of its own.
type client struct {
	kind, key string
	http      *http.Client
	gateways  []string
	atOnce    int           // requests that it sends together, once; 0: one after the other
	pause     time.Duration // between those
	tally     *tally

	mu      sync.Mutex
	turn    int           // of the gateways
	refused time.Duration // the longest wait that it was told, not yet over
}

// run sends requests until ctx ends. None is broken off.
func (c *client) run(ctx context.Context) {
	if c.atOnce > 0 {
		var all sync.WaitGroup
		for range c.atOnce {
			all.Go(func() { c.ask(ctx) })
		}
		all.Wait()
		return
	}
	var until time.Time // nothing but refusals by its own limit since it was told to wait for so long
	for ctx.Err() == nil {
		a := c.ask(ctx)
		switch held := (*concordhttp.HeldBackError)(nil); {
		case errors.As(a.err, &held):
			wait(ctx, held.RetryAfter())
			continue
		case a.refused.limit != perClient.Name:
			until = time.Time{}
		case until.IsZero():
			until = a.to.Add(a.refused.after)
		case a.from.After(until):
			c.tally.early(c, fmt.Errorf("refused %v after the time that it was told to come", a.from.Sub(until)))
		}
		wait(ctx, c.pause)
	}
}

// again sends one request, which must pass.
func (c *client) again(ctx context.Context) {
	c.refused = 0
	if a := c.ask(ctx); a.refused.limit != "" {
		c.tally.early(c, fmt.Errorf("refused by %q when it came again", a.refused.limit))
	}
}

// answer is what came of a request.
type answer struct {
	span
	refused refusal // zero if it has passed
	by      string  // ID of the upstream
	wrong   error   // about the headers
	err     error
}

// ask sends a request and counts what came of it.
func (c *client) ask(ctx context.Context) answer {
	a := c.send(context.WithoutCancel(ctx))
	c.mu.Lock()
	c.refused = max(c.refused, a.refused.after)
	c.mu.Unlock()
	if !errors.Is(a.err, concordhttp.ErrHeldBack) { // that was not sent
		c.tally.count(c, &a)
	}
	return a
}

func (c *client) send(ctx context.Context) (a answer) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c.mu.Lock()
	url := c.gateways[c.turn%len(c.gateways)]
	c.turn++
	c.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set(apiKey, c.key)
	a.from = time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	a.to = time.Now()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	switch {
	case err != nil:
		a.err = err
	case resp.StatusCode == http.StatusOK:
		a.by = string(body)
		a.wrong = errors.Join(tells(resp.Header, perClient), tells(resp.Header, forAll))
	case resp.StatusCode == http.StatusTooManyRequests:
		a.refused, a.wrong = readRefusal(resp.Header, body)
	default:
		a.err = fmt.Errorf("%s: %s: %s", url, resp.Status, body)
	}
	return a
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
