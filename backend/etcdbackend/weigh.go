package etcdbackend

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// rounds is how often a claim is weighed whose line changes meanwhile.
const rounds = 4

// weigh makes a claim for which more must be known than a comparison can tell: one that may not
// wait and could fit beside others, or one that is the first of its epoch on a key in use. It reads
// the line, decides, and writes the claim if what it relied on is still so.
//
// To change the limit it first hangs up a bell, and takes it down in the step that writes the
// claim. Those who wait are told of that in the order of all ends, so nobody is granted under the
// limit from before.
//
// seen is what was read already, or nil.
func (l *leases) weigh(ctx context.Context, c *claim, w *lease.Claim, life *lifeline, seen *look) (a lease.Answer, again bool, err error) {
	b := l.b
	grave := b.names.tombstone(w.Attempt)
	ring := bell(c.line, c.slot)
	hung := false
	defer func() {
		if hung && err == nil {
			_, err = b.client.Txn(ctx).Then(clientv3.OpDelete(ring)).Commit()
		}
	}()
	for range rounds {
		if seen == nil {
			ops := c.lookOps(grave)
			if hung {
				ops = append(ops, clientv3.OpPut(ring, "", clientv3.WithLease(life.id)))
			}
			r, err := b.client.Txn(ctx).Then(ops...).Commit()
			if err != nil {
				return b.sent(life, err)
			}
			seen = c.lookAt(r, r.Responses)
		}
		v := seen.line
		limit, epoch := v.force(&member{})
		before := aheadOf(v, &member{limit: c.limit, epoch: c.epoch})
		first := len(v.list) > 0 && c.epoch > epoch
		switch {
		case seen.buried:
			return lease.Answer{Status: lease.Gone}, false, nil
		case seen.own != nil: // an older copy has come through
			return a, true, nil
		case len(v.list) > 0 && limit != c.limit && c.epoch <= epoch, first && v.arranged():
			return lease.Answer{Status: lease.Conflict, Limit: limit}, false, nil
		case !w.Queue && !before.grants(c.whole):
			a, err = l.held(ctx, c, v, seen.first)
			return a, false, err
		case first && !hung:
			hung, seen = true, nil
			continue
		}
		own, puts := c.puts(w, life, v.seated(limit, epoch))
		written := len(puts)
		puts = append(puts, readLine(c.line), readTop(c.line))
		if first {
			puts = append(puts, clientv3.OpDelete(ring))
		}
		txn, err := b.client.Txn(ctx).If(c.unchanged(w, v, seen.rev, grave)...).Then(puts...).Else(c.lookOps(grave)...).Commit()
		switch {
		case err != nil:
			return b.sent(life, err)
		case !txn.Succeeded:
			seen = c.lookAt(txn, txn.Responses)
			continue
		}
		hung = hung && !first
		own.rev = txn.Header.Revision
		b.table.apply(c, reading{rev: own.rev, own: own, found: true, mod: own.rev, line: c.viewOf(own.rev, ranges(txn, written, true))})
		return l.finish(ctx, c, true)
	}
	if !w.Queue {
		return lease.Answer{Status: lease.Held}, false, nil // others are faster all the time
	}
	return a, false, errUnsettled
}

// sent is the result of a request that failed: again, if it was for the end of the lease.
func (b *Backend) sent(life *lifeline, err error) (a lease.Answer, again bool, failure error) {
	if isLeaseGone(err) {
		b.lives.end(life)
		return a, true, nil
	}
	return a, false, err
}

// look is what was read for a claim that is to be weighed.
type look struct {
	rev    int64 // at which
	buried bool
	own    *mvccpb.KeyValue // it is there
	itself member
	line   *view
	first  []*mvccpb.KeyValue // in the line, with its values
}

// lookOps read what lookAt takes.
func (c *claim) lookOps(grave string) []clientv3.Op {
	return []clientv3.Op{
		clientv3.OpGet(grave, clientv3.WithCountOnly()), readOwn(c.seat),
		readBefore(c.line, behindAll), readTop(c.line), readFirst(c.line, c.most()),
	}
}

func (c *claim) lookAt(r *clientv3.TxnResponse, answers responses) *look {
	s := &look{rev: r.Header.Revision, buried: answers[0].GetResponseRange().Count > 0}
	s.own, s.itself = ownOf(answers[1].GetResponseRange().Kvs)
	end := int64(behindAll)
	if s.own != nil {
		end = s.itself.rev
	}
	s.line, s.first = c.viewOf(end, answers[2:4]), answers[4].GetResponseRange().Kvs
	return s
}

// unchanged are the comparisons that let a claim be written after the line was read: nothing of
// its own is there, nobody has come or gone who says what limit is in force, and nobody has come at
// all, if the claim may not wait or was alone.
func (c *claim) unchanged(w *lease.Claim, v *view, rev int64, grave string) []clientv3.Cmp {
	compare := []clientv3.Cmp{
		clientv3.Compare(clientv3.CreateRevision(c.seat).WithPrefix(), "=", 0),
		clientv3.Compare(clientv3.CreateRevision(grave), "=", 0),
		clientv3.Compare(clientv3.CreateRevision(ofEpoch(c.line, c.epoch+1)).WithRange(c.line+epochEnd), "<", rev+1),
	}
	if v.top.epoch > 0 && v.top.epoch >= c.epoch {
		compare = append(compare, clientv3.Compare(clientv3.CreateRevision(v.top.name), "=", v.top.rev))
	}
	if c.epoch > 0 && v.top.epoch < c.epoch {
		compare = append(compare, clientv3.Compare(clientv3.CreateRevision(ofEpoch(c.line, c.epoch)).WithPrefix(), "=", 0))
	}
	if c.delay > 0 {
		compare = append(compare, clientv3.Compare(clientv3.CreateRevision(shadeOf(c.seat)).WithPrefix(), "=", 0))
	}
	if !w.Queue || len(v.list) == 0 || v.list[0].limit == 1 && v.top.epoch < c.epoch { // and no priority
		compare = append(compare, clientv3.Compare(clientv3.ModRevision(c.line).WithPrefix(), "<", rev+1))
	}
	return compare
}

// seated is the revision of the last claim in the list that has a seat under a limit.
func (v *view) seated(limit, epoch int64) (rev int64) {
	a := ahead{limit: limit, epoch: epoch}
	for i := range v.list {
		a.add(&v.list[i], &member{epoch: -1})
	}
	a.see(&v.top)
	var sum int64
	for i := 0; i < len(a.parts); i++ {
		sum += a.parts[i].weight
		if i+1 < len(a.parts) && a.parts[i+1].rev == a.parts[i].rev {
			continue
		}
		if !a.seats(a.parts[i].rev, sum) {
			break
		}
		rev = a.parts[i].rev
	}
	return rev
}
