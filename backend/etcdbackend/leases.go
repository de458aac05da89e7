package etcdbackend

import (
	"strings"
	"time"

	"github.com/concord-go/concord/lease"
)

// leases is the port.
type leases struct{ b *Backend }

var _ lease.Backend = (*leases)(nil)

// Capabilities implements [lease.Backend]. ExpiryLate is what one server needs to notice an end;
// after a change of leader it starts to count anew.
func (l *leases) Capabilities() lease.Capabilities {
	return lease.Capabilities{
		Limits: true, Delay: true, MultiKey: true, Announce: true, Priority: true, Transfer: true, Durable: true,
		MinTTL: minTTL, TTLStep: time.Second, TryTrips: 2, ExpiryLate: time.Second,
	}
}

// valid refuses what is out of bounds and what is left for later.
func valid(c *lease.Claim) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.Priority != 0 && (c.Limit != 1 || c.LimitEpoch > 0 || c.Delay > 0) {
		return unsupported("priority %d with a limit other than 1, an epoch or a lock-delay", c.Priority)
	}
	return validAttempt(c.Attempt)
}

// validAttempt refuses names that would not be one part of a key.
func validAttempt(a lease.Attempt) error {
	if strings.ContainsAny(string(a), "/:") {
		return &lease.InvalidError{Field: "Attempt", Problem: "must come from NewAttempt"}
	}
	return nil
}

// Watch implements [lease.Backend]. Notify must not call stop.
func (l *leases) Watch(_ string, a lease.Attempt, notify func(lease.Event)) (stop func()) {
	return l.b.hub.watch(a, notify)
}

// answer says what is true of a claim as far as this object knows.
func (t *table) answer(c *claim, trusted bool) lease.Answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := c.lives()
	switch {
	case !c.there() || left == 0:
		return lease.Answer{Status: lease.Unknown}
	case c.state == granted:
		c.promise(left)
		return lease.Answer{Status: lease.Granted, Token: c.token(), Left: left, Asked: c.wish()}
	}
	c.promise(left)
	c.admitted = true
	return lease.Answer{Status: lease.Queued, Rank: c.ahead.rank(), Next: t.next(c), Pushed: trusted && c.at >= t.base}
}

// next is the time to the earliest end of a seat. Those of other processes are not known; they
// are renewed all the time, and their end is told of, so the claim's own TTL does as well.
func (t *table) next(c *claim) time.Duration {
	for other := range t.lines[c.line].claims {
		if other.state == granted && other.lives() > 0 {
			return other.lives()
		}
	}
	return c.life.ttl
}
