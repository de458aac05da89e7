package memorybackend

import (
	"cmp"
	"slices"
	"time"

	"github.com/concord-go/concord/lease"
)

// tailScan is how many claims at the end of a full queue are looked at for dead ones.
const tailScan = 64

// order is the place of a claim in the queue: larger priority first, then smaller ticket.
type order struct {
	priority int
	ticket   int64
}

func (o order) compare(p order) int {
	return cmp.Or(cmp.Compare(p.priority, o.priority), cmp.Compare(o.ticket, p.ticket))
}

// rank returns how many waiting claims go before that order.
func (k *key) rank(o order) int {
	i, _ := slices.BinarySearchFunc(k.queue, o, func(c *claim, o order) int { return c.order.compare(o) })
	return i
}

// free reports whether a new claim of that weight would be granted at once.
func (k *key) free(weight int64) bool { return len(k.queue) == 0 && k.fits(weight) }

// fits reports whether the seats leave room for that weight.
func (k *key) fits(weight int64) bool { return k.limit == 0 || k.used+weight <= k.limit }

// enqueue adds a new waiting claim. It is asking until its verb is over.
func (t *table) enqueue(k *key, wish lease.Claim, now time.Time) *claim {
	k.ticket++
	c := &claim{Claim: wish, asking: true, order: order{wish.Priority, k.ticket}}
	c.Meta = slices.Clone(wish.Meta)
	k.claims[c.Attempt] = c
	k.queue = slices.Insert(k.queue, k.rank(c.order), c)
	t.prolong(k, c, now.Add(c.TTL))
	return c
}

// dequeue takes a claim out of the queue. The head, which is the usual case, moves nobody.
func (k *key) dequeue(c *claim) {
	if i := k.rank(c.order); i > 0 {
		k.queue = slices.Delete(k.queue, i, i+1)
	} else {
		k.queue[0] = nil
		k.queue = k.queue[1:]
	}
}

// lead moves a live waiting claim to the head of the queue.
func (k *key) lead(a lease.Attempt, now time.Time) {
	c := k.claims[a]
	if c == nil || c.seated || c.dead(now) {
		return
	}
	head := k.queue[0].order
	k.dequeue(c)
	c.order = order{head.priority, head.ticket - 1}
	k.queue = slices.Insert(k.queue, 0, c)
}

// advance brings the key up to date: it drops the seats that have ended, then grants from the head
// of the queue while the head fits. Dead claims are skipped, and so is one that is heavier than
// the limit has become. Nobody else overtakes a head that does not fit.
func (t *table) advance(k *key, now time.Time) {
	for c, ok := k.seats.first(now); ok; c, ok = k.seats.first(now) {
		t.drop(k, c)
	}
	for len(k.queue) > 0 {
		switch head := k.queue[0]; {
		case head.dead(now), k.limit > 0 && head.Weight > k.limit: // the limit has become smaller
			t.drop(k, head)
		case k.fits(head.Weight):
			t.seat(k, head, now)
		default:
			return
		}
	}
}

// seat grants a waiting claim. An owner that is asking gets the full TTL with its answer. Any other
// is told by an event and has the claim window to show that it is there.
func (t *table) seat(k *key, c *claim, now time.Time) {
	life := c.TTL
	if !c.asking && c.Window > 0 {
		life = min(c.Window, c.TTL)
	}
	k.dequeue(c)
	k.used += c.Weight
	c.seated, c.token, c.end = true, t.nextToken(now), now.Add(life)
	k.seats.add(c)
	t.prolong(k, c, c.end)
	t.announce(k, c, lease.ChangeSeated)
	if !c.asking {
		t.tell(k, c, lease.Event{Kind: lease.EventGranted, Token: c.token, Until: c.end})
	}
}

// drop forgets a claim, waiting or seated.
func (t *table) drop(k *key, c *claim) {
	delete(k.claims, c.Attempt)
	if !c.seated {
		k.dequeue(c)
		return
	}
	k.seats.remove(c)
	k.used -= c.Weight
	t.announce(k, c, lease.ChangeEnded)
}

// dropTail makes room in a full queue: behind a live head that does not fit, nobody else would
// notice the dead.
func (t *table) dropTail(k *key, now time.Time) {
	for _, c := range slices.Clone(k.queue[max(0, len(k.queue)-tailScan):]) {
		if c.dead(now) {
			t.drop(k, c)
		}
	}
}
