package etcdbackend

import (
	"context"
	"errors"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// ending is the transaction that ends a claim.
type ending struct {
	compare   []clientv3.Cmp
	ops       []clientv3.Op
	otherwise []clientv3.Op
	reads     int // how many of ops come before the deletion of the claim
}

// ending deletes all that stands in the slot of a claim. What a claim that has lapsed has left, for
// its lock-delay, is not touched.
func (c *claim) ending(word string) ending {
	e := ending{ops: []clientv3.Op{clientv3.OpDelete(c.seat, clientv3.WithPrefix()), clientv3.OpDelete(word)}}
	if c.epoch > 0 || c.priority != 0 || c.rings {
		e.ops = append(e.ops, clientv3.OpDelete(bell(c.line, c.slot)))
	}
	if c.delay > 0 {
		e.compare = []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(c.seat).WithPrefix(), ">", 0)}
		e.otherwise = slices.Clone(e.ops[1:])
		e.ops = append(e.ops, clientv3.OpDelete(shadeOf(c.seat), clientv3.WithPrefix()))
	}
	return e
}

// leaveShades keeps the shades of a claim for its lock-delay from now on. With a minimum of the
// server's, of about two seconds.
func (b *Backend) leaveShades(ctx context.Context, e *ending, c *claim, shades []member) error {
	r, err := b.client.Grant(ctx, c.delay)
	if err != nil {
		return err
	}
	value := blob{attempt: c.attempt, owner: c.owner}
	e.ops = slices.Concat(e.ops[:len(e.ops)-1], putShades(c.seat, shades, value.brief(), r.ID))
	return nil
}

// putShades writes shades anew. They keep their create revision, and with it their place.
func putShades(seat string, shades []member, value string, id clientv3.LeaseID) []clientv3.Op {
	var ops []clientv3.Op
	for _, m := range shades {
		ops = append(ops, clientv3.OpPut(m.nameOf(seat), value, clientv3.WithLease(id)))
	}
	return ops
}

// look reads who stands before the claim.
func (e *ending) look(c *claim, rev int64) {
	reads := []clientv3.Op{readWhole(c.line)}
	if c.shared() {
		reads = []clientv3.Op{readBefore(c.line, rev), readTop(c.line)}
	}
	e.reads = len(reads)
	e.ops = slices.Concat(reads, e.ops)
}

// found says that the claim had a seat.
func (e *ending) found(c *claim, rev int64, r *clientv3.TxnResponse) bool {
	if !c.shared() {
		all := groups(entries(r.Responses[e.reads-1].GetResponseRange().Kvs)) // a bell may come before it
		i := holder(all)
		return i >= 0 && all[i].slot == c.slot && all[i].first != nil
	}
	own := member{limit: c.limit, epoch: c.epoch}
	a := aheadOf(c.viewOf(rev, ranges(r, 0, true)), &own)
	return rev > 0 && a.grants(c.whole)
}

// commit runs deletions, together with the writing of a tombstone if one is wanted. A copy of
// the acquire that arrives after that is refused for as long as the tombstone stays. On a server
// without space only the tombstone has to wait: the error says that it is still to be written.
func (b *Backend) commit(ctx context.Context, e ending, tombstone string, bury bool) (*clientv3.TxnResponse, error) {
	plain := b.client.Txn(ctx).If(e.compare...).Then(e.ops...).Else(e.otherwise...)
	if !bury {
		return plain.Commit()
	}
	r, err := b.bury(ctx, e, tombstone)
	if errors.Is(err, rpctypes.ErrNoSpace) && len(e.ops) > 0 {
		if _, failure := plain.Commit(); failure != nil {
			err = failure
		}
	}
	return r, err
}

func (b *Backend) bury(ctx context.Context, e ending, tombstone string) (*clientv3.TxnResponse, error) {
	for range settles {
		id, err := b.lives.burial(ctx)
		if err != nil {
			return nil, err
		}
		stone := []clientv3.Op{clientv3.OpPut(tombstone, "", clientv3.WithLease(id))}
		r, err := b.client.Txn(ctx).If(e.compare...).
			Then(slices.Concat(e.ops, stone)...).Else(slices.Concat(e.otherwise, stone)...).Commit()
		if !isLeaseGone(err) {
			return r, err
		}
		b.lives.exhume(id)
	}
	return nil, errUnsettled
}
