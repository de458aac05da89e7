package etcdbackend

import (
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// seatNext fills the seat of a line, if the claim is due: it reads the line and makes the seat key of
// the best claim in it. The step relies on that the claim is still there, and so the first, and that
// nobody has come since.
func (b *Backend) seatNext(ctx context.Context, c *claim) error {
	for range arrivals {
		b.table.mu.Lock()
		due := c.due() || c.state == waiting && c.ahead.doubt && c.takesKey()
		b.table.mu.Unlock()
		if !due {
			return nil
		}
		done, err := b.trySeatNext(ctx, c)
		if done || err != nil {
			return err
		}
	}
	return errUnsettled
}

// trySeatNext is one try of seatNext.
func (b *Backend) trySeatNext(ctx context.Context, c *claim) (done bool, err error) {
	b.table.mu.Lock()
	c.asking++
	b.table.mu.Unlock()
	defer b.table.leave(c, true)
	r, err := b.client.Txn(ctx).Then(
		clientv3.OpGet(c.line, clientv3.WithPrefix(), inOrder), readTop(c.line), b.readSeats(c.line),
	).Commit()
	if err != nil {
		return false, err
	}
	rev := r.Header.Revision
	all := groups(entries(r.Responses[0].GetResponseRange().Kvs))
	at := slices.IndexFunc(all, func(g group) bool { return g.slot == c.slot && g.first != nil })
	if at < 0 {
		b.table.apply(c, reading{rev: rev})
		return true, nil
	}
	own := &all[at]
	b.table.apply(c, reading{
		rev: rev, own: own.member, found: true, mod: own.first.ModRevision, line: c.viewOf(own.rev, r.Responses[:2]),
		seats: seatsOf(r.Responses[2]),
	})
	b.table.mu.Lock()
	due := c.due()
	b.table.mu.Unlock()
	if !due || at > 0 || holder(all) > 0 || own.seat > 0 {
		return true, nil // somebody is seated, or it is the turn of another
	}
	best := heir(all, -1)
	if holder(all) == 0 {
		best = own // it has been seen to have the seat
	}
	ops, id, err := b.seating(ctx, c.line, best)
	if err != nil {
		return false, err
	}
	txn, err := b.client.Txn(ctx).If(
		own.there(), best.untouched(),
		clientv3.Compare(clientv3.CreateRevision(c.line).WithPrefix(), "<", rev+1),
	).Then(ops...).Commit()
	switch {
	case isLeaseGone(err):
		b.lives.exhume(id)
		return false, nil
	case err != nil:
		return false, err
	case !txn.Succeeded:
		return false, nil
	}
	rev = txn.Header.Revision
	b.table.update(func(*outbox) {
		switch {
		case c.rev != own.rev:
		case best == own:
			c.chair = max(c.chair, rev)
			c.given()
		case c.at < rev:
			c.ahead.chair = member{slot: best.slot, chair: true, rev: rev}
		}
	})
	b.table.give(c.line, best.slot, rev)
	return true, nil
}

// heir is the claim of a line that is to get the seat when the one at a place has left, or nil.
func heir(all []group, leaving int) (best *group) {
	for i := range all {
		g := &all[i]
		if i == leaving || g.first == nil {
			continue
		}
		if best == nil || g.priority > best.priority {
			best = g
		}
	}
	return best
}

// seating are the operations that give a claim the seat, and tell it.
//
// They also note when, for those who may miss both the seat key and its end: their claims may be older.
// The note is on the lease of tombstones, whose id is returned.
func (b *Backend) seating(ctx context.Context, line string, g *group) (ops []clientv3.Op, id clientv3.LeaseID, err error) {
	if id, err = b.lives.burial(ctx); err != nil {
		return nil, 0, err
	}
	seat := seatOf(line, g.slot, 0, 0)
	w := word{kind: hasSeat}
	under := clientv3.WithLease(clientv3.LeaseID(g.first.Lease))
	return []clientv3.Op{
		clientv3.OpPut(chairOf(seat), "", under),
		clientv3.OpPut(b.names.word(line, g.slot), w.encode(), under),
		clientv3.OpPut(b.names.note(line), "", clientv3.WithLease(id)),
	}, id, nil
}

// readSeats reads when a seat key was last made.
func (b *Backend) readSeats(line string) clientv3.Op {
	return clientv3.OpGet(b.names.note(line), clientv3.WithKeysOnly())
}

// seatsOf is the revision that readSeats has found, or 0.
func seatsOf(r *etcdserverpb.ResponseOp) int64 {
	if kvs := r.GetResponseRange().GetKvs(); len(kvs) == 1 {
		return kvs[0].ModRevision
	}
	return 0
}

// untouched compares that a claim has not been written since it was read, and so is on the same lease.
func (g *group) untouched() clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(g.name), "=", g.first.ModRevision)
}
