package backendtest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/concord-go/concord/lease"
)

func renewLife(r *rig) {
	c := r.claim("k")
	g := r.hold(c)
	c.TTL *= 2
	a := r.keeps("a renewal keeps the seat", c, g.Token)
	if a.Left <= c.TTL/2 || a.Left > r.life(c.TTL) {
		r.broken("a renewal gives a new life of TTL", a.Left, fmt.Sprintf("in (%v, %v]", c.TTL/2, r.life(c.TTL)))
	}
}

func renewShorter(r *rig) {
	c := r.claim("k")
	c.TTL *= 2
	g := r.hold(c)
	short := renewal(c, false)
	short.TTL = r.life(lease.MinTTL)
	a := r.renew(short)[0]
	r.is("a renewal keeps the seat", a, lease.Granted)
	if a.Left <= c.TTL/2 {
		r.broken("a renewal never shortens a life", a.Left, fmt.Sprint("almost ", g.Left))
	}
}

func renewNothing(r *rig) {
	c := r.claim("k")
	r.ended("a claim that was never made is unknown", c)
	r.empty("a renewal creates nothing", "k")
	holder := r.claim("k")
	g := r.hold(holder)
	r.ended("a stranger on a held key is unknown", c)
	s := r.inspect("k")
	same(r, "a renewal queues nobody", len(s.Waiters)+s.Waiting, 0)
	r.keeps("the holder does not notice", holder, g.Token)
}

func renewReleased(r *rig) {
	c := r.claim("k")
	r.hold(c)
	r.release(c, lease.WasHeld)
	r.ended("a renewal that comes after the release is unknown", c)
	r.empty("a renewal that comes after the release creates nothing", "k")
}

func renewLapsed(r *rig) {
	c := r.brief()
	g := r.hold(c)
	r.lapse(c)
	c.TTL = r.life(long)
	r.ended("validity that ended never comes back, even if nobody took the key", c)
	r.empty("a late renewal creates nothing", "k")
	c.TTL = r.life(lease.MinTTL)
	r.larger("the same attempt, acquired again, is a new grant", r.hold(c).Token, g.Token)
}

func renewOrder(r *rig) {
	a, b, waiter, stranger := r.claim("a"), r.claim("b"), r.claim("a"), r.claim("b")
	ga, gb := r.hold(a), r.hold(b)
	r.wait(waiter)
	got := r.renew(renewal(stranger, true), renewal(b, false), renewal(waiter, true), renewal(a, false), renewal(stranger, false), renewal(b, true))
	want := []lease.Status{lease.Unknown, lease.Granted, lease.Queued, lease.Granted, lease.Unknown, lease.Granted}
	for i := range want {
		r.is(fmt.Sprintf("answers stand in the order of the items (item %d)", i), got[i], want[i])
	}
	for i, token := range map[int]uint64{1: gb.Token, 3: ga.Token, 5: gb.Token} {
		same(r, "each answer belongs to its item", got[i].Token, token)
	}
	same(r, "an empty batch has no answers", len(r.renew()), 0)
}

func renewLarge(r *rig) {
	const n = 250
	items := make([]lease.Renewal, n)
	tokens := make([]uint64, n)
	for i := range items {
		c := r.claim(fmt.Sprint("k", i))
		if i%10 != 9 {
			tokens[i] = r.hold(c).Token
		}
		items[i] = renewal(c, i%3 == 0)
	}
	for i, a := range r.renew(items...) {
		want := lease.Granted
		if tokens[i] == 0 {
			want = lease.Unknown
		}
		r.is(fmt.Sprintf("a large batch is answered in order (item %d of %d)", i, n), a, want)
		same(r, "each answer belongs to its item", a.Token, tokens[i])
	}
}

// renewBatch renews two waiters in one batch after they and the holder have run out. A third one
// lives on, which keeps engines from clearing the whole key away. An engine may take the two for
// dead or not, but if it still finds the first it must find the second, which died no sooner: to
// grant after the first item alone would have dropped it.
func renewBatch(r *rig) {
	holder, first, second, third := r.brief(), r.brief(), r.brief(), r.claim("k")
	for _, c := range []lease.Claim{holder, first, second, third} {
		r.acquire(c)
	}
	r.lapse(first)
	r.lapse(second)
	got := r.renew(renewal(first, true), renewal(second, true))
	if got[0].Status != lease.Unknown && got[1].Status == lease.Unknown {
		r.broken("all items of a batch are refreshed before the first grant", show(got[0])+"; "+show(got[1]), "both known")
	}
}

func renewMeta(r *rig) {
	c := r.claim("k")
	c.Meta = []byte("first")
	g := r.hold(c)
	steps := []struct {
		seq        uint64
		meta, want string
	}{
		{0, "no number", "first"},
		{3, "three", "three"},
		{2, "older", "three"},
		{3, "equal", "three"},
		{0, "no number", "three"},
		{4, "", ""},
		{1<<52 + 1, "large", "large"},
		{1 << 52, "older", "large"},
	}
	for _, s := range steps {
		item := renewal(c, false)
		item.MetaSeq, item.Meta = s.seq, []byte(s.meta)
		r.is("a renewal keeps the seat", r.renew(item)[0], lease.Granted)
		r.meta(fmt.Sprintf("metadata is replaced by a larger number only (%d)", s.seq), c, s.want)
	}
	same(r, "a copy of the Acquire is the same grant", r.acquire(c).Token, g.Token)
	r.meta("a copy of the Acquire brings no old metadata back", c, "large")
}

// meta compares what others read of a seated claim.
func (r *rig) meta(promise string, c lease.Claim, want string) {
	r.Helper()
	for _, h := range r.inspect(c.Key).Holders {
		if h.Attempt == c.Attempt {
			same(r, promise, string(h.Meta), want)
			return
		}
	}
	r.broken("Inspect lists a holder", "nobody", c.Attempt)
}

func renewBad(r *rig) {
	c := r.claim("k")
	g := r.hold(c)
	bad := map[string]func(*lease.Renewal){
		"key":  func(it *lease.Renewal) { it.Key = "" },
		"TTL":  func(it *lease.Renewal) { it.TTL = lease.MaxTTL + 1 },
		"Meta": func(it *lease.Renewal) { it.MetaSeq, it.Meta = 1, bytes.Repeat([]byte("m"), lease.MaxMeta+1) },
	}
	for field, spoil := range bad {
		item := renewal(c, false)
		spoil(&item)
		ctx, cancel := r.ctx()
		got := r.be.Renew(ctx, []lease.Renewal{item, renewal(c, false)})
		cancel()
		same(r, "Renew gives one answer for each item", len(got), 2)
		var invalid *lease.InvalidError
		if !errors.As(got[0].Err, &invalid) {
			r.broken("an item out of bounds is answered by an InvalidError", got[0].Err, field)
		}
		r.is("a bad item does not spoil the others", got[1], lease.Granted)
		same(r, "a bad item does not spoil the others", got[1].Token, g.Token)
	}
	r.meta("metadata that is too large is not stored", c, "")
}
