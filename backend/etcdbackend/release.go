package etcdbackend

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// Release implements [lease.Backend]. What cannot be sent is tried again in the background as
// long as the backend is open: otherwise the shared lease would keep the claim alive.
func (l *leases) Release(ctx context.Context, r lease.Release) (lease.Released, error) {
	const verb = "release"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return 0, err
	}
	if err := r.Validate(); err != nil {
		return 0, fail(ctx, verb, err)
	}
	if err := validAttempt(r.Attempt); err != nil {
		return 0, fail(ctx, verb, err)
	}
	if c := b.table.find(r.Attempt, b.names.line(r.Key)); r.To != "" && c != nil && c.shared() {
		return 0, fail(ctx, verb, unsupported("release of a share to a chosen claim"))
	}
	was, err := l.release(ctx, r)
	if err != nil {
		b.janitor.add(r)
		return 0, fail(ctx, verb, err)
	}
	b.janitor.done(r.Attempt)
	return was, nil
}

// release deletes what is in the slot of the claim, in one step with its tombstone. A slot is not
// used again while a copy of this may be under way. An attempt that this object does not know has
// no slot, and can only be buried.
func (l *leases) release(ctx context.Context, r lease.Release) (lease.Released, error) {
	b := l.b
	line := b.names.line(r.Key)
	grave := b.names.tombstone(r.Attempt)
	c := b.table.find(r.Attempt, line)
	if c == nil {
		var err error
		if r.Uncertain {
			_, err = b.commit(ctx, ending{}, grave, true)
		}
		return lease.WasNothing, err
	}
	var held, over, hands bool
	var rev int64
	var left []member // of the claim, when its work may not have ended
	b.table.update(func(*outbox) {
		c.releasing = true
		rev, held, over = c.rev, c.state == granted, c.state == ended || c.life != nil && c.lives() == 0
		if r.Unclean && c.worked {
			left = c.shades()
		}
		hands = !over && len(left) == 0 && c.handsOver(&r)
	})
	e := c.ending(b.names.word(line, c.slot))
	if len(left) > 0 {
		if err := b.leaveShades(ctx, &e, c, left); err != nil {
			return 0, err
		}
	}
	if !held { // it may be seated all the same
		e.look(c, rev)
	}
	var txn *clientv3.TxnResponse
	var err error
	if hands {
		txn, err = b.handOver(ctx, c, &r, &e, grave)
		held = held || txn != nil
	}
	if txn == nil && err == nil {
		txn, err = b.commit(ctx, e, grave, r.Uncertain)
	}
	if err != nil || len(left) > 0 || !txn.Succeeded { // something may still have the names of the slot
		b.table.update(func(*outbox) { c.unsure = true })
	}
	if err != nil {
		return 0, err
	}
	b.table.remove(c)
	switch {
	case !txn.Succeeded && rev > 0:
		return lease.WasLapsed, nil
	case !txn.Succeeded || txn.Responses[e.reads].GetResponseDeleteRange().Deleted == 0:
		return lease.WasNothing, nil
	}
	b.table.freed(line, txn.Header.Revision)
	if !held {
		held = e.found(c, rev, txn)
	}
	switch {
	case over:
		return lease.WasLapsed, nil
	case held:
		return lease.WasHeld, nil
	}
	return lease.WasWaiting, nil
}
