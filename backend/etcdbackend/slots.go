package etcdbackend

import (
	"strconv"

	"github.com/concord-go/concord/lease"
)

// line is the claims of this object on one key, and the numbers of slots that were used by others
// before them. All those that are not in use are free: a claim that may still have a request under
// way begins a new era, in which no slot has the name of an earlier one.
type line struct {
	claims map[*claim]struct{}
	free   []int
	next   int
}

// enter registers an attempt before anything is sent for it: an event can overtake the answer.
func (t *table) enter(w *lease.Claim, name string) *claim {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.claims[w.Attempt]
	if c == nil {
		c = &claim{
			attempt: w.Attempt, key: w.Key, line: name, alone: w.Alone, announce: w.Announce, priority: w.Priority, owner: w.Owner,
			whole: w.Weight, weight: w.Weight, limit: w.Limit, epoch: w.LimitEpoch, delay: wholeSeconds(w.Delay),
		}
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
		c.seat = seatOf(name, c.slot, c.epoch, c.limit)
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
