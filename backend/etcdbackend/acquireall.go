package etcdbackend

import (
	"cmp"
	"context"
	"slices"

	"github.com/concord-go/concord/lease"
)

// AcquireAll implements [lease.Backend]. The order of keys is that of their bytes. If nothing is on
// any of the keys one request writes all claims. Otherwise with Queue the keys are asked for one
// after the other, and without it one more request reads them and a third writes the claims, if
// they fit and nobody was faster.
func (l *leases) AcquireAll(ctx context.Context, claims []lease.Claim) ([]lease.Answer, error) {
	const verb = "acquire all"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return nil, err
	}
	if err := lease.ValidateAll(claims); err != nil {
		return nil, fail(ctx, verb, err)
	}
	for i := range claims {
		if err := valid(&claims[i]); err != nil {
			return nil, fail(ctx, verb, err)
		}
	}
	if err := b.hub.open(ctx); err != nil {
		return nil, fail(ctx, verb, err)
	}
	g := &several{l: l, wishes: claims, answers: make([]lease.Answer, len(claims))}
	for i := range claims {
		g.order = append(g.order, i)
	}
	slices.SortFunc(g.order, func(i, j int) int { return cmp.Compare(claims[i].Key, claims[j].Key) })
	if err := g.obtain(ctx); err != nil {
		return nil, fail(ctx, verb, err)
	}
	return g.answers, nil
}

// several is one AcquireAll.
type several struct {
	l       *leases
	wishes  []lease.Claim
	order   []int // in which the keys are taken
	answers []lease.Answer

	claims   []*claim
	answered bool // no request is left of which it is not known what it did
}

func (g *several) obtain(ctx context.Context) error {
	b := g.l.b
	for i := range g.wishes {
		w := &g.wishes[i]
		g.claims = append(g.claims, b.table.enter(w, b.names.line(w.Key)))
	}
	defer func() {
		for _, c := range g.claims {
			b.table.leave(c, g.answered)
		}
	}()
	known, err := g.known(), error(nil)
	done := false
	if !known {
		done, err = g.write(ctx, g.order, make([]*look, len(g.wishes)))
	}
	if err == nil && !done {
		if g.wishes[0].Queue {
			err = g.walk(ctx)
		} else {
			err = g.weigh(ctx)
		}
	}
	g.answered = err == nil
	return err
}

// known says that one of the claims is on the server already.
func (g *several) known() bool {
	t := g.l.b.table
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(g.claims, func(c *claim) bool { return c.there() })
}

// walk asks for the claims in their order and stops at the first that is not granted.
func (g *several) walk(ctx context.Context) error {
	b := g.l.b
	for _, i := range g.order {
		c := g.claims[i]
		if a := b.table.answer(c, b.hub.healthy()); a.Status == lease.Granted && !b.table.doubtful(c, b.hub.healthy()) {
			g.answers[i] = a // no need to ask
			continue
		}
		a, err := g.l.obtain(ctx, &g.wishes[i])
		if err != nil {
			return err
		}
		if g.answers[i] = a; a.Status != lease.Granted {
			return nil
		}
	}
	return nil
}
