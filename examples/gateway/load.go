package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/concord-go/concord/concordhttp"
)

// The clients that behave badly.
const (
	inBurst = 2 * 20 // twice what passes at once
	inCrowd = 20     // together they may send five times what all may
)

// load is clients of the gateways, and what they do.
type load struct {
	each      time.Duration
	tally     *tally
	says      teller
	transport *http.Transport
	polite    []*client
	greedy    *client
	burst     *client
	crowd     []*client
}

// step is a time in which some clients send requests.
type step struct {
	name    string
	clients []*client
	lasts   time.Duration
	act     func(context.Context) error // what happens meanwhile, or nil
}

func newLoad(gateways []string, each time.Duration, says teller) (*load, error) {
	l := &load{
		each: each, says: says, transport: &http.Transport{MaxIdleConnsPerHost: inBurst},
		tally: &tally{spans: map[string][]span{}, served: map[string]int{}},
	}
	obeys, err := concordhttp.Obey(l.transport, &concordhttp.ObeyOptions{
		NoWait:    true, // so that one that waits can be asked to stop
		Partition: func(r *http.Request) string { return r.Header.Get(apiKey) },
	})
	if err != nil {
		return nil, err
	}
	run := rand.Text()[:6] // no limits of an earlier run
	add := func(kind string, t http.RoundTripper, i int) *client {
		return &client{kind: kind, key: fmt.Sprintf("%s-%d-%s", kind, i, run), http: &http.Client{Transport: t}, gateways: gateways, tally: l.tally}
	}
	for i, g := range gateways {
		c := add("polite", obeys, i)
		c.gateways = []string{g} // what it knows, it knows of this one
		l.polite = append(l.polite, c)
	}
	l.greedy = add("greedy", l.transport, 0)
	l.greedy.pause = takes
	l.burst = add("burst", l.transport, 0)
	l.burst.atOnce = inBurst
	for i := range inCrowd {
		c := add("crowd", l.transport, i)
		c.pause = 6 * takes
		l.crowd = append(l.crowd, c)
	}
	return l, nil
}

func (l *load) steps() []step {
	return []step{
		{"clients obey", l.polite, l.each, nil},
		{"one is greedy", slices.Concat(l.polite, []*client{l.greedy}), l.each, nil},
		{"a burst", []*client{l.burst}, 0, nil},
		{"a crowd", slices.Concat(l.polite, l.crowd), l.each, nil},
	}
}

// run goes through the steps, or as many as ctx allows.
func (l *load) run(ctx context.Context, steps []step) error {
	defer l.transport.CloseIdleConnections()
	for _, s := range steps {
		l.says("== %s", s.name)
		l.tally.begin(s.name)
		if err := s.play(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			break
		}
		l.recover(ctx, s.clients)
	}
	return nil
}

func (s *step) play(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, c := range s.clients {
		running.Go(func() { c.run(ctx) })
	}
	var err error
	if s.act != nil {
		err = s.act(ctx)
	}
	wait(ctx, s.lasts)
	cancel()
	running.Wait()
	return err
}

// recover lets everybody who was refused come again when he was told to, at the same
// time. All must pass: there is more than enough by then.
func (l *load) recover(ctx context.Context, clients []*client) {
	var refused []*client
	var longest time.Duration
	for _, c := range clients {
		if c.refused > 0 && !slices.Contains(l.polite, c) { // those have waited already
			refused = append(refused, c)
			longest = max(longest, c.refused)
		}
	}
	if len(refused) == 0 {
		return
	}
	l.says("   %d that were refused come again in %v", len(refused), longest)
	wait(ctx, longest)
	var all sync.WaitGroup
	for _, c := range refused {
		if ctx.Err() == nil {
			all.Go(func() { c.again(ctx) })
		}
	}
	all.Wait()
}
