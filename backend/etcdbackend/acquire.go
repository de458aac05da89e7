package etcdbackend

import (
	"context"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

const (
	// known is how many claims before one's own are read and kept. Who has more before it reads
	// once more when they have gone.
	known = 64

	// settles is how often a claim is sent whose etcd lease turns out to have ended.
	settles = 4
)

// Acquire implements [lease.Backend]. A ctx without a deadline is not bounded.
func (l *leases) Acquire(ctx context.Context, w lease.Claim) (lease.Answer, error) {
	const verb = "acquire"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return lease.Answer{}, err
	}
	if err := valid(&w); err != nil {
		return lease.Answer{}, fail(ctx, verb, err)
	}
	if err := b.hub.open(ctx); err != nil {
		return lease.Answer{}, fail(ctx, verb, err)
	}
	a, err := l.obtain(ctx, &w)
	if err != nil {
		return lease.Answer{}, fail(ctx, verb, err)
	}
	return a, nil
}

// obtain is Acquire for a claim that was checked.
func (l *leases) obtain(ctx context.Context, w *lease.Claim) (a lease.Answer, err error) {
	b := l.b
	c := b.table.enter(w, b.names.line(w.Key))
	answered := false
	defer func() { b.table.leave(c, answered) }()
	for range settles {
		send := l.send
		if c.priority != 0 {
			send = l.arrive
		}
		a, again, err := send(ctx, c, w)
		if err != nil {
			return lease.Answer{}, err
		}
		if !again {
			answered = true
			return a, nil
		}
	}
	return lease.Answer{}, errUnsettled
}

// send makes one try. again says that the lease of the claim, or of an older copy of it, had ended.
//
// The request writes the claim if neither that nor its tombstone is there; without Queue, if nothing
// is on the key at all; and of a later epoch than 0, if it is the first on the key or not the first
// of its epoch. Otherwise more must be known first, see weigh.
func (l *leases) send(ctx context.Context, c *claim, w *lease.Claim) (a lease.Answer, again bool, err error) {
	b := l.b
	life, err := b.lifeFor(ctx, c, w)
	if err != nil {
		return a, false, err
	}
	grave := b.names.tombstone(w.Attempt)
	own, puts := c.puts(w, life, 0)
	free := c.seat
	if !w.Queue {
		free = c.line
	}
	compare := []clientv3.Cmp{
		clientv3.Compare(clientv3.CreateRevision(free).WithPrefix(), "=", 0),
		clientv3.Compare(clientv3.CreateRevision(grave), "=", 0),
	}
	if c.delay > 0 && w.Queue {
		compare = append(compare, clientv3.Compare(clientv3.CreateRevision(shadeOf(c.seat)).WithPrefix(), "=", 0))
	}
	written := len(puts) // where the line stands among the answers
	switch {
	case !w.Queue:
	case c.epoch > 0:
		puts, written = []clientv3.Op{c.putsOfEpoch(puts)}, 1
		fallthrough
	default:
		puts = append(puts, readLine(c.line))
	}
	otherwise := []clientv3.Op{clientv3.OpGet(grave, clientv3.WithCountOnly()), readOwn(c.seat), readLine(c.line)}
	if c.shared() {
		otherwise = append(otherwise, readTop(c.line))
		if w.Queue {
			puts = append(puts, readTop(c.line))
		}
	}
	if !w.Queue {
		otherwise = append(otherwise, readFirst(c.line, c.most()))
	}
	r, err := b.client.Txn(ctx).If(compare...).Then(puts...).Else(otherwise...).Commit()
	if err != nil {
		return b.sent(life, err)
	}
	rev := r.Header.Revision
	if r.Succeeded {
		if w.Queue && c.epoch > 0 && !placed(r.Responses[0]) {
			return l.weigh(ctx, c, w, life, c.enough(&look{rev: rev, line: c.viewOf(behindAll, ranges(r, written, true))}))
		}
		own.rev = rev
		read := reading{rev: rev, own: own, found: true, mod: rev, line: &view{}}
		if w.Queue {
			read.line = c.viewOf(rev, ranges(r, written, c.shared()))
		}
		b.table.apply(c, read)
		return l.finish(ctx, c, true)
	}
	if r.Responses[0].GetResponseRange().Count > 0 { // its tombstone
		return lease.Answer{Status: lease.Gone}, false, nil
	}
	if first, own := ownOf(r.Responses[1].GetResponseRange().Kvs); first != nil {
		if !b.adopt(c, first) {
			return a, true, b.clear(ctx, c, own.rev)
		}
		b.table.apply(c, reading{rev: rev, own: own, found: true, mod: first.ModRevision, line: c.viewOf(own.rev, ranges(r, 2, c.shared())), seats: -1})
		return l.finish(ctx, c, false)
	}
	if w.Queue { // its own seat has lapsed, and blocks for its delay
		return lease.Answer{Status: lease.Held, Holder: lease.Party{Attempt: w.Attempt, Owner: w.Owner, Weight: w.Weight}}, false, nil
	}
	first := r.Responses[len(r.Responses)-1].GetResponseRange().Kvs
	line := c.viewOf(behindAll, ranges(r, 2, c.shared()))
	if c.shared() || line.mixed(&member{limit: c.limit, epoch: c.epoch}) {
		return l.weigh(ctx, c, w, life, c.enough(&look{rev: rev, line: line, first: first}))
	}
	a, err = l.held(ctx, c, line, first)
	return a, false, err
}

