package etcdbackend

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

type rangeResponse = etcdserverpb.RangeResponse

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
	if r.To != "" {
		return 0, fail(ctx, verb, unsupported("release to a chosen claim"))
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
	var held, over bool
	c := b.table.find(r.Attempt, line)
	if c == nil {
		var err error
		if r.Uncertain {
			_, err = b.commit(ctx, nil, b.names.tombstone(r.Attempt), true)
		}
		return lease.WasNothing, err
	}
	b.table.update(func(*outbox) {
		c.releasing = true
		held, over = c.state == granted, c.state == ended || c.life != nil && c.lives() == 0
	})
	seat := seatOf(line, c.slot)
	ops := []clientv3.Op{
		clientv3.OpDelete(seat, clientv3.WithPrefix()),
		clientv3.OpDelete(b.names.word(line, c.slot)),
	}
	if !held { // it may be the first of the line all the same
		first := clientv3.OpGet(line, append(clientv3.WithFirstCreate(), clientv3.WithKeysOnly())...)
		ops = append([]clientv3.Op{first}, ops...)
	}
	txn, err := b.commit(ctx, ops, b.names.tombstone(r.Attempt), r.Uncertain)
	if err != nil {
		b.table.update(func(*outbox) { c.unsure = true })
		return 0, err
	}
	b.table.remove(c)
	answers := txn.Responses
	if !held {
		for _, m := range members(answers[0].GetResponseRange().Kvs) {
			held = m.slot == c.slot
		}
		answers = answers[1:]
	}
	if answers[0].GetResponseDeleteRange().Deleted == 0 {
		return lease.WasNothing, nil
	}
	b.table.freed(line, txn.Header.Revision)
	switch {
	case over:
		return lease.WasLapsed, nil
	case held:
		return lease.WasHeld, nil
	}
	return lease.WasWaiting, nil
}

// commit runs deletions, together with the writing of a tombstone if one is wanted. A copy of
// the acquire that arrives after that is refused for as long as the tombstone stays. On a server
// without space only the tombstone has to wait: the error says that it is still to be written.
func (b *Backend) commit(ctx context.Context, ops []clientv3.Op, tombstone string, bury bool) (*clientv3.TxnResponse, error) {
	if !bury {
		return b.client.Txn(ctx).Then(ops...).Commit()
	}
	r, err := b.bury(ctx, ops, tombstone)
	if errors.Is(err, rpctypes.ErrNoSpace) && len(ops) > 0 {
		if _, failure := b.client.Txn(ctx).Then(ops...).Commit(); failure != nil {
			err = failure
		}
	}
	return r, err
}

func (b *Backend) bury(ctx context.Context, ops []clientv3.Op, tombstone string) (*clientv3.TxnResponse, error) {
	for range settles {
		id, err := b.lives.burial(ctx)
		if err != nil {
			return nil, err
		}
		all := slices.Concat(ops, []clientv3.Op{clientv3.OpPut(tombstone, "", clientv3.WithLease(id))})
		r, err := b.client.Txn(ctx).Then(all...).Commit()
		if !isLeaseGone(err) {
			return r, err
		}
		b.lives.exhume(id)
	}
	return nil, errUnsettled
}

// Revoke implements [lease.Backend]. It takes two requests: the first finds the claim.
func (l *leases) Revoke(ctx context.Context, r lease.Revocation) (bool, error) {
	const verb = "revoke"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return false, err
	}
	if err := r.Validate(); err != nil {
		return false, fail(ctx, verb, err)
	}
	line := b.names.line(r.Key)
	read, err := b.client.Txn(ctx).Then(readFirst(line)).Commit()
	if err != nil {
		return false, fail(ctx, verb, err)
	}
	kvs := read.Responses[0].GetResponseRange().Kvs
	if len(kvs) == 0 || uint64(kvs[0].CreateRevision) != r.Token {
		return false, nil
	}
	m, ok := parseMember(string(kvs[0].Key), kvs[0].CreateRevision)
	if !ok {
		return false, nil
	}
	w := word{forced: r.Force, token: r.Token, grace: r.Grace, reason: r.Reason}
	id, ops := clientv3.LeaseID(kvs[0].Lease), []clientv3.Op(nil) // an ask lives as long as the seat
	if r.Force {
		if id, err = b.lives.burial(ctx); err != nil {
			return false, fail(ctx, verb, err)
		}
		ops = append(ops, clientv3.OpDelete(m.name))
	}
	ops = append(ops, clientv3.OpPut(b.names.word(line, m.slot), w.encode(), clientv3.WithLease(id)))
	txn, err := b.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(m.name), "=", m.rev)).Then(ops...).Commit()
	switch {
	case isLeaseGone(err) && !r.Force: // it took the seat with it
		return false, nil
	case isLeaseGone(err):
		b.lives.exhume(id)
		return false, &opError{verb: verb, unavailable: true, err: err}
	case err != nil:
		return false, fail(ctx, verb, err)
	}
	if txn.Succeeded && r.Force {
		b.table.freed(line, txn.Header.Revision)
	}
	return txn.Succeeded, nil
}

// explain finds out why a held claim is gone: somebody has left word, or its lease has ended.
func (b *Backend) explain(a lease.Attempt, line, slot string, token uint64) {
	b.work.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		e := lease.Event{Kind: lease.EventCheck}
		r, err := b.client.Txn(ctx).Then(clientv3.OpGet(b.names.word(line, slot))).Commit()
		if err == nil && len(r.Responses[0].GetResponseRange().Kvs) > 0 {
			w, err := parseWord(r.Responses[0].GetResponseRange().Kvs[0].Value)
			if err == nil && w.forced && w.token == token {
				e = lease.Event{Kind: lease.EventRevoked, Token: token, Ask: lease.Ask{Reason: w.reason}}
			}
		}
		b.hub.deliver(outbox{{a, e}})
	})
}
