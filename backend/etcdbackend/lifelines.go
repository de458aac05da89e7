package etcdbackend

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// classes are the TTLs of shared leases in seconds. A claim gets the class at or above its wish.
var classes = [...]int64{2, 3, 5, 8, 13, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600,
	2 * 3600, 4 * 3600, 8 * 3600, 12 * 3600, 24 * 3600}

const (
	minTTL = 2 * time.Second // what etcd grants at the least, with its default election timeout

	maxAttempt = 500 * time.Millisecond // one try to renew a lease

	// Tombstones lie on a lease that is never renewed. A new one is taken after half of its TTL,
	// so each tombstone stays for one to two minutes.
	graveTTL = 2 * time.Minute

	// idleFor is how long a shared lease is renewed that no claim is on, unless it is retired.
	idleFor = 5 * time.Minute
)

// classOf returns the TTL in seconds of the shared lease for a wish.
func classOf(ttl time.Duration) int64 {
	for _, s := range classes {
		if time.Duration(s)*time.Second >= ttl {
			return s
		}
	}
	return classes[len(classes)-1]
}

// ceilSeconds rounds a wish up to what a lease of its own is asked for.
func ceilSeconds(ttl time.Duration) int64 { return wholeSeconds(max(ttl, minTTL)) }

func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// lifelines are the etcd leases of a backend object: one for each class of TTL, kept alive by one
// request each third of the TTL however many claims are on it, and one for each claim that is
// Alone.
type lifelines struct {
	b *Backend

	mu     sync.Mutex
	shared map[span]*class
	byID   map[clientv3.LeaseID]*lifeline
	grave  *lifeline
}

// span is what claims must have in common to share a lease, in seconds.
type span struct{ ttl, delay int64 }

type class struct {
	turn chan struct{} // held by who asks for a lease
	line *lifeline     // guarded by lifelines.mu
}

func newLifelines(b *Backend) *lifelines {
	return &lifelines{b: b, shared: map[span]*class{}, byID: map[clientv3.LeaseID]*lifeline{}}
}

// find returns a live lifeline of this object by the id that a claim is on.
func (s *lifelines) find(id clientv3.LeaseID) *lifeline {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.byID[id]
	if l == nil || l.left(time.Now()) == 0 {
		return nil
	}
	return l
}

// take returns a live lifeline for a claim and counts the claim as its user, until drop.
func (s *lifelines) take(ctx context.Context, ttl time.Duration, delay int64, alone bool) (*lifeline, error) {
	if alone {
		return s.grant(ctx, span{ceilSeconds(ttl), delay}, 1)
	}
	wanted := span{classOf(ttl), delay}
	s.mu.Lock()
	c := s.shared[wanted]
	if c == nil {
		c = &class{turn: make(chan struct{}, 1)}
		s.shared[wanted] = c
	}
	s.mu.Unlock()
	if l := s.join(c); l != nil {
		return l, nil
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.turn }()
	if l := s.join(c); l != nil { // somebody was faster
		return l, nil
	}
	l, err := s.grant(ctx, wanted, 1)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	c.line = l
	s.mu.Unlock()
	if !s.b.work.start(func(ctx context.Context) { s.keep(ctx, c, l) }) {
		return nil, lease.ErrClosed
	}
	return l, nil
}

// join returns the lifeline of a class if it lives.
func (s *lifelines) join(c *class) *lifeline {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.line == nil || c.line.left(time.Now()) == 0 {
		return nil
	}
	c.line.users++
	return c.line
}

// grant makes a lifeline. That of the shades comes first here and in renewals: it is then never
// nearer to its end than the delay behind what the holder believes.
func (s *lifelines) grant(ctx context.Context, wanted span, users int) (*lifeline, error) {
	t0 := time.Now()
	var shade clientv3.LeaseID
	if wanted.delay > 0 {
		r, err := s.b.client.Grant(ctx, wanted.ttl+wanted.delay)
		if err != nil {
			return nil, err
		}
		shade = r.ID
	}
	r, err := s.b.client.Grant(ctx, wanted.ttl)
	if err != nil {
		return nil, err
	}
	l := &lifeline{id: r.ID, shade: shade, ttl: time.Duration(r.TTL) * time.Second, t0: t0, users: users}
	s.mu.Lock()
	s.byID[l.id] = l
	s.mu.Unlock()
	return l, nil
}

// use counts one more claim on a lifeline.
func (s *lifelines) use(l *lifeline) {
	s.mu.Lock()
	l.users++
	s.mu.Unlock()
}

