package membership

import (
	"cmp"
	"context"
	"slices"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// MaxMembers is how many members of a group are read. A larger group is an error, not a part of it.
const MaxMembers = 100_000

// Members returns all members, in the order of their IDs. The answer was true at some moment of the
// call for each member, and may be false when it arrives.
//
// The error matches the error of ctx, [ErrUnavailable] if the engine answered nothing for 1 s to 5 s,
// depending on the TTL, [ErrTooMany] or [ErrClosed].
func (g *Group) Members(ctx context.Context) ([]Member, error) {
	s, err := g.list(ctx)
	if err != nil {
		return nil, g.wrap("members", err)
	}
	return s.members(), nil
}

// roster holds the readable seats of a group by their tokens.
type roster map[uint64]Member

// list reads all seats.
func (g *Group) list(ctx context.Context) (roster, error) {
	s := roster{}
	err := g.seats(ctx, func(p lease.Party) { s.add(p) })
	return s, err
}

func (s roster) add(p lease.Party) {
	if m, ok := decode(p.Owner, p.Meta); ok {
		s[p.Token] = m
	}
}

// tokens returns the seats of the members, in the order of their IDs. Of several seats with one ID the
// oldest counts: the others wait for its end, or will be told that they are too many.
func (s roster) tokens() []uint64 {
	tokens := make([]uint64, 0, len(s))
	for t := range s {
		tokens = append(tokens, t)
	}
	slices.SortFunc(tokens, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(s[a].ID, s[b].ID), cmp.Compare(a, b))
	})
	return slices.CompactFunc(tokens, func(a, b uint64) bool { return s[a].ID == s[b].ID })
}

// members returns the members in the order of their IDs.
func (s roster) members() []Member {
	tokens := s.tokens()
	list := make([]Member, len(tokens))
	for i, t := range tokens {
		list[i] = s[t]
	}
	return list
}

// seats calls f for every seat of the group, maybe twice for some.
func (g *Group) seats(ctx context.Context, f func(lease.Party)) error {
	type part struct {
		seats []lease.Party
		next  string
	}
	read := 0
	for cursor := ""; ; {
		p, err := claim.Ask(ctx, g.keeper, func(ctx context.Context) (part, error) {
			seats, next, err := g.backend().Seats(ctx, key(g.name), cursor)
			return part{seats, next}, err
		})
		if err != nil {
			return err
		}
		for _, s := range p.seats {
			f(s)
		}
		if read += len(p.seats); read > 2*MaxMembers {
			return ErrTooMany
		}
		if cursor = p.next; cursor == "" {
			return nil
		}
	}
}
