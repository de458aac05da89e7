package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// longest is what the end of a client and of its server may take.
const longest = 5 * time.Second

// phase is a time with one trouble.
type phase struct {
	name, says string
	trouble    trouble
}

func phases(p *plan) []phase {
	return []phase{
		{"healthy", "nothing is wrong", trouble{}},
		{"slow tail", fmt.Sprintf("one answer in 40 takes %v longer", slowness), trouble{slow: 40}},
		{"errors", "one answer in 12 is 503", trouble{fail: 12}},
		{"outage", fmt.Sprintf("no answers for %v; what comes lines up", p.each), trouble{stuck: p.each}},
		{"recovery", "the server works, first at what has lined up", trouble{}},
	}
}

// side is a client and the server that it calls.
type side struct {
	name   string
	client *client
	server *server
	http   *http.Server
	serves sync.WaitGroup
	tally  *tally
}

// newSide starts a server and its client.
func newSide(p *plan, name string, newClient func(p *plan, url string, t *tally) (*client, error)) (*side, error) {
	listener, err := p.listen()
	if err != nil {
		return nil, err
	}
	s := &side{name: name, server: &server{each: time.Second * 2 / 3 / time.Duration(p.rate)}, tally: &tally{}}
	s.client, err = newClient(p, "http://"+listener.Addr().String()+"/", s.tally)
	if err != nil {
		listener.Close()
		return nil, err
	}
	s.http = &http.Server{Handler: s.server, ReadHeaderTimeout: longest}
	s.serves.Go(func() { _ = s.http.Serve(listener) }) // without it the calls fail, and are counted so
	return s, nil
}

// close ends the client, and the server after it.
func (s *side) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	defer cancel()
	err := errors.Join(s.client.close(ctx), s.http.Shutdown(ctx))
	s.serves.Wait()
	return err
}

// perform shows all phases, or as many as ctx allows. Nothing runs any more when it returns.
func perform(ctx context.Context, out io.Writer, p *plan) (sides []*side, err error) {
	defer func() {
		for _, s := range sides {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	if !p.alone {
		s, err := newSide(p, "plain", newPlain)
		if err != nil {
			return nil, err
		}
		sides = append(sides, s)
	}
	s, err := newSide(p, "guarded", newClient)
	if err != nil {
		return sides, err
	}
	sides = append(sides, s)
	fmt.Fprintf(out, "%d calls a second to a server that can do %d. Plain: 3 attempts. Guarded: 3 attempts%s.\n", p.rate, p.rate*3/2, p.guards())
	play(ctx, out, p, sides)
	table(out, phases(p), sides)
	return sides, nil
}

// guards says what the guarded client has.
func (p *plan) guards() string {
	var has strings.Builder
	for _, g := range []struct {
		name string
		has  bool
	}{{"budget", p.budget}, {"breaker", p.breaker}, {"hedges", p.hedge}} {
		if g.has {
			has.WriteString(", " + g.name)
		}
	}
	return has.String()
}

// play goes through the phases. Calls come at their rate, however slow the answers are, and go on
// until each has ended. None is broken off.
func play(ctx context.Context, out io.Writer, p *plan, sides []*side) {
	var calls sync.WaitGroup
	defer calls.Wait()
	call := time.NewTicker(time.Second / time.Duration(p.rate))
	defer call.Stop()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	start := time.Now()
	for _, ph := range phases(p) {
		announce(out, ph, sides)
		for _, s := range sides {
			s.tally.begin()
			s.server.begin(time.Now(), ph.trouble)
		}
		over := time.NewTimer(p.each)
		shown := time.Now()
		second.Reset(time.Second)
		for more := true; more; {
			select {
			case <-call.C:
				for _, s := range sides {
					calls.Go(func() { s.client.call(context.WithoutCancel(ctx)) })
				}
			case <-second.C:
				show(out, time.Since(start), sides)
				shown = time.Now()
			case <-over.C:
				if time.Since(shown) > min(p.each, time.Second)/2 { // else a line has just told of it
					show(out, time.Since(start), sides)
				}
				more = false
			case <-ctx.Done():
				over.Stop()
				return
			}
		}
	}
}

func announce(out io.Writer, ph phase, sides []*side) {
	fmt.Fprintf(out, "\n== %s: %s\n       ", ph.name, ph.says)
	for _, s := range sides {
		fmt.Fprintf(out, "  | %-7s%s", s.name, heading)
	}
	fmt.Fprintln(out)
}

func show(out io.Writer, at time.Duration, sides []*side) {
	fmt.Fprintf(out, "  %4.1fs", at.Seconds())
	for _, s := range sides {
		fmt.Fprintf(out, "  | %7s%s", "", s.tally.line())
	}
	fmt.Fprintln(out)
}
