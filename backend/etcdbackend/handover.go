package etcdbackend

import (
	"context"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// heirs is how often a seat is handed to somebody who is found to have gone in the same moment. Then
// it is released, and the first in the line gives it to the best.
const heirs = 4

// handsOver says that a release has to choose who is next. A claim that waits as far as is known may
// have been given the seat.
func (c *claim) handsOver(r *lease.Release) bool {
	return !c.shared() && c.there() && (r.To != "" && c.state == granted || c.priority != 0 || c.chair >= c.rev || c.ahead.arranged())
}

// handOver ends a seat and gives it to the next in one step: the one that the release names, or the
// best where there are priorities. It reads the line before. Those who wait must not take the end of the
// claim for their turn: the end of a seat key tells them to look, priorities they know of, and where there
// is neither, a bell is rung. A nil answer says that nobody was found, or that all
// have gone, and that the seat is still there.
func (b *Backend) handOver(ctx context.Context, c *claim, r *lease.Release, e *ending, grave string) (*clientv3.TxnResponse, error) {
	ring := bell(c.line, c.slot)
	b.table.mu.Lock()
	rings := r.To != "" && c.priority == 0 && c.chair < c.rev
	life, name, rev := c.life, c.name, c.rev
	c.rings = c.rings || rings
	b.table.mu.Unlock()
	if life == nil { // another release was faster
		return nil, nil
	}
	if rings {
		e.ops = slices.Concat([]clientv3.Op{clientv3.OpDelete(ring)}, e.ops) // is to be heard of first
		e.reads++
	}
	for n := range heirs {
		look := []clientv3.Op{clientv3.OpGet(c.line, clientv3.WithPrefix(), inOrder)}
		if n == 0 && rings {
			look = append(look, clientv3.OpPut(ring, "", clientv3.WithLease(life.id)))
		}
		read, err := b.client.Txn(ctx).Then(look...).Commit()
		switch {
		case isLeaseGone(err): // and the seat with it
			return nil, nil
		case err != nil:
			return nil, err
		}
		line := entries(read.Responses[0].GetResponseRange().Kvs)
		all := groups(line)
		own := slices.IndexFunc(all, func(g group) bool { return g.slot == c.slot && g.rev == rev })
		next := chosen(all, own, r.To)
		if next == nil && (ordered(all) || own >= 0 && all[own].seat > 0) {
			next = heir(all, own)
		}
		if own < 0 || holder(all) != own || next == nil || topOfLine(line).epoch > 0 {
			return nil, nil
		}
		step := *e
		step.compare = slices.Concat(e.compare, []clientv3.Cmp{
			clientv3.Compare(clientv3.CreateRevision(name), "=", rev), next.there(), next.untouched(),
		})
		if !next.attemptIs(r.To) && n+1 < heirs { // else whoever comes now is too late
			step.compare = append(step.compare, clientv3.Compare(clientv3.CreateRevision(c.line).WithPrefix(), "<", read.Header.Revision+1))
		}
		ops, id, err := b.seating(ctx, c.line, next)
		if err != nil {
			return nil, err
		}
		step.ops = slices.Concat(e.ops, ops)
		txn, err := b.commit(ctx, step, grave, r.Uncertain)
		switch {
		case isLeaseGone(err):
			b.lives.exhume(id)
		case err != nil:
			return nil, err
		case txn.Succeeded:
			b.table.give(c.line, next.slot, txn.Header.Revision) // should it be of this process
			return txn, nil
		}
	}
	return nil, nil
}

// chosen is the claim of an attempt that waits, or nil.
func chosen(all []group, own int, to lease.Attempt) *group {
	for i := range all {
		if g := &all[i]; i != own && g.first != nil && g.attemptIs(to) {
			return g
		}
	}
	return nil
}

func (g *group) attemptIs(a lease.Attempt) bool {
	value, err := parseBlob(g.first.Value)
	return a != "" && err == nil && value.attempt == a
}
