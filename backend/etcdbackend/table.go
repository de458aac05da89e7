package etcdbackend

import (
	"strconv"
	"sync"
	"time"

	"github.com/concord-go/concord/lease"
)

type state uint8

const (
	absent  state = iota // not known to be on the server
	waiting              // there, and not granted as far as is known
	granted              // there, and granted; this never turns back
	ended                // was there, and was deleted or lost its lease
)

// claim is what this backend object knows about one of its attempts. The table's mutex guards it.
type claim struct {
	attempt lease.Attempt
	key     string
	line    string // beginning of the names of the key
	slot    string // names the claim in the line
	number  int    // of the slot
	alone   bool
	owner   string
	weight  int64
	limit   int64

	state state
	name  string
	rev   int64 // create revision: the token
	mod   int64 // of the last write we know of
	seq   uint64
	life  *lifeline // what it is on
	other *lifeline // what it may be on instead: a move was sent and not answered
	told  time.Time // from when on it lives, as its owner knows
	trust time.Time // up to when its owner may believe in it
	asked *word     // the holder was asked to leave
	until time.Time // when the grace of that is over

	at    int64 // revision at which the claim was last read
	ahead ahead // before it in the line, as far as is known; while waiting
	local int64 // last revision at which this object deleted another claim of the key

	asking    int        // requests that will tell about the claim
	unsure    bool       // one of them was not answered
	releasing bool       // its end is our own doing
	seen      []deletion // while asking: what was deleted from the line meanwhile
}

// deletion is an event of the watch.
type deletion struct {
	name string
	rev  int64
}

// table is all claims of a backend object, and what the watch has told about them.
type table struct {
	b *Backend

	mu     sync.Mutex
	claims map[lease.Attempt]*claim
	lines  map[string]*line
	era    int   // counts slots that must not be used again
	base   int64 // every deletion later than this revision is told of by the watch
	seen   int64 // and all up to this one have been
}

// line is the claims of this object on one key, and the numbers of slots that were used by others
// before them. All those that are not in use are free: a claim that may still have a request under
// way begins a new era, in which no slot has the name of an earlier one.
type line struct {
	claims map[*claim]struct{}
	free   []int
	next   int
}

func newTable(b *Backend) *table {
	return &table{b: b, claims: map[lease.Attempt]*claim{}, lines: map[string]*line{}}
}

// enter registers an attempt before anything is sent for it: an event can overtake the answer.
func (t *table) enter(w *lease.Claim, name string) *claim {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.claims[w.Attempt]
	if c == nil {
		c = &claim{attempt: w.Attempt, key: w.Key, line: name, alone: w.Alone, owner: w.Owner, weight: w.Weight, limit: w.Limit}
		t.claims[w.Attempt] = c
		l := t.lines[name]
		if l == nil {
			l = &line{claims: map[*claim]struct{}{}}
			t.lines[name] = l
		}
		l.claims[c] = struct{}{}
		if last := len(l.free) - 1; last >= 0 {
			c.number, l.free = l.free[last], l.free[:last]
		} else {
			c.number, l.next = l.next, l.next+1
		}
		c.slot = t.b.id + "." + strconv.FormatInt(int64(t.era), 36) + "." + strconv.FormatInt(int64(c.number), 36)
	}
	c.asking++
	return c
}

// find returns what is known about an attempt on a key, or nil.
func (t *table) find(a lease.Attempt, line string) *claim {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.claims[a]; c != nil && c.line == line {
		return c
	}
	return nil
}

// leave ends a request that was begun with enter or ask. What has left nothing is forgotten.
func (t *table) leave(c *claim, answered bool) {
	t.mu.Lock()
	c.asking--
	c.unsure = c.unsure || !answered
	if c.asking == 0 {
		c.seen = nil
	}
	forget := c.asking == 0 && c.state == absent && !c.unsure
	t.mu.Unlock()
	if forget {
		t.remove(c)
	}
}

// remove forgets a claim.
func (t *table) remove(c *claim) {
	t.mu.Lock()
	if t.claims[c.attempt] == c {
		delete(t.claims, c.attempt)
	}
	if l := t.lines[c.line]; l != nil {
		if _, in := l.claims[c]; in {
			delete(l.claims, c)
			l.free = append(l.free, c.number)
			if c.unsure || c.asking > 0 {
				t.era++
			}
		}
		if len(l.claims) == 0 {
			delete(t.lines, c.line)
		}
	}
	life, other := c.life, c.other
	c.life, c.other, c.state = nil, nil, ended
	t.mu.Unlock()
	t.b.lives.drop(life, c.alone)
	t.b.lives.drop(other, c.alone)
}

// settle puts a claim on a lifeline that was taken for it, for good.
func (t *table) settle(c *claim, l *lifeline) {
	t.mu.Lock()
	old, other := c.life, c.other
	c.life, c.other = l, nil
	t.mu.Unlock()
	t.b.lives.drop(old, c.alone)
	if other != l {
		t.b.lives.drop(other, c.alone)
	}
}

// offer gives a claim that has no live lifeline the one that was taken for it, and returns what it
// has then: somebody may have been faster.
func (t *table) offer(c *claim, l *lifeline) *lifeline {
	t.mu.Lock()
	old := c.life
	if c.lives() > 0 {
		t.mu.Unlock()
		t.b.lives.drop(l, c.alone)
		return old
	}
	c.life = l
	t.mu.Unlock()
	t.b.lives.drop(old, c.alone)
	return l
}

// reading is what a request has told about a claim.
type reading struct {
	rev   int64 // at which it was executed
	own   member
	found bool
	mod   int64
	list  []member // the beginning of the line; nil if it was not read
	total int
}

