package memorybackend

import (
	"cmp"
	"slices"
	"time"

	"github.com/concord-go/concord/lease"
)

const (
	listed   = 100 // parties of each kind that Inspect shows
	pageSize = 500 // parties in a part of Seats
)

// acquire seats the claim, or lets it wait, or says why not.
func (t *table) acquire(wish lease.Claim, now time.Time) lease.Answer {
	k := t.open(wish.Key)
	defer t.sweep(k)
	if a, known := t.look(k, wish, now); known {
		return a
	}
	if !k.free(wish.Weight) {
		if !wish.Queue {
			return k.held(now)
		}
		if len(k.queue) >= lease.MaxQueue {
			t.dropTail(k, now)
		}
		if len(k.queue) >= lease.MaxQueue {
			return lease.Answer{Status: lease.Full}
		}
	}
	c := t.enqueue(k, wish, now)
	t.advance(k, now) // a higher priority may fit at once
	c.asking = false
	return t.answer(k, c, now)
}

// look answers for a claim that cannot be a new one: its attempt is gone, its limit is not the
// key's, or it is there already. In any other case the key is left open and up to date.
func (t *table) look(k *key, wish lease.Claim, now time.Time) (a lease.Answer, known bool) {
	if t.buried(wish.Attempt, now) {
		return lease.Answer{Status: lease.Gone}, true
	}
	c := k.claims[wish.Attempt]
	if c != nil && c.valid(now) {
		return t.answer(k, c, now), true // unchanged, whatever became of the limit: a request sent twice is one request
	}
	if wish.Limit != k.limit && wish.LimitEpoch <= k.epoch {
		t.advance(k, now) // the claims that stand against it may have ended
	}
	switch {
	case len(k.claims) == 0 || wish.LimitEpoch > k.epoch:
		k.limit, k.epoch = wish.Limit, wish.LimitEpoch
	case wish.Limit != k.limit:
		return lease.Answer{Status: lease.Conflict, Limit: k.limit}, true
	}

	if c = k.claims[wish.Attempt]; c != nil && !c.seated {
		c.TTL, c.asking = wish.TTL, true
		defer func() { c.asking = false }()
		t.prolong(k, c, now.Add(c.TTL))
	}
	t.advance(k, now)
	switch c := k.claims[wish.Attempt]; {
	case c == nil:
		return lease.Answer{}, false
	case c.seated && !c.valid(now): // its own seat is in the way until the lock-delay is over
		return lease.Answer{Status: lease.Held, Holder: c.party(now)}, true
	default:
		return t.answer(k, c, now), true
	}
}

// acquireAll goes through the keys in their one order and stops at the first that is not granted.
// Without Queue it first makes sure that none of them is refused.
func (t *table) acquireAll(wishes []lease.Claim, now time.Time) []lease.Answer {
	answers := make([]lease.Answer, len(wishes))
	inOrder := make([]int, len(wishes))
	for i := range wishes {
		inOrder[i] = i
	}
	slices.SortFunc(inOrder, func(i, j int) int { return cmp.Compare(wishes[i].Key, wishes[j].Key) })

	if !wishes[0].Queue {
		for _, i := range inOrder {
			if a, ok := t.try(wishes[i], now); !ok {
				answers[i] = a
				return answers
			}
		}
	}
	for _, i := range inOrder {
		answers[i] = t.acquire(wishes[i], now)
		if answers[i].Status != lease.Granted {
			break
		}
	}
	return answers
}

// try reports whether acquire would seat the claim, without doing so, and why not.
func (t *table) try(wish lease.Claim, now time.Time) (a lease.Answer, ok bool) {
	k := t.open(wish.Key)
	defer t.sweep(k)
	a, known := t.look(k, wish, now)
	if !known && !k.free(wish.Weight) {
		return k.held(now), false
	}
	return a, !known || a.Status == lease.Granted
}

// renew gives every item its new life before anything is granted: granting after the first item
// could take the place of the second for dead.
func (t *table) renew(items []lease.Renewal, answers []lease.Answer, now time.Time) {
	advance := make([]bool, len(items))
	for i := range items {
		if answers[i].Err == nil {
			advance[i] = t.refresh(&items[i], now)
		}
	}
	for i, r := range items {
		if k := t.keys[r.Key]; k != nil && advance[i] {
			t.advance(k, now)
		}
	}
	for i, r := range items {
		k := t.keys[r.Key]
		if k == nil || answers[i].Err != nil {
			continue
		}
		c := k.claims[r.Attempt]
		answers[i] = t.answer(k, c, now)
		if c != nil {
			c.asking = false
		}
	}
	for _, r := range items {
		if k := t.keys[r.Key]; k != nil {
			t.sweep(k)
		}
	}
}

