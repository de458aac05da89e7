package backendtest

import (
	"fmt"
	"math/rand/v2"

	"github.com/concord-go/concord/lease"
)

// seats reads all parts of the key k and returns the seats by their tokens.
func (r *rig) seats() map[uint64]lease.Party {
	r.Helper()
	all := map[uint64]lease.Party{}
	for cursor, parts := "", 0; ; parts++ {
		ctx, cancel := r.ctx()
		part, next, err := r.be.Seats(ctx, "k", cursor)
		cancel()
		if err != nil {
			r.broken("Seats answers", err, "no error")
		}
		for _, p := range part {
			all[p.Token] = p
		}
		if next == "" {
			return all
		}
		if cursor = next; parts == 10_000 {
			r.broken("Seats comes to an end", "10000 parts", "fewer")
		}
	}
}

func seatsLists(r *rig) {
	same(r, "Seats of an unused key lists nobody", len(r.seats()), 0)
	holder, waiter := r.claim("k"), r.claim("k")
	holder.Owner, holder.Meta = "owner", []byte{0, 0xff}
	g := r.hold(holder)
	r.wait(waiter)
	all := r.seats()
	p := all[g.Token]
	same(r, "Seats lists who is seated, and nobody who waits", len(all), 1)
	same(r, "a party has its attempt", p.Attempt, holder.Attempt)
	same(r, "a party has its owner", p.Owner, holder.Owner)
	same(r, "a party has its metadata", string(p.Meta), string(holder.Meta))
	same(r, "a party has its weight", p.Weight, 1)
	if p.Left <= 0 || p.Left > r.life(holder.TTL) {
		r.broken("a party has life left", p.Left, fmt.Sprintf("in (0, %v]", r.life(holder.TTL)))
	}
	r.release(holder, lease.WasHeld)
	g = r.becomes("a release grants to the next waiter", waiter)
	same(r, "Seats lists the new holder", r.seats()[g.Token].Attempt, waiter.Attempt)
}

// seatsMany has more than any part will hold.
func seatsMany(r *rig) {
	const many = 1200
	want := map[uint64]lease.Claim{}
	for i := range many {
		c := r.claim("k")
		c.Limit, c.Owner = 0, fmt.Sprint("member ", i)
		want[r.hold(c).Token] = c
	}
	r.hold(r.claim("another key"))
	for token, c := range want {
		if rand.IntN(10) == 0 {
			r.release(c, lease.WasHeld)
			delete(want, token)
		}
	}
	all := r.seats()
	same(r, "Seats lists everybody, in as many parts as it takes", len(all), len(want))
	for token, c := range want {
		same(r, "a party has its owner", all[token].Owner, c.Owner)
	}
}

func seatsEnded(r *rig) {
	c := r.brief()
	r.hold(c)
	r.lapse(c)
	same(r, "Seats leaves out a seat that has lapsed", len(r.seats()), 0)
}
