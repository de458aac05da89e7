package etcdbackend

import (
	"sync"

	"github.com/concord-go/concord/lease"
)

// watch is one call of Watch.
type watch struct {
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

// checkNow has the owner of a claim ask.
var checkNow = lease.Event{Kind: lease.EventCheck}

// outbox is events to be delivered when no lock is held.
type outbox []note

type note struct {
	attempt lease.Attempt
	event   lease.Event
}

func (o *outbox) tell(c *claim, e lease.Event) { *o = append(*o, note{c.attempt, e}) }

func (h *hub) deliver(out outbox) {
	for _, n := range out {
		h.mu.Lock()
		w := h.watches[n.attempt]
		h.mu.Unlock()
		if w != nil {
			w.deliver(n.event)
		}
	}
}

func (h *hub) watch(a lease.Attempt, notify func(lease.Event)) (stop func()) {
	w := &watch{notify: notify}
	h.mu.Lock()
	h.watches[a] = w
	h.mu.Unlock()
	return func() {
		h.mu.Lock()
		if h.watches[a] == w {
			delete(h.watches, a)
		}
		h.mu.Unlock()
		w.mu.Lock()
		w.stopped = true
		w.mu.Unlock()
	}
}
