package etcdbackend

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// clear deletes what is left of a claim that has ended for us, but not its shade: that keeps the
// lock-delay.
func (b *Backend) clear(ctx context.Context, c *claim, rev int64) error {
	r, err := b.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(c.seat).WithPrefix(), "=", rev)).
		Then(clientv3.OpDelete(c.seat, clientv3.WithPrefix())).
		Commit()
	if err == nil && r.Succeeded {
		b.table.freed(c.line, r.Header.Revision)
	}
	return err
}

// withdraw takes back a claim that must not wait any more, and leaves it in a state.
func (b *Backend) withdraw(ctx context.Context, c *claim, s state) error {
	b.table.update(func(*outbox) { c.releasing, c.state = true, ended })
	r, err := b.client.Txn(ctx).
		Then(clientv3.OpDelete(c.seat, clientv3.WithPrefix()), clientv3.OpDelete(shadeOf(c.seat), clientv3.WithPrefix())).
		Commit()
	if err != nil {
		return err
	}
	b.table.freed(c.line, r.Header.Revision)
	b.table.update(func(*outbox) { c.releasing, c.state = false, s })
	return nil
}

// withdrawOutgrown takes back a claim for which the limit has become too small, or another one.
// Its owner learns it with the next renewal.
func (b *Backend) withdrawOutgrown(ctx context.Context, c *claim) error {
	b.table.mu.Lock()
	over := c.asking == 0 && c.outgrown()
	b.table.mu.Unlock()
	if !over {
		return nil
	}
	return b.withdraw(ctx, c, ended)
}

// readAgain reads claims for which more has happened than that others have ended, in the background,
// and has their owners ask.
func (b *Backend) readAgain(claims []*claim) {
	b.work.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, maxAttempt)
		defer cancel()
		if b.readAll(ctx, claims) == nil {
			for _, c := range claims {
				_ = b.withdrawOutgrown(ctx, c) // else by its owner's next renewal
				_ = b.seatNext(ctx, c)
			}
		}
		b.table.update(func(out *outbox) {
			for _, c := range claims {
				if c.state == granted {
					out.tell(c, c.grant())
				} else {
					out.tell(c, checkNow)
				}
			}
		})
	})
}
