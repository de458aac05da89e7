package backendtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/concord-go/concord/lease"
)

const (
	hammerClients = 8
	hammerTime    = 1500 * time.Millisecond
)

// hold is a stretch of time in which a client believed that it was alone.
type hold struct {
	token    uint64
	from, to time.Time
}

// concurrentSafety lets clients compete for two keys. Most holds end by a release, some by a
// lapse. Grants are learnt from answers or from pushes, and a lost push costs only time.
func concurrentSafety(r *rig) {
	h := &hammer{rig: r, holds: map[string][]hold{}}
	ctx, cancel := context.WithTimeout(r.Context(), hammerTime+4*r.caps.MinTTL)
	defer cancel()
	var clients sync.WaitGroup
	for i := range hammerClients {
		clients.Go(func() { h.client(ctx, fmt.Sprint("k", i%2), i) })
	}
	clients.Wait()
	for key, holds := range h.holds {
		if problem := overlaps(holds); problem != "" {
			r.broken("no two holders believe in the same key at once ("+key+")", problem, "one after the other, with larger tokens")
		}
		r.Logf("%s: %d holds", key, len(holds))
	}
	if h.problem != "" {
		r.Fatal(h.problem)
	}
	same(r, "both keys are granted to somebody", len(h.holds), 2)
}

// overlaps looks for two holds at the same time, or out of the order of their tokens.
func overlaps(holds []hold) string {
	slices.SortFunc(holds, func(a, b hold) int { return a.from.Compare(b.from) })
	for i := 1; i < len(holds); i++ {
		a, b := holds[i-1], holds[i]
		if b.from.Before(a.to) {
			return fmt.Sprintf("token %d begins %v before the end of token %d", b.token, a.to.Sub(b.from), a.token)
		}
		if b.token <= a.token {
			return fmt.Sprintf("token %d is followed by token %d", a.token, b.token)
		}
	}
	return ""
}

type hammer struct {
	*rig
	mu      sync.Mutex
	holds   map[string][]hold
	problem string
}

// fail keeps the first problem; the clients may not end the test themselves.
func (h *hammer) fail(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.problem == "" {
		h.problem = fmt.Sprintf(format, args...)
	}
}

// client acquires, holds and lets go until ctx ends.
func (h *hammer) client(ctx context.Context, key string, seed int) {
	rng := rand.New(rand.NewPCG(uint64(seed), 1))
	for ctx.Err() == nil {
		c := h.claim(key)
		c.TTL, c.Window, c.Alone = h.life(2*lease.MinTTL), h.life(lease.MinTTL), true
		events := make(chan lease.Event, 64)
		stop := h.be.Watch(key, c.Attempt, func(e lease.Event) {
			select {
			case events <- e:
			default:
			}
		})
		token, end := h.obtain(ctx, c, events)
		if from := time.Now(); token != 0 && from.Before(end) {
			time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond)
			if rng.IntN(10) == 0 { // a holder that dies
				stop()
				h.record(key, hold{token, from, end})
				continue
			}
			if now := time.Now(); now.Before(end) {
				end = now
			}
			h.record(key, hold{token, from, end})
		}
		h.letGo(c)
		stop()
	}
}

func (h *hammer) record(key string, x hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds[key] = append(h.holds[key], x)
}

// obtain acquires and waits. It returns the token and the instant up to which to believe in it.
func (h *hammer) obtain(ctx context.Context, c lease.Claim, events <-chan lease.Event) (uint64, time.Time) {
	waiting := false
	for ctx.Err() == nil {
		a, err := h.ask(c, waiting)
		switch {
		case err != nil:
			h.fail("a healthy engine answers: %v", err)
			return 0, time.Time{}
		case a.Status == lease.Granted:
			return a.Token, a.end()
		case a.Status == lease.Queued:
			waiting = true
			select {
			case e := <-events:
				if e.Kind == lease.EventGranted && time.Now().Before(e.Until) {
					return e.Token, e.Until
				}
			case <-time.After(lease.MinTTL / 2):
			case <-ctx.Done():
			}
		case a.Status == lease.Unknown && waiting:
			waiting = false // lapsed while this client was slow: acquire again, with the same attempt
		default:
			h.fail("an attempt that is not released is granted or queued, not %v", a.Status)
			return 0, time.Time{}
		}
	}
	return 0, time.Time{}
}

// ask sends an Acquire, or a renewal once the claim waits.
func (h *hammer) ask(c lease.Claim, waiting bool) (grant, error) {
	call, cancel := h.ctx()
	defer cancel()
	sent := time.Now()
	if waiting {
		a := h.be.Renew(call, []lease.Renewal{renewal(c, true)})[0]
		return grant{a, sent}, a.Err
	}
	a, err := h.be.Acquire(call, c)
	return grant{a, sent}, err
}

func (h *hammer) letGo(c lease.Claim) {
	call, cancel := h.ctx()
	defer cancel()
	if _, err := h.be.Release(call, lease.Release{Key: c.Key, Attempt: c.Attempt}); err != nil {
		h.fail("a healthy engine answers: %v", err)
	}
}
