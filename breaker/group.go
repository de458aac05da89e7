package breaker

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultMaxKeys is how many breakers a [Group] has at most that does not say.
const DefaultMaxKeys = 1000

const (
	maxKeys = 1_000_000
	minIdle = time.Minute

	// searched bounds the work of one call that finds the group full.
	searched = 16
)

// GroupOptions configure a [Group]. nil means all defaults. NewGroup copies them.
type GroupOptions struct {
	// Breaker are the options of each breaker. Voter must be nil: it belongs to one. Engine, if it is set,
	// must not call the Group.
	Breaker *Options

	// MaxKeys is how many breakers there are at most: 1 to 1 000 000, default [DefaultMaxKeys].
	MaxKeys int

	// Idle is how long a breaker must not have been asked for before it may give its place to another:
	// 1 ms to 24 h. The default is the longest of 1 min, Window and MaxOpenFor, after which one that is closed
	// has nothing to remember.
	Idle time.Duration

	_ struct{}
}

// Group has a breaker for each key, such as a host, a shard or a zone, so that the failure of one does
// not stop the calls to all. Its methods may be called by several goroutines. The zero Group is not
// usable; make one with [NewGroup]. It needs no closing.
//
// It is bounded. When it is full, a new key gets the place of a breaker that is idle and closed, and in
// the mode that it began in; one that is open, or that an operator has set, is never forgotten. If no
// such place is found the calls for the new key are let through without a breaker, by one that is
// ForcedClosed for good: a full table is no reason to fail calls. Hooks.Untracked tells of it.
type Group[K comparable] struct {
	name      string
	opt       Options
	maxKeys   int
	idle      int64
	epoch     time.Time
	untracked *Breaker // forced closed

	mu     sync.RWMutex // guards what follows
	places map[K]*place[K]
	ring   []*place[K] // in the order in which a search for a place visits them
	hand   int
	full   bool // Untracked was told
}

// place is a breaker and when it was asked for last.
type place[K comparable] struct {
	key     K
	breaker *Breaker
	used    atomic.Int64
}

// NewGroup returns a Group without breakers. name is that of all of them: 1 to 256 bytes. Options that
// are out of bounds are reported all at once, each as an [*InvalidError].
func NewGroup[K comparable](name string, o *GroupOptions) (*Group[K], error) {
	var opt GroupOptions
	if o != nil {
		opt = *o
	}
	var p problems
	p.check(len(name) >= 1 && len(name) <= MaxName, "name", "must have 1 to %d bytes", MaxName)
	each := opt.Breaker.withDefaults(&p)
	p.check(opt.Breaker == nil || opt.Breaker.Voter == nil, "Voter", "must be nil in a Group")
	orElse(&opt.MaxKeys, DefaultMaxKeys)
	orElse(&opt.Idle, max(minIdle, each.Window, each.MaxOpenFor))
	p.check(opt.MaxKeys >= 1 && opt.MaxKeys <= maxKeys, "MaxKeys", "must be 1 to %d", maxKeys)
	p.check(inTime(opt.Idle), "Idle", "must be %v to %v", minTime, maxTime)
	if err := p.err("new group"); err != nil {
		return nil, err
	}
	g := &Group[K]{
		name: name, opt: each, maxKeys: opt.MaxKeys, idle: int64(opt.Idle), epoch: time.Now(),
		places: make(map[K]*place[K]),
	}
	var err error
	if g.untracked, err = newBreaker(name, "", each); err != nil {
		return nil, fmt.Errorf("breaker: new group: %w", err)
	}
	g.untracked.mode.Store(uint32(ForcedClosed))
	g.untracked.fixed = true
	return g, nil
}

// Get returns the breaker of key, and makes it if there is none. Ask for it at each call and do not keep
// it: one that is not asked for may be forgotten.
func (g *Group[K]) Get(key K) *Breaker {
	now := int64(time.Since(g.epoch))
	g.mu.RLock()
	p := g.places[key]
	if p != nil {
		p.used.Store(now) // under the lock, so that it is not given away in between
	}
	g.mu.RUnlock()
	if p != nil {
		return p.breaker
	}
	text := fmt.Sprint(key) // before the lock, since it may be a method of the program
	b, tell := g.put(key, text, now)
	if tell && g.opt.Hooks.Untracked != nil {
		g.opt.Hooks.Untracked(Info{Name: g.name, Key: text})
	}
	return b
}

// Len returns how many breakers there are.
func (g *Group[K]) Len() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.ring)
}

// put makes a breaker for key, if there is a place. tell says that there is none, and was until now.
func (g *Group[K]) put(key K, text string, now int64) (b *Breaker, tell bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.places[key]; p != nil {
		p.used.Store(now)
		return p.breaker, false
	}
	at := len(g.ring)
	if !sameAsItself(key) {
		at = -1
	} else if at == g.maxKeys {
		at = g.search(now)
	}
	if at >= 0 {
		if b, err := newBreaker(g.name, text, g.opt); err == nil {
			g.take(at, &place[K]{key: key, breaker: b}, now)
			return b, false
		}
	}
	tell = !g.full
	g.full = true
	return g.untracked, tell
}

// sameAsItself is false for a number that is none: it would never be found again.
func sameAsItself[K comparable](key K) bool {
	again := key
	return key == again
}

// search returns the place of a breaker that may be forgotten, or -1. It goes on where the last one
// ended, so that each place has its turn.
func (g *Group[K]) search(now int64) int {
	for range min(searched, len(g.ring)) {
		i := g.hand
		g.hand = (g.hand + 1) % len(g.ring)
		if g.forgettable(g.ring[i], now) {
			return i
		}
	}
	return -1
}

func (g *Group[K]) forgettable(p *place[K], now int64) bool {
	began := Automatic
	if g.opt.ObserveOnly {
		began = ObserveOnly
	}
	return now-p.used.Load() >= g.idle && p.breaker.State() == Closed && p.breaker.Mode() == began
}

func (g *Group[K]) take(at int, p *place[K], now int64) {
	p.used.Store(now)
	if at == len(g.ring) {
		g.ring = append(g.ring, p)
	} else {
		delete(g.places, g.ring[at].key)
		g.ring[at] = p
	}
	g.places[p.key] = p
	g.full = false
}