// update runs f with the table locked, and then delivers what f has to tell.
func (t *table) update(f func(out *outbox)) {
	var out outbox
	t.mu.Lock()
	f(&out)
	t.mu.Unlock()
	t.b.hub.deliver(out)
}

// apply takes a reading, then the deletions that the watch has told of since. Readings of one
// claim may come out of order.
func (t *table) apply(c *claim, r reading) {
	t.update(func(out *outbox) {
		switch {
		case !r.found:
			if c.there() && r.rev >= c.rev {
				t.end(c, out)
			}
			return
		case r.own.rev < c.rev: // speaks of the time before
			return
		case r.own.rev > c.rev:
			c.name, c.rev, c.mod, c.state, c.at = r.own.name, r.own.rev, r.mod, waiting, 0
			c.weight, c.limit, c.asked = r.own.weight, r.own.limit, nil
			c.ahead = ahead{beyond: 1} // until the line was read
		case !c.there():
			return
		}
		c.mod = max(c.mod, r.mod)
		if r.rev >= c.at && (c.state == granted || r.list != nil) {
			c.at = r.rev
			if c.state == waiting {
				c.ahead = aheadOf(r.list, c.rev, r.total)
				c.seat()
			}
		}
		for _, d := range c.seen {
			t.strike(c, d, out)
		}
	})
}

// there says that the claim is on the server as far as is known.
func (c *claim) there() bool { return c.state == waiting || c.state == granted }

// lives is how long the lease of the claim is certain to live on, whichever it is on.
func (c *claim) lives() time.Duration {
	if c.life == nil {
		return 0
	}
	now := time.Now()
	left := c.life.left(now)
	if c.other != nil {
		left = min(left, c.other.left(now))
	}
	return left
}

// seat grants a waiting claim if it is its turn.
func (c *claim) seat() bool {
	if c.state != waiting || !c.ahead.grants(c.weight, c.limit) || c.lives() == 0 {
		return false
	}
	c.state = granted
	return true
}

// deleted takes an event of the watch.
func (t *table) deleted(d deletion) {
	line, _ := cut(d.name)
	t.update(func(out *outbox) {
		if l := t.lines[line]; l != nil {
			for c := range l.claims {
				if c.asking > 0 {
					c.seen = append(c.seen, d)
				}
				t.strike(c, d, out)
			}
		}
	})
}

// strike takes a deletion into account. A claim that it frees the way for is granted without
// asking: had the claim itself been deleted before, the same watch would have told so first. That
// holds as long as the watch is without a gap since the claim was read.
func (t *table) strike(c *claim, d deletion, out *outbox) {
	switch {
	case !c.there():
	case d.name == c.name:
		if d.rev > c.rev {
			t.end(c, out)
		}
	case c.state == waiting && d.rev > c.at:
		c.ahead.gone(d.name)
		if c.at >= t.base && c.seat() {
			out.tell(c, lease.Event{Kind: lease.EventGranted, Token: uint64(c.rev), Until: c.promise(c.lives())})
		} else if c.ahead.blind() {
			out.tell(c, lease.Event{Kind: lease.EventCheck})
		}
	}
}

// end notes that a claim is no longer there.
func (t *table) end(c *claim, out *outbox) {
	held := c.state == granted
	c.state = ended
	switch {
	case c.releasing:
	case held:
		t.b.explain(c.attempt, c.line, c.slot, uint64(c.rev))
	default:
		out.tell(c, lease.Event{Kind: lease.EventCheck})
	}
}

// lapsed ends all claims on a lifeline that is over.
func (t *table) lapsed(l *lifeline) {
	t.update(func(out *outbox) {
		for _, c := range t.claims {
			if (c.life == l || c.other == l) && c.there() {
				c.state = ended
				out.tell(c, lease.Event{Kind: lease.EventCheck})
			}
		}
	})
}

// ask takes a word to a holder. The grace counts from when it was heard of.
func (t *table) ask(line, slot string, w word) {
	t.update(func(out *outbox) {
		c := t.inSlot(line, slot)
		if c == nil || w.forced || w.token != uint64(c.rev) || c.asked != nil && *c.asked == w {
			return
		}
		c.asked, c.until = &w, time.Now().Add(w.grace)
		if c.state == granted {
			out.tell(c, lease.Event{Kind: lease.EventAsked, Token: w.token, Ask: *c.wish()})
		}
	})
}

func (t *table) inSlot(line, slot string) *claim {
	if l := t.lines[line]; l != nil {
		for c := range l.claims {
			if c.slot == slot {
				return c
			}
		}
	}
	return nil
}

// wish is what the holder was asked, or nil.
func (c *claim) wish() *lease.Ask {
	if c.asked == nil {
		return nil
	}
	return &lease.Ask{Reason: c.asked.reason, Grace: max(0, time.Until(c.until))}
}

// freed notes that this object has deleted a claim itself. Until the watch has told of it, what
// is known of the others in the line is out of date.
func (t *table) freed(line string, rev int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lines[line]
	if l == nil {
		return
	}
	for c := range l.claims {
		c.local = max(c.local, rev)
	}
}

// caughtUp notes how far the watch has got.
func (t *table) caughtUp(rev int64) {
	t.mu.Lock()
	t.seen = max(t.seen, rev)
	t.mu.Unlock()
}

// gap notes that deletions up to rev may have been missed, and has every claim checked.
func (t *table) gap(rev int64) {
	t.update(func(out *outbox) {
		t.base, t.seen = rev, rev
		for _, c := range t.claims {
			if c.there() {
				out.tell(c, lease.Event{Kind: lease.EventCheck})
			}
		}
	})
}
