package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/concord-go/concord/membership"
)

// show is a client, the replicas, and what happens to them.
type show struct {
	plan   *plan
	engine *engine
	launch func(id string) (*handle, error) // starts a replica
	tally  *tally
	start  time.Time
	writes teller

	ctx     context.Context // ends with the show
	stop    context.CancelCauseFunc
	group   *membership.Group
	client  *client
	fleet   map[string]*handle
	lasting time.Duration // how long the client saw the one that was killed
}

// handle is a replica, as seen from outside.
type handle struct {
	kill func()
	stop func() // asks it to stop
	done chan struct{}
}

// step is one thing that happens.
type step struct {
	name string
	harm bool // a request may have to be tried again
	act  func() error
}

func newShow(writes teller, p *plan, e *engine) *show {
	s := &show{plan: p, engine: e, tally: &tally{}, start: time.Now(), writes: writes, fleet: map[string]*handle{}}
	s.launch = s.process
	if e.control != nil {
		s.launch = s.goroutine
	}
	return s
}

func (s *show) steps() []step {
	steps := []step{
		{"three replicas", false, func() error { return nil }},
		{"r4 joins", false, func() error { return s.add("r4") }},
		{"r1 has weight 3", false, func() error { return s.weigh("r1", 3) }},
		{"r2 leaves", false, func() error { return s.leave("r2") }},
		{"r3 is killed", true, func() error { return s.kill("r3") }},
	}
	if s.engine.control != nil {
		steps = append(steps, step{"the engine is away", false, s.away})
	}
	return steps
}

// run shows all steps, or as many as ctx allows. All replicas have ended when it returns.
func (s *show) run(ctx context.Context) (err error) {
	s.ctx, s.stop = context.WithCancelCause(ctx)
	defer s.stop(nil)
	if s.client, err = newClient(s.plan, s.tally, s.say); err != nil {
		return err
	}
	s.group, err = membership.New(s.engine.leases, s.plan.group, &membership.Options{TTL: s.plan.ttl, Hooks: &membership.Hooks{}})
	if err != nil {
		return err
	}
	defer soon(ctx, s.say, s.group.Close)
	s.writes("A client sends requests, %d at a time, %v. A replica that dies is in the group for %v.", s.plan.workers, s.plan.strategy, s.plan.ttl)

	var watching, working sync.WaitGroup
	watching.Go(func() {
		if err := s.client.follow(s.ctx, s.group); err != nil && s.ctx.Err() == nil {
			s.stop(err)
		}
	})
	err = s.play(&working)
	cause := context.Cause(s.ctx)
	s.writes("\n== the end")
	s.stop(nil) // the client is the first to end
	working.Wait()
	watching.Wait()
	s.client.http.CloseIdleConnections()
	for _, h := range s.fleet {
		h.stop()
	}
	for _, h := range s.fleet {
		<-h.done
	}
	if ctx.Err() != nil && errors.Is(cause, context.Cause(ctx)) {
		return nil // asked to stop
	}
	return err
}

// play goes through the steps.
func (s *show) play(working *sync.WaitGroup) error {
	for _, id := range []string{"r1", "r2", "r3"} {
		if err := s.add(id); err != nil {
			return err
		}
	}
	for i, step := range s.steps() {
		s.writes("\n== %s", step.name)
		s.tally.begin(step.name, step.harm)
		if i == 0 {
			for range s.plan.workers {
				working.Go(func() { s.client.work(s.ctx) })
			}
			working.Go(s.eachSecond)
		}
		if err := step.act(); err != nil {
			return err
		}
		if wait(s.ctx, s.plan.each); s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
	}
	return nil
}

func (s *show) eachSecond() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.say("requests: %s", s.tally.line())
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *show) add(id string) error {
	h, err := s.launch(id)
	if err != nil {
		return err
	}
	s.fleet[id] = h
	_, err = s.client.seen(s.ctx, id, there)
	return err
}

func (s *show) weigh(id string, weight int) error {
	m, err := s.client.seen(s.ctx, id, there)
	if err != nil {
		return err
	}
	if _, err := s.client.do(s.ctx, http.MethodPut, fmt.Sprintf("http://%s/weight/%d", m.Addr, weight)); err != nil {
		return err
	}
	_, err = s.client.seen(s.ctx, id, func(m *membership.Member) bool { return m != nil && m.Weight == weight })
	return err
}

func (s *show) leave(id string) error {
	s.say("%s is asked to stop", id)
	s.fleet[id].stop()
	<-s.fleet[id].done
	s.say("%s has ended", id)
	_, err := s.client.seen(s.ctx, id, gone)
	return err
}

func (s *show) kill(id string) error {
	s.say("%s is killed", id)
	s.fleet[id].kill()
	killed := time.Now()
	_, err := s.client.seen(s.ctx, id, gone)
	s.lasting = time.Since(killed)
	return err
}

// away lets the engine answer nothing until every replica has lost its place.
func (s *show) away() error {
	s.say("the engine answers nothing for %v", 3*s.plan.ttl/2)
	s.engine.control.FailNext(1<<30, nil)
	s.engine.control.DropEvents(true)
	wait(s.ctx, 3*s.plan.ttl/2)
	s.say("the engine is back")
	s.engine.control.FailNext(0, nil)
	s.engine.control.DropEvents(false)
	for view, err := range s.group.Watch(s.ctx) { // a new one knows nothing from before
		if err != nil || len(view.Members) == 2 {
			return err
		}
	}
	return nil
}

// say writes a line with the time before it.
func (s *show) say(format string, args ...any) {
	s.writes("   %5.2fs  %s", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
}