// refresh applies one renewal and reports whether something may be due on its key afterwards.
func (t *table) refresh(r *lease.Renewal, now time.Time) bool {
	k := t.keys[r.Key]
	if k == nil {
		return false
	}
	c := k.claims[r.Attempt]
	if c == nil || c.seated && !c.valid(now) {
		return r.Waiting
	}
	t.prolong(k, c, now.Add(r.TTL))
	if !c.seated {
		c.TTL, c.asking = r.TTL, r.Waiting
	}
	if r.MetaSeq > c.metaSeq {
		c.metaSeq, c.Meta = r.MetaSeq, slices.Clone(r.Meta)
		if c.seated {
			t.announce(k, c, lease.ChangeMeta)
		}
	}
	if c.seated && r.Weight > 0 && r.Weight < c.Weight {
		k.used -= c.Weight - r.Weight
		c.Weight = r.Weight
		return true
	}
	return r.Waiting
}

// release ends the claim and grants to whoever is next. A seat that has lapsed is left to its
// lock-delay: a late release must not cut that short.
func (t *table) release(r lease.Release, now time.Time) (was lease.Released) {
	if r.Uncertain {
		t.bury(r.Attempt)
	}
	k := t.keys[r.Key]
	if k == nil {
		return lease.WasNothing
	}
	switch c := k.claims[r.Attempt]; {
	case c == nil:
		was = lease.WasNothing
	case !c.seated:
		was = lease.WasWaiting
		t.drop(k, c)
	case !c.valid(now):
		was = lease.WasLapsed
	default:
		was = lease.WasHeld
		k.expire(c, now, !r.Unclean)
		k.lead(r.To, now)
	}
	t.advance(k, now)
	t.sweep(k)
	return was
}

// revoke ends the seat with that token or asks its holder to leave. Token 0 means all seats.
func (t *table) revoke(r lease.Revocation, now time.Time) (found bool) {
	k := t.keys[r.Key]
	if k == nil {
		return false
	}
	for _, c := range slices.Clone(k.seats) {
		if !c.valid(now) || r.Token != 0 && c.token != r.Token {
			continue
		}
		found = true
		e := lease.Event{Kind: lease.EventAsked, Token: c.token, Ask: lease.Ask{Reason: r.Reason, Grace: r.Grace}}
		if r.Force {
			e.Kind, e.Ask.Grace = lease.EventRevoked, 0
			k.expire(c, now, false)
		} else {
			c.asked = &ask{r.Reason, now.Add(r.Grace)}
		}
		t.tell(k, c, e)
	}
	t.advance(k, now)
	t.sweep(k)
	return found
}

// inspect lists who is seated, by token, and who waits, in order.
func (t *table) inspect(name string, now time.Time) (s lease.State) {
	k := t.keys[name]
	if k == nil || len(k.claims) == 0 {
		return s
	}
	s.Limit, s.Waiting = k.limit, len(k.queue)
	s.Holders = t.seated(name, 0, now)
	s.Holders = s.Holders[:min(len(s.Holders), listed)]
	for _, c := range k.queue {
		if !c.dead(now) && len(s.Waiters) < listed {
			s.Waiters = append(s.Waiters, c.party(now))
		}
	}
	return s
}

// seated lists a part of the valid seats, by token, of those whose token is larger than after.
func (t *table) seated(name string, after uint64, now time.Time) (list []lease.Party) {
	k := t.keys[name]
	if k == nil {
		return nil
	}
	byToken := slices.SortedFunc(slices.Values(k.seats), func(a, b *claim) int { return cmp.Compare(a.token, b.token) })
	for _, c := range byToken {
		if c.token > after && c.valid(now) && len(list) < pageSize {
			list = append(list, c.party(now))
		}
	}
	return list
}

// answer says what is true of a claim now.
func (t *table) answer(k *key, c *claim, now time.Time) lease.Answer {
	switch {
	case c == nil || c.seated && !c.valid(now):
		return lease.Answer{Status: lease.Unknown}
	case c.seated:
		a := lease.Answer{Status: lease.Granted, Token: c.token, Left: c.end.Sub(now)}
		if c.asked != nil {
			a.Asked = &lease.Ask{Reason: c.asked.reason, Grace: max(0, c.asked.until.Sub(now))}
		}
		return a
	default:
		a := lease.Answer{Status: lease.Queued, Rank: k.rank(c.order), Pushed: !t.hub.deaf}
		if len(k.seats) > 0 {
			a.Next = max(0, k.seats[0].ends().Sub(now))
		}
		return a
	}
}

// held is the answer to a claim that does not fit: it names the seat that ends first, or the head
// of the queue when a shrunken limit keeps everybody out.
func (k *key) held(now time.Time) lease.Answer {
	inTheWay := k.queue
	if len(k.seats) > 0 {
		inTheWay = k.seats
	}
	return lease.Answer{Status: lease.Held, Holder: inTheWay[0].party(now)}
}

// party is the claim as others see it.
func (c *claim) party(now time.Time) lease.Party {
	return lease.Party{
		Attempt:  c.Attempt,
		Owner:    c.Owner,
		Meta:     slices.Clone(c.Meta),
		Token:    c.token,
		Weight:   c.Weight,
		Priority: c.Priority,
		Left:     max(0, c.end.Sub(now)),
		Asked:    c.asked != nil,
	}
}
