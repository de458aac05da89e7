package etcdbackend

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/concord-go/concord/lease"
)

const (
	janitorMin = 100 * time.Millisecond
	janitorMax = 5 * time.Second
)

// janitor repeats releases that were not answered, until they are or the backend closes. A claim
// that was not released lives on for as long as its shared lease is renewed, and blocks its key.
type janitor struct {
	b *Backend

	mu      sync.Mutex
	todo    map[lease.Attempt]lease.Release
	working bool
}

func newJanitor(b *Backend) *janitor { return &janitor{b: b, todo: map[lease.Attempt]lease.Release{}} }

func (j *janitor) add(r lease.Release) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Uncertain = r.Uncertain || j.todo[r.Attempt].Uncertain
	j.todo[r.Attempt] = r
	if !j.working {
		j.working = j.b.work.start(j.run)
	}
}

// done forgets an attempt whose release was answered.
func (j *janitor) done(a lease.Attempt) {
	j.mu.Lock()
	delete(j.todo, a)
	j.mu.Unlock()
}

// next returns one release to repeat, or ends the work.
func (j *janitor) next() (r lease.Release, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.todo {
		return r, true
	}
	j.working = false
	return r, false
}

func (j *janitor) run(ctx context.Context) {
	for pause := janitorMin; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		for {
			r, ok := j.next()
			if !ok {
				return
			}
			call, cancel := context.WithTimeout(ctx, maxAttempt)
			_, err := j.b.leases.release(call, r)
			cancel()
			if err != nil {
				if !temporary(err) {
					j.b.opt.Logger.Warn("etcdbackend: claim left behind", "key", r.Key, "error", err)
					j.done(r.Attempt)
				}
				pause = min(2*pause, janitorMax)
				break
			}
			j.done(r.Attempt)
			pause = janitorMin
		}
	}
}
