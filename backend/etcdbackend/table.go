package etcdbackend

import (
	"sync"
	"time"

	"github.com/concord-go/concord/lease"
)

// deletion is an event of the watch: a member of a line has gone, or a bell has rung.
type deletion struct {
	member
	bell bool
	rev  int64 // when
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

func newTable(b *Backend) *table {
	return &table{b: b, claims: map[lease.Attempt]*claim{}, lines: map[string]*line{}}
}

// reading is what a request has told about a claim.
type reading struct {
	rev   int64 // at which it was executed
	own   member
	found bool
	mod   int64
	line  *view // what stands before the claim; nil if it was not read
	seats int64 // when a seat key was last made, if that was asked; -1 = it was not
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
			c.weight, c.asked, c.admitted, c.worked, c.passed = r.own.weight, nil, false, false, false
			c.ahead = ahead{doubt: true} // until the line was read
		case !c.there():
			return
		}
		c.mod, c.chair = max(c.mod, r.mod), max(c.chair, r.own.seat)
		c.passed = c.passed || r.seats > c.rev
		if r.rev >= c.at && (c.state == granted || r.line != nil) {
			c.at = r.rev
			if c.state == waiting {
				own := c.itself()
				c.mixed = c.mixed || r.line.mixed(&own)
				c.ahead = aheadOf(r.line, &own)
				c.passed = c.passed || c.ahead.chair.rev > c.rev
				c.fresh = r.rev == c.rev
				if c.ready() && !c.shared() && r.seats < 0 && !c.fresh {
					c.ahead.doubt = true // somebody who came later may have been seated
				}
				c.sit()
				c.fresh = false
			}
		}
		c.given()
		for _, d := range c.seen {
			t.strike(c, d, out)
		}
	})
}

// deleted takes an event of the watch.
func (t *table) deleted(name string, rev int64) {
	line, text := cut(name)
	var doubtful []*claim
	t.update(func(out *outbox) {
		l := t.lines[line]
		if l == nil {
			return
		}
		d := deletion{bell: isBell(text), rev: rev}
		if !d.bell {
			var ok bool
			if d.member, ok = parseMember(name, 0); !ok {
				return
			}
		}
		for c := range l.claims {
			if c.asking > 0 {
				c.seen = append(c.seen, d)
			}
			before := c.ahead.doubt
			t.strike(c, d, out)
			if c.state == waiting && c.ahead.doubt && !before {
				doubtful = append(doubtful, c)
			}
		}
	})
	if len(doubtful) > 0 {
		t.b.readAgain(doubtful)
	}
}

// strike takes a deletion into account. A claim that it frees the way for is granted without
// asking: had the claim itself been deleted before, the same watch would have told so first. That
// holds as long as the watch is without a gap since the claim was read.
func (t *table) strike(c *claim, d deletion, out *outbox) {
	switch {
	case !c.there():
	case d.name == c.name && !d.bell:
		if d.rev > c.rev {
			t.end(c, out)
		}
	case c.state == granted && d.bell:
		c.ahead.sorted = true // there may be somebody to hand the seat to
	case c.state == waiting && d.rev > c.at:
		c.passed = c.passed || d.chair                               // and the seat may have been handed past it
		if d.bell || d.epoch > c.epoch && d.epoch >= c.ahead.epoch { // the limit may be another one now
			c.ahead.doubt, c.mixed = true, true
		}
		c.ahead.gone(&d.member)
		if c.due() {
			c.ahead.doubt = true
		}
		if c.at >= t.base && c.sit() {
			out.tell(c, c.grant())
		} else if c.ahead.blind(c.weight) && !c.ahead.doubt {
			out.tell(c, checkNow)
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
		t.b.explain(c.attempt, c.line, c.slot, c.token())
	default:
		out.tell(c, checkNow)
	}
}

// lapsed ends all claims on a lifeline that is over.
func (t *table) lapsed(l *lifeline) {
	t.update(func(out *outbox) {
		for _, c := range t.claims {
			if (c.life == l || c.other == l) && c.there() {
				c.state = ended
				out.tell(c, checkNow)
			}
		}
	})
}

// give takes a word to a claim that the seat was handed to it at a revision. It is about whoever was
// in the slot then.
func (t *table) give(line, slot string, rev int64) {
	t.update(func(out *outbox) {
		c := t.inSlot(line, slot)
		if c == nil {
			return
		}
		c.chair = max(c.chair, rev)
		if c.given() {
			out.tell(c, c.grant())
		}
	})
}

// sort notes that there are priorities in a line. The bell tells so, too, but later.
func (t *table) sort(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.lines[line]; l != nil {
		for c := range l.claims {
			c.ahead.sorted = true
		}
	}
}

// ask takes a word to a holder. The grace counts from when it was heard of.
func (t *table) ask(line, slot string, w word) {
	t.update(func(out *outbox) {
		c := t.inSlot(line, slot)
		if c == nil || w.kind != toLeave || w.token != c.token() || c.asked != nil && *c.asked == w {
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

// gap notes that deletions up to rev may have been missed, and has every claim checked. After a long
// time away the notes of seat keys may have gone, too.
func (t *table) gap(rev int64, away time.Duration) {
	t.update(func(out *outbox) {
		t.base, t.seen = rev, rev
		for _, c := range t.claims {
			c.passed = c.passed || c.state == waiting && away > graveTTL/4
			if c.there() {
				out.tell(c, checkNow)
			}
		}
	})
}
