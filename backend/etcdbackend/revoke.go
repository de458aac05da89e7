package etcdbackend

import (
	"context"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// Revoke implements [lease.Backend]. It takes two requests: the first finds the claim. One more is
// sent where it has a lock-delay, which begins with a forced end.
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
	rev := int64(r.Token)
	read, err := b.client.Txn(ctx).Then(
		clientv3.OpGet(line, clientv3.WithPrefix(), clientv3.WithMinCreateRev(rev), clientv3.WithMaxCreateRev(rev)),
		readBefore(line, rev), readTop(line),
	).Commit()
	if err != nil {
		return false, fail(ctx, verb, err)
	}
	first, m := ownOf(read.Responses[0].GetResponseRange().Kvs)
	if first == nil || !seated(&m, viewOf(rev, read.Responses[1:], 0)) {
		return false, nil
	}
	w := word{forced: r.Force, token: r.Token, grace: r.Grace, reason: r.Reason}
	id, ops := clientv3.LeaseID(first.Lease), []clientv3.Op(nil) // an ask lives as long as the seat
	if r.Force {
		if id, err = b.lives.burial(ctx); err != nil {
			return false, fail(ctx, verb, err)
		}
		if ops, err = b.forceOut(ctx, &m, read.Responses[0].GetResponseRange()); err != nil {
			return false, fail(ctx, verb, err)
		}
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

// seated says that a claim has a seat, given what stands before it.
func seated(m *member, v *view) bool {
	a := aheadOf(v, m)
	return m.rev <= a.floor || a.grants(m.weight)
}

// forceOut deletes the keys of a claim and keeps its shades for the lock-delay.
func (b *Backend) forceOut(ctx context.Context, m *member, keys *rangeResponse) (ops []clientv3.Op, err error) {
	var shades []clientv3.Op
	var id clientv3.LeaseID
	if m.delay > 0 {
		r, err := b.client.Grant(ctx, m.delay)
		if err != nil {
			return nil, err
		}
		id = r.ID
	}
	for _, kv := range keys.Kvs {
		switch p, ok := parseMember(string(kv.Key), kv.CreateRevision); {
		case !ok:
		case p.shade && m.delay > 0:
			shades = append(shades, clientv3.OpPut(p.name, string(kv.Value), clientv3.WithLease(id)))
		case !p.shade:
			ops = append(ops, clientv3.OpDelete(p.name))
		}
	}
	return slices.Concat(ops, shades), nil
}

// explain finds out why a held claim is gone: somebody has left word, or its lease has ended.
func (b *Backend) explain(a lease.Attempt, line, slot string, token uint64) {
	b.work.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		e := checkNow
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
