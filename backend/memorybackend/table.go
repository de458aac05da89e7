package memorybackend

import (
	"time"

	"github.com/concord-go/concord/lease"
)

// table is what a lease server keeps: the keys with their claims, the last token, and the
// attempts that must not come back. The backend's mutex guards it and everything it points to.
type table struct {
	hub      *hub
	keys     map[string]*key
	due      timeline[*key] // the keys that have claims
	counter  uint64         // the last token
	watchers map[watched][]*feed[lease.Event]

	gone   map[lease.Attempt]time.Time // released attempts, up to the time no request of theirs can come
	graves []lease.Attempt             // the same in order of time
	latest time.Time                   // the latest deadline of any request so far
}

// key is one claimed (or observed) name.
type key struct {
	name   string
	limit  int64 // 0 = none
	epoch  int64 // of the limit
	used   int64 // weight of all seats
	claims map[lease.Attempt]*claim
	seats  timeline[*claim]
	queue  []*claim // the waiting claims in order
	ticket int64    // the last one given out

	end       time.Time // no claim lives longer
	index     int       // in table.due; -1 while there are no claims
	observers []*feed[lease.Change]
}

func (k *key) ends() time.Time { return k.end }
func (k *key) place() *int     { return &k.index }

// claim is a lease.Claim in one of its two states: waiting or seated.
type claim struct {
	lease.Claim
	seated  bool
	end     time.Time // waiting: of its heartbeat; seated: of its validity
	metaSeq uint64
	asking  bool // its owner's own request is being executed

	order order // waiting
	token uint64
	index int  // in key.seats
	asked *ask // seated, and asked to leave
}

// ask is the wish that a holder leaves by a certain time.
type ask struct {
	reason string
	until  time.Time
}

// ends returns the end of the seat, which is the end of validity plus the lock-delay.
func (c *claim) ends() time.Time { return c.end.Add(c.Delay) }
func (c *claim) place() *int     { return &c.index }

// valid reports whether the claim is held at now.
func (c *claim) valid(now time.Time) bool { return c.seated && now.Before(c.end) }

// dead reports whether the claim waits but was not heard of for too long.
func (c *claim) dead(now time.Time) bool { return !c.seated && !now.Before(c.end) }

// open returns the key, new if need be. Whoever opens a key sweeps it.
func (t *table) open(name string) *key {
	k := t.keys[name]
	if k == nil {
		k = &key{name: name, claims: make(map[lease.Attempt]*claim), index: -1}
		t.keys[name] = k
	}
	return k
}

// sweep forgets a key that nobody claims or observes.
func (t *table) sweep(k *key) {
	if len(k.claims) > 0 {
		return
	}
	if k.index >= 0 {
		t.due.remove(k)
		k.index = -1
	}
	if len(k.observers) == 0 {
		delete(t.keys, k.name)
	}
}

// prolong moves the end of the claim to end, unless that is earlier than it is.
func (t *table) prolong(k *key, c *claim, end time.Time) {
	if end.After(c.end) {
		c.end = end
		if c.seated {
			k.seats.moved(c)
		}
	}
	if c.ends().After(k.end) || k.index < 0 {
		k.end = c.ends()
		if k.index < 0 {
			t.due.add(k)
		} else {
			t.due.moved(k)
		}
	}
}

// expire ends the validity of a seat at now, and its lock-delay too if clean. What has ended before
// stays ended.
func (k *key) expire(c *claim, now time.Time, clean bool) {
	end := now
	if clean {
		end = now.Add(-c.Delay)
	}
	if end.Before(c.end) {
		c.end = end
		k.seats.moved(c)
	}
}

// nextToken returns a number larger than all before. The clock keeps the order over a restart.
func (t *table) nextToken(now time.Time) uint64 {
	t.counter = max(t.counter+1, uint64(max(now.UnixMicro(), 0)))
	return t.counter
}

// bury makes sure that no request of the attempt that is still under way takes effect. Requests
// refuse themselves after their deadlines, so the latest deadline is late enough.
func (t *table) bury(a lease.Attempt) {
	t.gone[a] = t.latest
	t.graves = append(t.graves, a)
}

// buried reports whether the attempt must not come back.
func (t *table) buried(a lease.Attempt, now time.Time) bool {
	until, ok := t.gone[a]
	return ok && !now.After(until)
}

// collect forgets what has ended and may never be asked for again. Each thing that it forgets was
// made or prolonged by a verb, so its cost is that of the verbs before.
func (t *table) collect(now time.Time) {
	for k, ok := t.due.first(now); ok; k, ok = t.due.first(now) {
		t.advance(k, now)
		t.sweep(k)
	}
	for len(t.graves) > 0 && !t.buried(t.graves[0], now) {
		delete(t.gone, t.graves[0])
		t.graves = t.graves[1:]
	}
}
