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
	found, err := l.revoke(ctx, &r)
	if err != nil {
		return false, fail(ctx, verb, err)
	}
	return found, nil
}

func (l *leases) revoke(ctx context.Context, r *lease.Revocation) (found bool, err error) {
	b := l.b
	line := b.names.line(r.Key)
	for range heirs {
		read, err := b.client.Txn(ctx).Then(clientv3.OpGet(line, clientv3.WithPrefix(), inOrder)).Commit()
		if err != nil {
			return false, err
		}
		keys := entries(read.Responses[0].GetResponseRange().Kvs)
		all := groups(keys)
		judge(all, topOfLine(keys), 0)
		at := slices.IndexFunc(all, func(g group) bool { return g.seated && g.first != nil && uint64(g.token) == r.Token })
		if at < 0 {
			return false, nil
		}
		g := &all[at]
		var next *group
		compare := []clientv3.Cmp{g.there()}
		w := word{kind: toLeave, token: r.Token, grace: r.Grace, reason: r.Reason}
		id, ops := clientv3.LeaseID(g.first.Lease), []clientv3.Op(nil) // an ask lives as long as the seat
		if r.Force {
			w.kind = isOut
			if id, err = b.lives.burial(ctx); err != nil {
				return false, err
			}
			if ops, err = b.forceOut(ctx, g, keys); err != nil {
				return false, err
			}
			if next = heir(all, at); next != nil && g.delay == 0 && (g.seat > 0 || ordered(all)) {
				give, _, err := b.seating(ctx, line, next)
				if err != nil {
					return false, err
				}
				ops = slices.Concat(ops, give)
				compare = append(compare, next.there(), next.untouched())
			} else {
				next = nil
			}
		}
		ops = append(ops, clientv3.OpPut(b.names.word(line, g.slot), w.encode(), clientv3.WithLease(id)))
		txn, err := b.client.Txn(ctx).If(compare...).Then(ops...).Commit()
		switch {
		case isLeaseGone(err) && !r.Force: // it took the seat with it
			return false, nil
		case isLeaseGone(err): // that of the words, or of the next
			b.lives.exhume(id)
			continue
		case err != nil:
			return false, err
		case !txn.Succeeded:
			continue
		}
		if r.Force {
			b.table.freed(line, txn.Header.Revision)
		}
		if next != nil {
			b.table.give(line, next.slot, txn.Header.Revision)
		}
		return true, nil
	}
	return false, errUnsettled
}

// forceOut deletes the keys of a claim in a line and keeps its shades for the lock-delay.
func (b *Backend) forceOut(ctx context.Context, g *group, line []entry) (ops []clientv3.Op, err error) {
	var shades []clientv3.Op
	var id clientv3.LeaseID
	if g.delay > 0 {
		r, err := b.client.Grant(ctx, g.delay)
		if err != nil {
			return nil, err
		}
		id = r.ID
	}
	for i := range line {
		switch p := &line[i]; {
		case p.slot != g.slot:
		case p.shade && g.delay > 0:
			shades = append(shades, clientv3.OpPut(p.name, string(p.kv.Value), clientv3.WithLease(id)))
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
			if err == nil && w.kind == isOut && w.token == token {
				e = lease.Event{Kind: lease.EventRevoked, Token: token, Ask: lease.Ask{Reason: w.reason}}
			}
		}
		b.hub.deliver(outbox{{a, e}})
	})
}
