package memorybackend

import (
	"slices"
	"time"

	"github.com/concord-go/concord/lease"
)

// Control makes go wrong what goes wrong with a real engine, so that a test can see what a program
// does then. Controls act at once and may be used by several goroutines, also while verbs run.
// A Control comes from [Backend.Control]; the zero value is not usable.
type Control struct{ b *Backend }

// faults is what the next requests meet. The backend's mutex guards it.
type faults struct {
	delay time.Duration
	fail  failing // instead of the work
	lose  failing // after the work
}

// failing is an error for the next few calls.
type failing struct {
	left int
	err  error
}

func (f *failing) next() error {
	if f.left <= 0 {
		return nil
	}
	f.left--
	return f.err
}

func newFailing(n int, err error) failing {
	if err == nil {
		err = lease.ErrUnavailable
	}
	return failing{n, err}
}

// ExpireNow ends every seat of key, lock-delays included, as if its time had run out. Nobody is
// told. Waiting claims stay and get their turn when the next verb looks at the key, as after any
// expiry.
//
// Use it to test a holder that was paused for too long: its next renewal fails, its late release
// finds nothing, somebody else gets the key with a larger token, and its writes are fenced out.
func (c *Control) ExpireNow(key string) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if k := c.b.table.keys[key]; k != nil {
		now := time.Now()
		for _, seat := range slices.Clone(k.seats) {
			k.expire(seat, now, true)
		}
	}
}

// Revoke ends the validity of every holder of key by force and tells each of them the reason, as
// [lease.Backend] Revoke does for one token. Lock-delays take effect.
//
// Use it to test what a program does when an operator takes its lock away in the middle of work.
func (c *Control) Revoke(key, reason string) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.b.table.revoke(lease.Revocation{Key: key, Reason: reason, Force: true}, time.Now())
}

// FailNext lets the next n calls of the ports fail with err before they do anything. Without err
// it is [lease.ErrUnavailable]. Zero n ends it.
//
// Use it to test retries, and with a large n an engine that is down: holders must stop by
// themselves when their time is over.
func (c *Control) FailNext(n int, err error) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.b.disturbed.Store(true)
	c.b.faults.fail = newFailing(n, err)
}

// LoseNext lets the next n calls of the ports do their work and then fail with err, as when the
// answer is lost on its way. Without err it is [lease.ErrUnavailable]. Zero n ends it.
//
// Use it to test outcomes that nobody knows: an acquire that was granted although it failed, a
// write that is sent twice. Observe has no answer to lose.
func (c *Control) LoseNext(n int, err error) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.b.disturbed.Store(true)
	c.b.faults.lose = newFailing(n, err)
}

// Delay lets every call of the ports that begins from now on wait for d before it does anything.
// A call whose ctx ends meanwhile returns the ctx's error and has no effect. Zero d ends it.
//
// Use it to test slow engines and timeouts: with d above a lease's TTL the renewals come too late.
func (c *Control) Delay(d time.Duration) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.b.disturbed.Store(true)
	c.b.faults.delay = d
}

// Lose forgets all claims of key without telling anybody, as a server that lost its data. Tokens
// keep rising.
//
// Use it to test that a holder which is unknown at its next renewal stops, and that waiters ask
// again.
func (c *Control) Lose(key string) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if k := c.b.table.keys[key]; k != nil {
		c.b.table.lose(k)
	}
}

// Flush forgets all claims of all keys, and which attempts were released, as a server that starts
// again with nothing. Marks stay, and tokens keep rising.
func (c *Control) Flush() {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	t := &c.b.table
	for _, k := range t.keys {
		t.lose(k)
	}
	clear(t.gone)
	t.graves = nil
}

// DropEvents silently loses all events while drop is true: grants, requests to leave, revocations,
// changes. A waiting claim is then answered that pushes do not get through. When drop becomes false
// events pass again, every watched claim is told to check and every observer of a gap, as by an
// engine that has reconnected.
//
// Use it to test that everything still happens without events, only later.
func (c *Control) DropEvents(drop bool) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	was := c.b.hub.deaf
	c.b.hub.deaf = drop
	if !was || drop {
		return
	}
	for _, feeds := range c.b.table.watchers {
		for _, f := range feeds {
			f.send(f.gap)
		}
	}
	for _, k := range c.b.table.keys {
		for _, f := range k.observers {
			f.send(f.gap)
		}
	}
}

// lose forgets the claims of a key. Its observers are not part of the server's data.
func (t *table) lose(k *key) {
	clear(k.claims)
	k.seats, k.queue, k.used = nil, nil, 0
	for _, f := range k.observers {
		f.send(gap)
	}
	t.sweep(k)
}
