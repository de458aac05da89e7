package etcdbackend

import (
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// driftParts bounds how much faster a server's clock may run than ours: one part in a thousand.
	driftParts = 1000

	// suspended is how far the wall clock may run ahead of the monotonic one before the process
	// is taken to have slept.
	suspended = time.Second
)

// lifeline is one etcd lease and the local belief in it: from the instant before the last answered
// request was sent, for its TTL less the drift. A lifeline that has ended never comes back, even
// if the server still keeps the lease.
//
// One for claims with a lock-delay has a second lease, for their shades, that lives longer by the
// delay. It is renewed together with the first and only as long as that lives.
type lifeline struct {
	id    clientv3.LeaseID
	shade clientv3.LeaseID // NoLease without a lock-delay
	ttl   time.Duration    // as granted

	// Guarded by lifelines.mu.
	users   int  // claims on it
	retired bool // it ends when its users have left

	mu      sync.Mutex
	t0      time.Time
	failure error // of the last renewal, if it failed
	dead    bool
}

func (l *lifeline) span() time.Duration { return l.ttl - l.ttl/driftParts }

// left is how long the lease is certain to live on, and 0 when that is over.
func (l *lifeline) left(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return 0
	}
	elapsed := now.Sub(l.t0)
	if wall := now.Round(0).Sub(l.t0.Round(0)); wall-elapsed > suspended {
		elapsed = wall
	}
	left := l.span() - elapsed
	if left <= 0 {
		l.dead = true
	}
	return max(0, left)
}

// renewed notes that a request sent at t0 was answered. It reports whether the lifeline lives.
func (l *lifeline) renewed(t0 time.Time) bool {
	if l.left(time.Now()) == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if t0.After(l.t0) && !l.dead {
		l.t0 = t0
	}
	l.failure = nil
	return !l.dead
}

// failed notes that a renewal was not answered, or refused.
func (l *lifeline) failed(err error) {
	l.mu.Lock()
	l.failure = err
	l.mu.Unlock()
}

// news is the instant from which the lifeline lives, and why it could not be renewed since.
func (l *lifeline) news() (t0 time.Time, failure error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.t0, l.failure
}

// kill ends the belief: the server no longer has the lease.
func (l *lifeline) kill() {
	l.mu.Lock()
	l.dead = true
	l.mu.Unlock()
}

// due is when to renew: a third of the TTL after the last answered request.
func (l *lifeline) due() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.t0.Add(l.ttl / 3)
}