// retire has a lifeline end when its users have moved to another one, or have gone.
func (s *lifelines) retire(l *lifeline) {
	if l == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.retired = true
	for _, c := range s.shared {
		if c.line == l {
			c.line = nil
		}
	}
}

func (s *lifelines) isRetired(l *lifeline) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.retired
}

// drop ends one use. A lease of its own that nobody uses any more is revoked in the background;
// should that fail it lapses by itself.
func (s *lifelines) drop(l *lifeline, alone bool) {
	if l == nil {
		return
	}
	s.mu.Lock()
	l.users--
	unused := l.users == 0 && alone
	if unused {
		delete(s.byID, l.id)
	}
	s.mu.Unlock()
	if !unused {
		return
	}
	l.kill()
	s.b.work.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, maxAttempt)
		defer cancel()
		if _, err := s.b.client.Revoke(ctx, l.id); err != nil && !isLeaseGone(err) && ctx.Err() == nil {
			s.b.opt.Logger.Debug("etcdbackend: unused lease not revoked, it will lapse", "lease", l.id, "error", err)
		}
	})
}

// renew asks once for a new life and notes the answer.
func (s *lifelines) renew(ctx context.Context, l *lifeline) error {
	t0 := time.Now()
	var err error
	if l.shade != clientv3.NoLease {
		_, err = s.b.client.KeepAliveOnce(ctx, l.shade)
	}
	if err == nil {
		_, err = s.b.client.KeepAliveOnce(ctx, l.id)
	}
	switch {
	case isLeaseGone(err):
		s.end(l)
	case err == nil && !l.renewed(t0):
		s.end(l)
		return errUnsettled
	}
	return err
}

// keep renews a shared lifeline until it ends, is idle for long, or the backend closes.
func (s *lifelines) keep(ctx context.Context, c *class, l *lifeline) {
	attempt := min(max(l.ttl/6, 20*time.Millisecond), maxAttempt)
	again := min(l.ttl/12, 2*time.Second)
	timer := time.NewTimer(time.Until(l.due()))
	defer timer.Stop()
	var failure error
	used := time.Now()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		if l.left(now) == 0 {
			s.end(l)
			s.b.opt.Logger.Warn("etcdbackend: lease ended, the claims on it are lost", "ttl", l.ttl, "error", failure)
			return
		}
		s.mu.Lock()
		if l.users > 0 {
			used = now
		}
		idle := now.Sub(used) > idleFor || l.retired && l.users == 0
		if idle {
			delete(s.byID, l.id)
			if c.line == l {
				c.line = nil
			}
		}
		s.mu.Unlock()
		if idle {
			return
		}
		s.b.endNeglected(now)
		call, cancel := context.WithTimeout(ctx, attempt)
		err := s.renew(call, l)
		cancel()
		if err == nil {
			failure = nil
			timer.Reset(time.Until(l.due()))
			continue
		}
		if failure == nil && ctx.Err() == nil {
			s.b.opt.Logger.Warn("etcdbackend: lease not renewed, trying on", "ttl", l.ttl, "error", err)
		}
		failure = err
		l.failed(err)
		// Wake up for the end, too: it is the end of all claims on the lease.
		timer.Reset(min(again/2+rand.N(again/2), l.left(time.Now())))
	}
}

// end forgets a lifeline that is over and has the claims on it looked at.
func (s *lifelines) end(l *lifeline) {
	l.kill()
	s.mu.Lock()
	delete(s.byID, l.id)
	s.mu.Unlock()
	s.b.table.lapsed(l)
}

// burial returns the lease for a tombstone that is written now.
func (s *lifelines) burial(ctx context.Context) (clientv3.LeaseID, error) {
	s.mu.Lock()
	grave := s.grave
	s.mu.Unlock()
	if grave != nil && grave.left(time.Now()) > graveTTL/2 {
		return grave.id, nil
	}
	grave, err := s.grant(ctx, span{ttl: int64(graveTTL / time.Second)}, 0)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	delete(s.byID, grave.id)
	s.grave = grave
	s.mu.Unlock()
	return grave.id, nil
}

// exhume forgets the lease of tombstones because the server does not have it any more.
func (s *lifelines) exhume(id clientv3.LeaseID) {
	s.mu.Lock()
	if s.grave != nil && s.grave.id == id {
		s.grave = nil
	}
	s.mu.Unlock()
}