// enough returns what was seen if it is all that weighing the claim takes.
func (c *claim) enough(seen *look) *look {
	if seen.line.beyond > 0 || !c.shared() {
		return nil
	}
	return seen
}

// finish answers a claim that is on the server. fresh says that this request has made it.
func (l *leases) finish(ctx context.Context, c *claim, fresh bool) (a lease.Answer, again bool, err error) {
	b := l.b
	if b.table.unclear(c) {
		if err := b.read(ctx, []*claim{c}); err != nil {
			return a, false, err
		}
	}
	if a = b.table.refusal(c, fresh); a.Status != lease.Unknown {
		return a, false, b.withdraw(ctx, c, absent)
	}
	if err := b.seatNext(ctx, c); err != nil {
		return a, false, err
	}
	a = b.table.answer(c, b.hub.healthy())
	return a, a.Status == lease.Unknown, nil
}

// unclear says that a claim cannot be answered by what the request that made it has read.
func (t *table) unclear(c *claim) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return c.state == waiting && (c.ahead.blind(c.weight) || !c.shared() && (c.mixed || c.at != c.rev && c.ahead.arranged()))
}

// refusal is the answer to a waiting claim that must not stay, or Unknown.
func (t *table) refusal(c *claim, fresh bool) lease.Answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case c.state != waiting || c.ahead.doubt:
	case c.limit != c.ahead.limit:
		return lease.Answer{Status: lease.Conflict, Limit: c.ahead.limit}
	case fresh && c.ahead.rank() >= lease.MaxQueue:
		return lease.Answer{Status: lease.Full}
	}
	return lease.Answer{}
}

// held is the answer to a claim that does not fit: it names the first in the line, or where that is
// not the one who is seated, that one.
func (l *leases) held(ctx context.Context, c *claim, v *view, first []*mvccpb.KeyValue) (a lease.Answer, err error) {
	a.Status = lease.Held
	if v.arranged() {
		s, err := l.inspect(ctx, c.line)
		if err == nil && len(s.Holders) > 0 {
			a.Holder = s.Holders[0]
		} else if err == nil && len(s.Waiters) > 0 {
			a.Holder = s.Waiters[0]
		}
		return a, err
	}
	a.Holder, err = l.b.party(ctx, first) // nobody, if all have gone since
	return a, err
}

// lifeFor puts a claim that is not on the server yet on a live lifeline.
func (b *Backend) lifeFor(ctx context.Context, c *claim, w *lease.Claim) (*lifeline, error) {
	b.table.mu.Lock()
	life := c.life
	b.table.mu.Unlock()
	if life != nil && life.left(time.Now()) > 0 {
		return life, nil
	}
	life, err := b.lives.take(ctx, w.TTL, c.delay, c.alone)
	if err != nil {
		return nil, err
	}
	return b.table.offer(c, life), nil
}

// adopt takes over what is on the server from an earlier copy of the request. It is no use if it
// has ended for us: validity that ended never comes back.
func (b *Backend) adopt(c *claim, kv *mvccpb.KeyValue) bool {
	if value, err := parseBlob(kv.Value); err != nil || value.attempt != c.attempt {
		return false
	}
	life := b.lives.find(clientv3.LeaseID(kv.Lease))
	b.table.mu.Lock()
	over := c.state == ended && c.rev == kv.CreateRevision
	same, moved := c.life == life && c.other == nil, c.other == life
	b.table.mu.Unlock()
	if life == nil || over {
		return false
	}
	if !same {
		if !moved {
			b.lives.use(life)
		}
		b.table.settle(c, life)
	}
	return true
}
