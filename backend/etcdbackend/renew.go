package etcdbackend

import (
	"context"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// chunkItems is how many claims one request reads. Each takes up to four operations, of which etcd
// accepts 128 by default.
const chunkItems = 32

// Renew implements [lease.Backend]. Claims live on leases that are renewed by themselves, so an
// answer needs no request while the watch is known to have missed nothing. Otherwise the claim is
// read. A claim that is Alone is renewed by a request of its own, and so is metadata.
func (l *leases) Renew(ctx context.Context, items []lease.Renewal) []lease.Answer {
	const verb = "renew"
	b := l.b
	answers := make([]lease.Answer, len(items))
	if err := b.ready(ctx, verb); err != nil {
		for i := range answers {
			answers[i].Err = err
		}
		return answers
	}
	claims := make([]*claim, len(items))
	var unread []int
	for i := range items {
		c, err := l.refresh(ctx, &items[i])
		switch {
		case err != nil:
			answers[i].Err = fail(ctx, verb, err)
		case c != nil:
			claims[i] = c
			if b.table.doubtful(c, b.hub.healthy()) {
				unread = append(unread, i)
			}
		}
	}
	for chunk := range slices.Chunk(unread, chunkItems) {
		some := make([]*claim, len(chunk))
		for n, i := range chunk {
			some[n] = claims[i]
		}
		if err := b.read(ctx, some); err != nil {
			err = fail(ctx, verb, err)
			for _, i := range chunk {
				answers[i].Err = err
			}
		}
	}
	for i, c := range claims {
		if c != nil && answers[i].Err == nil {
			err := b.withdrawOutgrown(ctx, c)
			if err == nil {
				err = b.seatNext(ctx, c)
			}
			if err != nil {
				answers[i] = lease.Answer{Err: fail(ctx, verb, err)}
				continue
			}
			answers[i] = b.table.answer(c, b.hub.healthy())
			if err := b.table.stuck(c); err != nil && answers[i].Status != lease.Unknown {
				answers[i] = lease.Answer{Err: fail(ctx, verb, err)}
			}
		}
	}
	return answers
}

// stuck returns why the lease of a claim is not renewed, if its owner knows already how long it
// lives: then the answer to a renewal is that it has failed.
func (t *table) stuck(c *claim) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.life == nil {
		return nil
	}
	t0, failure := c.life.news()
	if t0.After(c.told) {
		c.told = t0
		return nil
	}
	return failure
}

// refresh gives the claim of one item its new life and metadata. A nil claim is one that this
// object does not have.
func (l *leases) refresh(ctx context.Context, r *lease.Renewal) (*claim, error) {
	b := l.b
	if err := r.Validate(); err != nil {
		return nil, err
	}
	if err := validAttempt(r.Attempt); err != nil {
		return nil, err
	}
	c := b.table.find(r.Attempt, b.names.line(r.Key))
	if c == nil {
		return nil, nil
	}
	b.table.mu.Lock()
	life, there, newer := c.life, c.there(), r.MetaSeq > c.seq
	lower := c.state == granted && r.Weight > 0 && r.Weight < c.weight
	b.table.mu.Unlock()
	if !there || life == nil {
		return c, nil
	}
	if lower {
		if err := b.lower(ctx, c, r.Weight); err != nil {
			return nil, err
		}
	}
	wanted := classOf(r.TTL)
	if c.alone {
		wanted = ceilSeconds(r.TTL)
	}
	larger := wanted > int64(life.ttl.Seconds())
	switch retired := b.lives.isRetired(life); {
	case larger || newer || retired:
		// From a lease that is given up it moves when it can: the lease lives until then.
		if err := b.rewrite(ctx, c, r, larger || retired); err != nil && (larger || newer) {
			return nil, err
		}
		if larger || !c.alone {
			break
		}
		fallthrough
	case c.alone:
		if err := b.lives.renew(ctx, life); err != nil && !isLeaseGone(err) {
			return nil, err
		}
	}
	return c, nil
}

