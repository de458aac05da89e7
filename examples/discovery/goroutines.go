package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/concord-go/concord/lease"
)

// goroutine starts a replica as a goroutine on the memory backend. It cannot be killed: it is cut off
// from everybody instead, so what it does after that is seen by no one.
func (s *show) goroutine(id string) (*handle, error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(s.ctx)) // the client ends first
	c := &cable{Backend: s.engine.leases}
	h := &handle{stop: stop, done: make(chan struct{}), kill: func() { c.cut.Store(true); stop() }}
	r := &replica{id: id, plan: s.plan, through: c.handler, says: func(format string, args ...any) {
		if !c.cut.Load() {
			s.say("%s %s", id, fmt.Sprintf(format, args...))
		}
	}}
	go func() {
		defer close(h.done)
		defer stop()
		if err := r.serve(ctx, c); err != nil && !c.cut.Load() {
			s.stop(fmt.Errorf("%s: %w", id, err))
		}
	}()
	return h, nil
}

// cable is what connects a replica to the engine and to its clients, until it is cut.
type cable struct {
	lease.Backend
	cut atomic.Bool
}

// handler answers as h does, until the cable is cut. After that connections break.
func (c *cable) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if c.cut.Load() {
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, q)
	})
}

// Acquire implements [lease.Backend].
func (c *cable) Acquire(ctx context.Context, claim lease.Claim) (lease.Answer, error) {
	if c.cut.Load() {
		return lease.Answer{}, lease.ErrUnavailable
	}
	return c.Backend.Acquire(ctx, claim)
}

// Renew implements [lease.Backend].
func (c *cable) Renew(ctx context.Context, items []lease.Renewal) []lease.Answer {
	if !c.cut.Load() {
		return c.Backend.Renew(ctx, items)
	}
	answers := make([]lease.Answer, len(items))
	for i := range answers {
		answers[i].Err = lease.ErrUnavailable
	}
	return answers
}

// Release implements [lease.Backend].
func (c *cable) Release(ctx context.Context, r lease.Release) (lease.Released, error) {
	if c.cut.Load() {
		return lease.WasNothing, lease.ErrUnavailable
	}
	return c.Backend.Release(ctx, r)
}
