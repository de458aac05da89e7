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

	// maxTodo is how many releases are kept to be repeated.
	maxTodo = 1024
)

// janitor repeats releases that were not answered, until they are or the backend closes. A claim
// that was not released lives on for as long as its shared lease is renewed, and blocks its key.
// What does not fit into the list ends with its lease.
type janitor struct {
	b *Backend

	mu      sync.Mutex
	todo    map[lease.Attempt]lease.Release
	working bool
	full    bool // has been since it was last empty
}

func newJanitor(b *Backend) *janitor { return &janitor{b: b, todo: map[lease.Attempt]lease.Release{}} }

// add has a release repeated, or gives its claim up.
func (j *janitor) add(r lease.Release) {
	if !j.keep(r) {
		j.b.abandon(r)
	}
}

// keep notes a release to be repeated, unless the list is full.
func (j *janitor) keep(r lease.Release) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, known := j.todo[r.Attempt]; !known && len(j.todo) >= maxTodo {
		if !j.full {
			j.b.opt.Logger.Warn("etcdbackend: too many releases without an answer, further claims are left to their lease", "key", r.Key)
		}
		j.full = true
		return false
	}
	r.Uncertain = r.Uncertain || j.todo[r.Attempt].Uncertain
	j.todo[r.Attempt] = r
	if !j.working {
		j.working = j.b.work.start(j.run)
	}
	return true
}

// abandon leaves a claim to its lease, which is given up for that. Others on it move to a new one
// with their next renewal. A copy of the acquire that arrives when the lease has ended is refused.
func (b *Backend) abandon(r lease.Release) {
	c := b.table.find(r.Attempt, b.names.line(r.Key))
	if c == nil {
		return
	}
	b.table.mu.Lock()
	life, other := c.life, c.other
	c.unsure = true
	b.table.mu.Unlock()
	b.lives.retire(life)
	b.lives.retire(other)
	b.table.remove(c)
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
	j.working, j.full = false, false
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
					j.b.opt.Logger.Warn("etcdbackend: release refused, the claim is left to its lease", "key", r.Key, "error", err)
					j.done(r.Attempt)
					j.b.abandon(r)
				}
				pause = min(2*pause, janitorMax)
				break
			}
			j.done(r.Attempt)
			pause = janitorMin
		}
	}
}
