package etcdbackend

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

const (
	// maxOps is how many operations etcd accepts in a transaction by default, on each side of it.
	maxOps = 128

	// weighed is how many keys one request of AcquireAll reads, with five operations each.
	weighed = maxOps / 5
)

// weigh reads all keys, and finds the first claim that is refused, or writes those that are not
// there yet in one step.
func (g *several) weigh(ctx context.Context) error {
	for range rounds {
		looks, err := g.read(ctx)
		if err != nil {
			return err
		}
		var missing []int
		refused := false
		for _, i := range g.order {
			there, err := g.judge(ctx, i, looks[i])
			if err != nil {
				return err
			}
			switch {
			case there && g.answers[i].Status != lease.Granted:
				refused = true
			case !there:
				missing = append(missing, i)
			}
			if refused {
				break
			}
		}
		if refused || len(missing) == 0 {
			return nil
		}
		if done, err := g.write(ctx, missing, looks); done || err != nil {
			return err
		}
	}
	g.answers[g.order[0]] = lease.Answer{Status: lease.Held} // others are faster all the time
	return nil
}

// read reads the keys of all claims.
func (g *several) read(ctx context.Context) ([]*look, error) {
	b := g.l.b
	looks := make([]*look, len(g.claims))
	for start := 0; start < len(g.order); start += weighed {
		some := g.order[start:min(start+weighed, len(g.order))]
		var ops []clientv3.Op
		for _, i := range some {
			c := g.claims[i]
			ops = append(ops, c.lookOps(b.names.tombstone(c.attempt))...)
		}
		r, err := b.client.Txn(ctx).Then(ops...).Commit()
		if err != nil {
			return nil, err
		}
		for n, i := range some {
			looks[i] = g.claims[i].lookAt(r, r.Responses[5*n:5*n+5])
		}
	}
	return looks, nil
}

// judge answers a claim that is there, or is refused. It reports false for one that can be written.
func (g *several) judge(ctx context.Context, i int, s *look) (there bool, err error) {
	b, c := g.l.b, g.claims[i]
	g.answers[i] = lease.Answer{}
	if s.buried {
		g.answers[i].Status = lease.Gone
		return true, nil
	}
	if s.own != nil {
		if !b.adopt(c, s.own) {
			return false, b.clear(ctx, c, s.itself.rev)
		}
		b.table.apply(c, reading{rev: s.rev, own: s.itself, found: true, mod: s.own.ModRevision, line: s.line, seats: -1})
		if b.table.unclear(c) {
			if err := b.read(ctx, []*claim{c}); err != nil {
				return false, err
			}
		}
		g.answers[i] = b.table.answer(c, b.hub.healthy())
		return true, nil
	}
	limit, epoch := s.line.force(&member{})
	before := aheadOf(s.line, &member{limit: c.limit, epoch: c.epoch})
	switch {
	case len(s.line.list) > 0 && limit != c.limit && c.epoch <= epoch:
		g.answers[i] = lease.Answer{Status: lease.Conflict, Limit: limit}
		return true, nil
	case !before.grants(c.whole):
		g.answers[i], err = g.l.held(ctx, c, s.line, s.first)
		return true, err
	case len(s.line.list) > 0 && c.epoch > epoch:
		return false, unsupported("a limit changed by AcquireAll without Queue")
	}
	return false, nil
}

// write writes some of the claims in one step, if nothing is on their keys, or nothing new since
// they were read.
func (g *several) write(ctx context.Context, some []int, looks []*look) (done bool, err error) {
	b := g.l.b
	var compare []clientv3.Cmp
	var puts []clientv3.Op
	owns, lives := make([]member, len(some)), map[*lifeline]bool{}
	for n, i := range some {
		c, w := g.claims[i], &g.wishes[i]
		life, err := b.lifeFor(ctx, c, w)
		if err != nil {
			return false, err
		}
		var ops []clientv3.Op
		owns[n], ops = c.puts(w, life, 0)
		ops = append(ops, c.putChair(life)...)
		lives[life] = true
		puts = append(puts, ops...)
		grave := b.names.tombstone(w.Attempt)
		if seen := looks[i]; seen != nil && len(seen.line.list) > 0 {
			compare = append(compare, c.unchanged(w, seen.line, seen.rev, grave)...)
		} else {
			compare = append(compare, clientv3.Compare(clientv3.CreateRevision(c.line).WithPrefix(), "=", 0),
				clientv3.Compare(clientv3.CreateRevision(grave), "=", 0))
		}
	}
	if max(len(puts), len(compare)) > maxOps {
		return false, unsupported("%d keys at once, of which etcd takes %d", len(puts), maxOps)
	}
	r, err := b.client.Txn(ctx).If(compare...).Then(puts...).Commit()
	if isLeaseGone(err) {
		for life := range lives { // it does not say which
			_ = b.lives.renew(ctx, life)
		}
		return false, errUnsettled
	}
	if err != nil || !r.Succeeded {
		return false, err
	}
	for n, i := range some {
		c, line := g.claims[i], &view{}
		if looks[i] != nil {
			line = looks[i].line
		}
		owns[n].rev = r.Header.Revision
		if c.priority != 0 {
			owns[n].seat = r.Header.Revision
		}
		b.table.apply(c, reading{rev: owns[n].rev, own: owns[n], found: true, mod: owns[n].rev, line: line})
		g.answers[i] = b.table.answer(c, b.hub.healthy())
	}
	return true, nil
}
