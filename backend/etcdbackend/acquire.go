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
	if err := w.Validate(); err != nil {
		return lease.Answer{}, fail(ctx, verb, err)
	}
	if err := validAttempt(w.Attempt); err != nil {
		return lease.Answer{}, fail(ctx, verb, err)
	}
	if err := supported(&w); err != nil {
		return lease.Answer{}, fail(ctx, verb, err)
	}
	if err := b.hub.open(ctx); err != nil {
		return lease.Answer{}, fail(ctx, verb, err)
	}
	line := b.names.line(w.Key)
	c := b.table.enter(&w, line)
	answered := false
	defer func() { b.table.leave(c, answered) }()
	for range settles {
		a, again, err := l.send(ctx, c, &w)
		if err != nil {
			return lease.Answer{}, fail(ctx, verb, err)
		}
		if !again {
			answered = true
			return a, nil
		}
	}
	return lease.Answer{}, fail(ctx, verb, errUnsettled)
}

// send makes one try. again says that the lease of the claim, or of an older copy of it, had ended.
func (l *leases) send(ctx context.Context, c *claim, w *lease.Claim) (a lease.Answer, again bool, err error) {
	b := l.b
	life, err := b.lifeFor(ctx, c, w)
	if err != nil {
		return a, false, err
	}
	own := seatOf(c.line, c.slot)
	grave := b.names.tombstone(w.Attempt)
	value := blob{attempt: w.Attempt, owner: w.Owner, meta: w.Meta}
	name := claimName(c.line, c.slot, w, int64(life.ttl/time.Second))
	put := clientv3.OpPut(name, value.encode(), clientv3.WithLease(life.id))

	// Neither the claim nor its tombstone is there; without Queue, nothing on the key at all.
	all := readLine(c.line)
	free, then := own, []clientv3.Op{put, all}
	otherwise := []clientv3.Op{clientv3.OpGet(grave, clientv3.WithCountOnly()), readOwn(own), all}
	if !w.Queue {
		free, then, otherwise = c.line, then[:1], append(otherwise, readFirst(c.line))
	}
	r, err := b.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(free).WithPrefix(), "=", 0),
			clientv3.Compare(clientv3.CreateRevision(grave), "=", 0)).
		Then(then...).
		Else(otherwise...).
		Commit()
	if isLeaseGone(err) {
		b.lives.end(life)
		return a, true, nil
	}
	if err != nil {
		return a, false, err
	}
	rev := r.Header.Revision
	if r.Succeeded {
		m, _ := parseMember(name, rev)
		read := reading{rev: rev, own: m, found: true, mod: rev, list: []member{m}, total: 1}
		if w.Queue {
			line := r.Responses[1].GetResponseRange()
			read.list, read.total = members(line.Kvs), int(line.Count)
		}
		b.table.apply(c, read)
		if read.total > lease.MaxQueue+1 { // the holder does not wait
			return l.full(ctx, c, own)
		}
		return b.table.answer(c, b.hub.healthy()), false, nil
	}

	buried := r.Responses[0].GetResponseRange().Count > 0
	mine := r.Responses[1].GetResponseRange().Kvs
	line := r.Responses[2].GetResponseRange()
	first := r.Responses[len(r.Responses)-1].GetResponseRange().Kvs
	switch {
	case buried:
		return lease.Answer{Status: lease.Gone}, false, nil
	case len(mine) > 0:
		m, _ := parseMember(string(mine[0].Key), mine[0].CreateRevision)
		if !b.adopt(c, mine[0]) {
			return a, true, b.clear(ctx, m)
		}
		b.table.apply(c, reading{rev: rev, own: m, found: true, mod: mine[0].ModRevision, list: members(line.Kvs), total: int(line.Count)})
		a = b.table.answer(c, b.hub.healthy())
		return a, a.Status == lease.Unknown, nil
	case len(first) == 0: // all have gone since, or a marker of a later version is there
		return lease.Answer{Status: lease.Held}, false, nil
	}
	a = lease.Answer{Status: lease.Held}
	a.Holder, err = b.party(ctx, first[0], true)
	return a, false, err
}

// lifeFor puts a claim that is not on the server yet on a live lifeline.
func (b *Backend) lifeFor(ctx context.Context, c *claim, w *lease.Claim) (*lifeline, error) {
	b.table.mu.Lock()
	life := c.life
	b.table.mu.Unlock()
	if life != nil && life.left(time.Now()) > 0 {
		return life, nil
	}
	life, err := b.lives.take(ctx, w.TTL, c.alone)
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

// clear deletes what is left of a claim that has ended for us.
func (b *Backend) clear(ctx context.Context, m member) error {
	r, err := b.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(m.name), "=", m.rev)).
		Then(clientv3.OpDelete(m.name)).
		Commit()
	if err == nil && r.Succeeded {
		line, _ := cut(m.name)
		b.table.freed(line, r.Header.Revision)
	}
	return err
}

// full takes back a claim that came when the queue had no more room.
func (l *leases) full(ctx context.Context, c *claim, own string) (lease.Answer, bool, error) {
	l.b.table.update(func(*outbox) { c.releasing, c.state = true, ended })
	_, err := l.b.client.Txn(ctx).Then(clientv3.OpDelete(own, clientv3.WithPrefix())).Commit()
	if err != nil {
		return lease.Answer{}, false, err
	}
	l.b.table.update(func(*outbox) { c.releasing, c.state = false, absent })
	return lease.Answer{Status: lease.Full}, false, nil
}

// readLine reads the beginning of the line of a key, in its order.
func readLine(line string) clientv3.Op {
	return clientv3.OpGet(line, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(known),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
}

// readFirst reads the first claim of a line with its value.
func readFirst(line string) clientv3.Op { return clientv3.OpGet(line, clientv3.WithFirstCreate()...) }

// readOwn reads the claim in a slot. With keys only, etcd 3.7 would not tell its lease.
func readOwn(own string) clientv3.Op { return clientv3.OpGet(own, clientv3.WithPrefix()) }
