package etcdbackend

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// arrivals is how often a claim with a priority is sent into a line to which others come meanwhile.
const arrivals = 8

// arrive is send for a claim with a priority. On a free key it is one request. Otherwise the line is
// read, and the claim is written if nobody has come since. Its name says who was seated by age, because
// afterwards the line alone does not tell that from a first claim that may not have the seat. The
// first priority in a line rings a bell, so that those who wait by age alone hear of it.
func (l *leases) arrive(ctx context.Context, c *claim, w *lease.Claim) (a lease.Answer, again bool, err error) {
	b := l.b
	life, err := b.lifeFor(ctx, c, w)
	if err != nil {
		return a, false, err
	}
	grave := b.names.tombstone(w.Attempt)
	ring := bell(c.line, c.slot)
	hung := false
	defer func() {
		if hung && err == nil {
			_, err = b.client.Txn(ctx).Then(clientv3.OpDelete(ring)).Commit()
		}
	}()
	look := []clientv3.Op{
		clientv3.OpGet(grave, clientv3.WithCountOnly()), readOwn(c.seat), readWhole(c.line), readTop(c.line),
	}
	own, puts := c.puts(w, life, 0)
	r, err := b.client.Txn(ctx).If(
		clientv3.Compare(clientv3.CreateRevision(c.line).WithPrefix(), "=", 0),
		clientv3.Compare(clientv3.CreateRevision(grave), "=", 0),
	).Then(append(puts, c.putChair(life)...)...).Else(look...).Commit()
	if err != nil {
		return b.sent(life, err)
	}
	if r.Succeeded {
		own.rev, own.seat = r.Header.Revision, r.Header.Revision
		b.table.apply(c, reading{rev: own.rev, own: own, found: true, mod: own.rev, line: &view{}})
		return l.finish(ctx, c, true)
	}
	for range arrivals {
		rev := r.Header.Revision
		if r.Responses[0].GetResponseRange().Count > 0 {
			return lease.Answer{Status: lease.Gone}, false, nil
		}
		if first, own := ownOf(r.Responses[1].GetResponseRange().Kvs); first != nil {
			if !b.adopt(c, first) {
				return a, true, b.clear(ctx, c, own.rev)
			}
			b.table.apply(c, reading{rev: rev, own: own, found: true, mod: first.ModRevision, line: c.viewOf(own.rev, r.Responses[2:4]), seats: -1})
			return l.finish(ctx, c, false)
		}
		v := c.viewOf(behindAll, r.Responses[2:4])
		limit, epoch := v.force(&member{limit: 1})
		switch {
		case limit != 1 || epoch > 0:
			return lease.Answer{Status: lease.Conflict, Limit: limit}, false, nil
		case !w.Queue && len(v.list) > 0:
			a, err = l.held(ctx, c, v, nil)
			return a, false, err
		case !v.sorted && len(v.list) > 0 && !hung:
			hung = true
			if r, err = b.client.Txn(ctx).Then(append(look, clientv3.OpPut(ring, "", clientv3.WithLease(life.id)))...).Commit(); err != nil {
				return b.sent(life, err)
			}
			continue
		}
		var known []clientv3.Cmp // the claims on whose being there it relies
		floor := int64(0)
		all := groups(entries(r.Responses[2].GetResponseRange().Kvs))
		if i := holder(all); i >= 0 && all[i].seat == 0 {
			floor = all[i].rev
			known = append(known, all[i].there())
		}
		for i := range v.list {
			if m := &v.list[i]; m.priority != 0 && !hung {
				known = append(known, clientv3.Compare(clientv3.CreateRevision(m.name), "=", m.rev))
				break
			}
		}
		own, puts := c.puts(w, life, floor)
		written := len(puts)
		puts = append(puts, readWhole(c.line), readTop(c.line))
		if hung {
			puts = append(puts, clientv3.OpDelete(ring))
		}
		if len(v.list) == 0 {
			puts = append(puts, c.putChair(life)...)
		}
		known = append(known,
			clientv3.Compare(clientv3.CreateRevision(grave), "=", 0),
			clientv3.Compare(clientv3.CreateRevision(c.seat).WithPrefix(), "=", 0),
			clientv3.Compare(clientv3.CreateRevision(c.line).WithPrefix(), "<", rev+1),
		)
		if r, err = b.client.Txn(ctx).If(known...).Then(puts...).Else(look...).Commit(); err != nil {
			return b.sent(life, err)
		}
		if !r.Succeeded {
			continue
		}
		hung = false
		b.table.sort(c.line)
		own.rev = r.Header.Revision
		if len(v.list) == 0 {
			own.seat = own.rev
		}
		b.table.apply(c, reading{rev: own.rev, own: own, found: true, mod: own.rev, line: c.viewOf(own.rev, r.Responses[written:written+2])})
		return l.finish(ctx, c, true)
	}
	return a, false, errUnsettled
}

// putChair writes the seat key of a claim with a priority, in the step that makes it the only one on
// its key.
func (c *claim) putChair(life *lifeline) []clientv3.Op {
	if c.priority == 0 {
		return nil
	}
	return []clientv3.Op{clientv3.OpPut(chairOf(c.seat), "", clientv3.WithLease(life.id))}
}