// rewrite puts a claim on another lease, or replaces its metadata, or both. The claim keeps its
// create revision, and with it its place and its token. The comparison lets no old copy through.
// While it is not known which lease the claim is on, it is believed in as long as both live.
func (b *Backend) rewrite(ctx context.Context, c *claim, r *lease.Renewal, moves bool) error {
	var life *lifeline
	var fresh bool
	if moves {
		var err error
		if life, fresh, err = b.mover(ctx, c, r.TTL); err != nil {
			return err
		}
	}
	for range settles {
		b.table.mu.Lock()
		name, rev, mod, seq, there, keys := c.name, c.rev, c.mod, c.seq, c.there(), c.keys()
		b.table.mu.Unlock()
		if !there || !moves && r.MetaSeq <= seq {
			return nil
		}
		value, keep := "", []clientv3.OpOption{clientv3.WithIgnoreValue()}
		if r.MetaSeq > seq {
			seq = r.MetaSeq
			fresh := blob{attempt: c.attempt, seq: seq, owner: c.owner, meta: r.Meta}
			value, keep = fresh.encode(), nil
		}
		var moved []clientv3.Op
		if moves {
			keep = append(keep, clientv3.WithLease(life.id))
			moved = c.move(keys, life)
		} else {
			keep = append(keep, clientv3.WithIgnoreLease())
		}
		txn, err := b.client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(name), "=", rev), clientv3.Compare(clientv3.ModRevision(name), "=", mod)).
			Then(append(moved, clientv3.OpPut(name, value, keep...))...).
			Else(clientv3.OpGet(name)).
			Commit()
		if err != nil {
			if moves && isLeaseGone(err) {
				if fresh { // never sent before: the claim is where it was
					b.table.update(func(*outbox) { c.other = nil })
					b.lives.drop(life, c.alone)
				}
				b.lives.end(life)
			}
			return err
		}
		if txn.Succeeded {
			b.table.update(func(*outbox) {
				if c.rev == rev {
					c.mod, c.seq = max(c.mod, txn.Header.Revision), max(c.seq, seq)
				}
			})
			if moves {
				b.table.settle(c, life)
			}
			return nil
		}
		// An earlier write of ours was not answered, or the claim has gone.
		kvs := txn.Responses[0].GetResponseRange().Kvs
		if len(kvs) == 0 || kvs[0].CreateRevision != rev {
			b.table.apply(c, reading{rev: txn.Header.Revision})
			return nil
		}
		old, err := parseBlob(kvs[0].Value)
		if err != nil {
			return err
		}
		b.table.update(func(*outbox) {
			if c.rev == rev {
				c.mod, c.seq = max(c.mod, kvs[0].ModRevision), max(c.seq, old.seq)
			}
		})
		if moves && clientv3.LeaseID(kvs[0].Lease) == life.id { // the copy that was not answered did it
			b.table.settle(c, life)
			moves = false
		}
	}
	return errUnsettled
}

// mover returns the lifeline to move a claim to. A move that was not answered is sent again before
// there is another.
func (b *Backend) mover(ctx context.Context, c *claim, ttl time.Duration) (life *lifeline, fresh bool, err error) {
	b.table.mu.Lock()
	life = c.other
	b.table.mu.Unlock()
	if life != nil {
		return life, false, nil
	}
	if life, err = b.lives.take(ctx, ttl, c.delay, c.alone); err != nil {
		return nil, false, err
	}
	b.table.mu.Lock()
	c.other = life
	b.table.mu.Unlock()
	return life, true, nil
}

// doubtful says that a claim must be read before anything can be said of it.
func (t *table) doubtful(c *claim, healthy bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch c.state {
	case absent:
		return c.unsure
	case ended:
		return false
	case granted:
		return !healthy || c.at < t.base
	}
	return !healthy || c.at < t.base || c.local > t.seen || c.ahead.blind(c.weight) || c.ahead.arranged() || c.agrees() && c.ahead.grants(c.weight)
}
