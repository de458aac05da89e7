package redisbackend

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	pingEvery = time.Second     // while the subscription is open
	silence   = 3 * time.Second // without any sign of life the connection is given up

	retryMin = 100 * time.Millisecond
	retryMax = 3 * time.Second
)

// subscription is one channel on a connection of its own, re-made as often as it breaks. Its funcs
// are called by one goroutine, except ticks.
type subscription struct {
	hub     *hub
	channel string
	effect  string // of its loss, for the log

	begins  func() // it was confirmed; what was published before may have been missed
	alive   func() // any sign of life since
	breaks  func()
	receive func(payload string)
	ticks   func() // with each ping
}

// run keeps the subscription until ctx ends.
func (s *subscription) run(ctx context.Context) {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		confirmed, err := s.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if confirmed {
			pause = 0
		}
		if pause == 0 { // once, not at every try
			s.hub.log.Warn("redisbackend: subscription lost, "+s.effect, "channel", s.channel, "error", err)
		}
		s.hub.broken(ctx)
		if !confirmed {
			pause = min(max(2*pause, retryMin), retryMax)
			select {
			case <-ctx.Done():
			case <-time.After(pause/2 + rand.N(pause/2)):
			}
		}
	}
}

// session subscribes once and receives until an error, and reports whether the subscription was
// ever confirmed. go-redis reconnects a broken PubSub by itself, but tells nobody when, and after
// a timeout in the middle of a message it would go on reading there. So an error is the end, and
// the next session begins with a connection of its own.
func (s *subscription) session(ctx context.Context) (confirmed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	sub := s.hub.subscribe(ctx, s.channel)
	var pings sync.WaitGroup
	pings.Go(func() { s.ping(ctx, sub) })
	defer pings.Wait()
	defer cancel()
	defer s.breaks()
	for {
		m, err := sub.ReceiveTimeout(ctx, silence)
		if err != nil {
			return confirmed, err
		}
		if c, ok := m.(*redis.Subscription); ok {
			if c.Kind != s.hub.kind {
				return confirmed, errMoved
			}
			confirmed = true
			s.alive()
			s.begins()
		}
		if confirmed {
			s.alive()
		}
		if m, ok := m.(*redis.Message); ok {
			s.receive(m.Payload)
		}
	}
}

// ping gives the server something to answer, so that silence means a broken connection. At the end
// it closes the subscription, which alone interrupts a receive.
func (s *subscription) ping(ctx context.Context, sub *redis.PubSub) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	defer func() { _ = sub.Close() }() // the end either way
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.ticks()
		_ = sub.Ping(ctx) // an error is the receiver's, too
	}
}
