package main

import (
	"context"
	"fmt"
)

// goroutine starts an upstream or a gateway in this process.
func (s *show) goroutine(id string) *handle {
	ctx, stop := context.WithCancel(context.WithoutCancel(s.ctx)) // the load ends first
	h := &handle{ready: make(chan string, 1), stop: stop, done: make(chan struct{})}
	ready := func(addr string) { h.ready <- addr }
	says := func(format string, args ...any) { s.says("   %s %s", id, fmt.Sprintf(format, args...)) }
	serve := (&upstream{id: id, plan: s.plan, says: says, ready: ready}).serve
	if id[0] == 'g' {
		serve = (&gateway{addr: anyPort, plan: s.plan, says: says, ready: ready}).serve
	}
	go func() {
		defer close(h.done)
		defer stop()
		if err := serve(ctx, s.engine); err != nil {
			s.stop(fmt.Errorf("%s: %w", id, err))
		}
	}()
	return h
}
