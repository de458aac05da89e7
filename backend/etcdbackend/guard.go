package etcdbackend

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/fence"
)

// Guard writes to the caller's own keys under the token of a lock. Check and write are one
// transaction: a write whose token is below the mark of its resource is refused with a
// [*fence.FencedError] and changes nothing. Otherwise the mark is raised to the token first.
//
// A new holder calls [Guard.Raise] before it reads what it is going to change. From then on no
// earlier holder can write.
//
// A resource is any name for what is protected together; its mark is the one that
// [Backend.Fences] keeps under that name. Keys are the caller's, as they are; the prefix of the
// backend is not put before them.
//
// What a guard does not do: a write that bypasses it is not stopped. A write that is sent twice
// is applied twice, since one token makes many writes. After an error other than a refusal or an
// invalid argument the mark may have been raised and the write may have been made.
//
// All methods may be called by several goroutines. They return when ctx ends; the write may then
// still be made. Errors that may pass match lease.ErrUnavailable; nothing is sent again. The zero
// value is not usable.
type Guard struct{ b *Backend }

// Raise lifts the mark of resource to token and touches nothing else. An equal mark is success too.
func (g *Guard) Raise(ctx context.Context, resource string, token fence.Token) error {
	_, err := g.b.marks.write(ctx, "guarded raise", resource, token, nil)
	return err
}

// Txn raises the mark of resource to token and runs ops, at least one, in one transaction. The
// response has one answer for each of ops, in their order; its Succeeded has no meaning. Ops of
// clientv3.OpTxn serve for conditions of the caller's own.
func (g *Guard) Txn(ctx context.Context, resource string, token fence.Token, ops ...clientv3.Op) (*clientv3.TxnResponse, error) {
	const verb = "guarded txn"
	if len(ops) == 0 {
		return nil, fail(ctx, verb, &InvalidError{Field: "ops", Problem: "must have at least one"})
	}
	return g.b.marks.write(ctx, verb, resource, token, ops)
}
