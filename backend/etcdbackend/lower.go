package etcdbackend

import (
	"context"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// lower gives up the weight of a seat but for 1. It is the deletion of the rest, which tells those
// who wait how much is free. What is left of a weight between could not be told in the same step.
func (b *Backend) lower(ctx context.Context, c *claim, weight int64) error {
	if weight != 1 {
		return unsupported("weight lowered to %d, only to 1", weight)
	}
	b.table.mu.Lock()
	name, rev, keys := c.name, c.rev, c.keys()
	b.table.mu.Unlock()
	var ops []clientv3.Op
	for _, m := range keys {
		if m.rest {
			ops = append(ops, clientv3.OpDelete(m.nameOf(c.seat)))
		}
	}
	r, err := b.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(name), "=", rev)).
		Then(ops...).
		Commit()
	if err != nil {
		return err
	}
	if r.Succeeded {
		b.table.freed(c.line, r.Header.Revision)
		b.table.update(func(*outbox) {
			if c.rev == rev {
				c.weight = 1
			}
		})
	}
	return nil
}

// keys are all keys of a claim that is on the server, the first one first.
func (c *claim) keys() []member {
	first, _ := parseMember(c.name, c.rev)
	return first.parts(c.weight)
}

// shades are those of its keys that keep the lock-delay.
func (c *claim) shades() []member {
	return slices.DeleteFunc(c.keys(), func(m member) bool { return !m.shade })
}

// move puts the other keys of a claim that are still there on the leases of another lifeline.
func (c *claim) move(keys []member, life *lifeline) []clientv3.Op {
	var ops []clientv3.Op
	value := blob{attempt: c.attempt, owner: c.owner}
	for _, m := range keys[1:] {
		name := m.nameOf(c.seat)
		there := clientv3.Compare(clientv3.CreateRevision(name), "=", m.rev)
		put := clientv3.OpPut(name, value.brief(), clientv3.WithLease(life.under(&m)))
		ops = append(ops, clientv3.OpTxn([]clientv3.Cmp{there}, []clientv3.Op{put}, nil))
	}
	if !c.shared() { // it may have been given a seat key and not know
		name := chairOf(c.seat)
		there := clientv3.Compare(clientv3.CreateRevision(name), ">", 0)
		ops = append(ops, clientv3.OpTxn([]clientv3.Cmp{there}, []clientv3.Op{clientv3.OpPut(name, "", clientv3.WithLease(life.id))}, nil))
	}
	return ops
}
