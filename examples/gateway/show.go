package main

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// show is the upstreams, the gateways and their load.
type show struct {
	plan   *plan
	engine *engine
	says   teller
	launch func(id string) *handle // starts an upstream or a gateway
	tally  *tally

	ctx   context.Context // ends with the show
	stop  context.CancelCauseFunc
	fleet map[string]*handle
}

// handle is an upstream or a gateway, as seen from outside.
type handle struct {
	ready chan string   // gets its address once it can be used
	stop  func()        // asks it to stop
	done  chan struct{} // closed when it has
}

func newShow(p *plan, e *engine, says teller) *show {
	start := time.Now()
	s := &show{plan: p, engine: e, tally: &tally{}, fleet: map[string]*handle{}}
	s.says = func(format string, args ...any) {
		says("%6.2fs  %s", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	s.launch = s.goroutine
	if e.server {
		s.launch = s.process
	}
	return s
}

// run shows all steps, or as many as ctx allows. All has ended when it returns.
func (s *show) run(ctx context.Context) error {
	s.ctx, s.stop = context.WithCancelCause(ctx)
	defer s.stop(nil)
	err := s.play()
	cause := context.Cause(s.ctx)
	s.says("== the end")
	s.end("g1", "g2")
	s.end("u1", "u2", "u3")
	if ctx.Err() != nil {
		return nil // asked to stop
	}
	return cmp.Or(err, cause)
}

func (s *show) play() error {
	var gateways []string
	for _, id := range []string{"u1", "u2", "u3", "g1", "g2"} {
		addr, err := s.start(id)
		if err != nil {
			return err
		}
		if id[0] == 'g' {
			gateways = append(gateways, "http://"+addr)
		}
	}
	load, err := newLoad(gateways, s.plan.each, s.says)
	if err != nil {
		return err
	}
	s.tally = load.tally
	leave := step{"u2 leaves", load.polite, s.plan.each, func(context.Context) error { s.end("u2"); return nil }}
	return load.run(s.ctx, append(load.steps(), leave))
}

// start starts an upstream or a gateway and returns its address.
func (s *show) start(id string) (string, error) {
	h := s.launch(id)
	s.fleet[id] = h
	select {
	case addr := <-h.ready:
		return addr, nil
	case <-h.done:
	case <-s.ctx.Done():
	}
	return "", fmt.Errorf("%s is not there: %w", id, context.Cause(s.ctx))
}

// end asks some to stop, and returns when they have.
func (s *show) end(ids ...string) {
	var ending []*handle
	for _, id := range ids {
		if h := s.fleet[id]; h != nil {
			h.stop()
			ending = append(ending, h)
		}
	}
	for _, h := range ending {
		<-h.done
	}
}
