package redisbackend

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lease"
)

const (
	healthFor = 1500 * time.Millisecond // after the last sign of life
	keepIdle  = 30                      // pings without a watch, then the connection is dropped
	maxLines  = 32                      // connections of one backend object, for as many buckets of a cluster
)

// hub gets the events of this backend object and hands them to those who watch an attempt. For
// each site it keeps one connection, opened when the first claim there has to wait. Every event is
// a hint: whatever may have been missed, while there was no subscription or it was broken, becomes
// one EventCheck for every attempt that waits.
type hub struct {
	subscribe func(ctx context.Context, channels ...string) *redis.PubSub
	kind      string // of the confirmation of a subscription
	broken    func(ctx context.Context)
	confirm   bool // a pushed grant is to be confirmed before it counts
	log       *slog.Logger

	work sync.WaitGroup

	mu      sync.Mutex
	watches map[lease.Attempt]*watch
	lines   int // that are open
	closed  bool
}

// watch is one call of Watch.
type watch struct {
	site    *site
	waiting bool // the engine said that the claim waits; guarded by hub.mu

	mu      sync.Mutex // held while notify runs
	stopped bool
	notify  func(lease.Event)
}

func (w *watch) deliver(e lease.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.notify(e)
	}
}

// line is one connection, re-made as often as it breaks, from when it was needed until it was
// idle for long.
type line struct {
	*site
	stop  context.CancelFunc
	heard atomic.Int64 // last sign of life, Unix ns of the local clock; 0 = not subscribed
}

func newHub(b *Backend) *hub {
	h := &hub{subscribe: b.client.Subscribe, kind: "subscribe", broken: func(context.Context) {},
		confirm: b.opt.WaitReplicas > 0, log: b.opt.Logger, watches: map[lease.Attempt]*watch{}}
	if b.cluster != nil {
		h.subscribe, h.kind, h.broken = b.cluster.SSubscribe, "ssubscribe", b.cluster.ReloadState
	}
	return h
}

func (s *site) watch(a lease.Attempt, notify func(lease.Event)) (stop func()) {
	h := s.hub
	w := &watch{site: s, notify: notify}
	h.mu.Lock()
	if old := h.watches[a]; old != nil {
		old.site.watched--
	}
	h.watches[a] = w
	s.watched++
	h.mu.Unlock()
	return func() {
		h.mu.Lock()
		if h.watches[a] == w {
			delete(h.watches, a)
			s.watched--
		}
		h.mu.Unlock()
		w.mu.Lock()
		w.stopped = true
		w.mu.Unlock()
	}
}

// answered completes the answer to a request that was sent in the given era. A grant could have
// been published between the request's execution and a subscription confirmed later; unless the
// era is still the same, the attempt is told to check.
func (s *site) answered(a lease.Attempt, era uint64, answer lease.Answer) lease.Answer {
	waits := answer.Status == lease.Queued
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.watches[a]
	if w != nil {
		w.waiting = waits
	}
	if !waits || h.closed {
		return answer
	}
	if s.line.Load() == nil && !s.open() {
		return answer
	}
	same := s.era.Load() == era
	answer.Pushed = same && s.healthy()
	if w != nil && !same && s.line.Load().heard.Load() != 0 {
		h.work.Go(func() { w.deliver(lease.Event{Kind: lease.EventCheck}) })
	}
	return answer
}

// healthy reports whether events get through as far as is known.
func (s *site) healthy() bool {
	l := s.line.Load()
	if l == nil {
		return false
	}
	heard := l.heard.Load()
	return heard != 0 && time.Since(start) < time.Duration(heard)+healthFor
}

// start is the origin of instants kept as numbers: monotonic, and never zero.
var start = time.Now().Add(-time.Second)

// open starts a line, unless there are as many as may be: the claims that wait here then ask. The
// caller holds hub.mu.
func (s *site) open() bool {
	if s.hub.lines == maxLines {
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &line{site: s, stop: cancel}
	s.line.Store(l)
	s.hub.lines++
	s.hub.work.Go(func() { l.run(ctx) })
	return true
}

// close ends the lines of all sites.
func (h *hub) close(sites []site) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for i := range sites {
		if l := sites[i].line.Load(); l != nil {
			l.retire()
		}
	}
}

func (h *hub) wait() { h.work.Wait() }

// retire ends the line. The caller holds hub.mu.
func (l *line) retire() {
	l.line.Store(nil)
	l.hub.lines--
	l.era.Add(1)
	l.stop()
}

// run keeps the subscription until ctx ends.
func (l *line) run(ctx context.Context) {
	defer l.stop()
	idle := 0
	sub := &subscription{
		hub: l.hub, channel: l.channel, effect: "waiters fall back to asking",
		begins: l.check,
		alive:  func() { l.heard.Store(int64(time.Since(start))) },
		breaks: func() {
			if l.heard.Swap(0) != 0 {
				l.era.Add(1)
			}
		},
		receive: l.receive,
		ticks: func() { // ends an idle line
			l.hub.mu.Lock()
			defer l.hub.mu.Unlock()
			idle++
			if l.watched > 0 {
				idle = 0
			}
			if idle == keepIdle && l.line.Load() == l {
				l.retire()
			}
		},
	}
	sub.run(ctx)
}

// check tells every attempt that waits that it may have missed something.
func (l *line) check() {
	l.hub.mu.Lock()
	l.era.Add(1)
	var waiting []*watch
	for _, w := range l.hub.watches {
		if w.waiting && w.site == l.site {
			waiting = append(waiting, w)
		}
	}
	l.hub.mu.Unlock()
	for _, w := range waiting {
		w.deliver(lease.Event{Kind: lease.EventCheck})
	}
}

// receive handles one message. Anybody may publish, so one that makes no sense is dropped.
func (l *line) receive(payload string) {
	m, ok := parseMessage(payload)
	if !ok {
		l.hub.log.Debug("redisbackend: message not understood", "channel", l.channel, "message", payload)
		return
	}
	e := lease.Event{Kind: m.kind, Token: m.token}
	switch m.kind {
	case lease.EventGranted:
		// The message may have been under way for long, or come from a server whose clock the
		// reference does not know. Only a grant that is valid for certain is handed on, and one
		// that must be on replicas only when that was confirmed.
		if e.Until, ok = l.clock.until(m.now, m.end); !ok || l.hub.confirm {
			e = lease.Event{Kind: lease.EventCheck}
		}
	case lease.EventAsked:
		left := time.Duration(max(0, m.end-m.now)) * time.Millisecond
		e.Ask = lease.Ask{Reason: m.reason, Grace: min(left, l.clock.left(m.end))}
	case lease.EventRevoked:
		e.Ask.Reason = m.reason
	}
	l.hub.mu.Lock()
	w := l.hub.watches[m.attempt]
	here := w != nil && w.site == l.site // or it was published where it does not belong
	if here && e.Kind == lease.EventGranted {
		w.waiting = false
	}
	l.hub.mu.Unlock()
	if here {
		w.deliver(e)
	}
}
