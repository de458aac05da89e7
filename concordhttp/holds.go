package concordhttp

import (
	"sync"
	"time"
)

// origin is a server, and a partition of what it counts.
type origin struct{ server, partition string }

// holds is until when nothing may be sent where.
type holds struct {
	mu  sync.Mutex
	all map[origin]time.Time
}

// left returns how long requests are held back still.
func (h *holds) left(at origin, now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	until, ok := h.all[at]
	if ok && !until.After(now) {
		delete(h.all, at)
	}
	return until.Sub(now)
}

// extend holds requests back until then. A shorter time does not replace a longer one: responses come
// in any order. If there is no room, what ends first is forgotten: a request too many is sent.
func (h *holds) extend(at origin, now, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all[at].After(until) {
		return
	}
	if _, ok := h.all[at]; !ok && len(h.all) >= maxHolds {
		first := at
		for other, end := range h.all {
			switch {
			case !end.After(now):
				delete(h.all, other)
			case first == at || end.Before(h.all[first]):
				first = other
			}
		}
		if len(h.all) >= maxHolds {
			delete(h.all, first)
		}
	}
	h.all[at] = until
}
