package sqlbackend

import (
	"context"
	"database/sql"
	"errors"

	"github.com/concord-go/concord/fence"
)

// Guard runs transactions on the caller's own tables under the token of a lock. A token below the
// mark of its resource is refused with a [*fence.FencedError], and nothing is changed. Otherwise
// the mark is raised to the token first, and its row stays locked until the transaction ends, so
// guarded transactions of one resource go one after the other, and one with an older token that
// waited is refused then.
//
// A resource is any name for what is protected together; its mark is the one that [Backend.Fences]
// keeps under that name. It must be the same in all programs that write there.
//
// What a guard does not do: a write that bypasses it is not stopped. A function that is run twice
// writes twice, since one token makes many writes. The package comment says what else to know.
//
// All methods may be called by several goroutines. Nothing is sent again: errors that may pass,
// deadlocks and serialization failures among them, match lease.ErrUnavailable, and whoever repeats
// the call runs the whole transaction anew. The zero value is not usable.
type Guard struct{ b *Backend }

// Tx begins a transaction, raises the mark of resource to token in it, runs fn, and commits. What fn
// reads was written by earlier holders completely or not at all, and cannot change by the hand of
// one until the commit.
//
// If fn returns an error, or panics, or ctx ends before the commit, all is rolled back, the mark
// too. Errors of fn are returned as they are, except that those of the database that may pass then
// match lease.ErrUnavailable, and all that come after the end of ctx match its error.
//
// An error that matches lease.ErrUncertain comes from a commit without an answer, or with one that
// does not tell: the transaction was committed completely or not at all. Read, with a token that
// is still good, before you write again. After any other error nothing was changed.
//
// Inside fn:
//   - use tx only, and return the errors of its statements. A database may roll back on one, and on
//     MySQL what is written after that is not guarded,
//   - do not commit or roll back, and make no statement that does so by itself (CREATE TABLE and
//     the like on MySQL),
//   - do not call Tx or Raise for the same resource, which waits for this one. For a second resource
//     use [Guard.RaiseIn],
//   - be quick: whoever has the next token waits.
//
// Values that fn has read are good for a later call of Tx under the same token if this one was
// committed. Tx returns when ctx ends, without waiting for a statement that hangs, once fn returns.
func (g *Guard) Tx(ctx context.Context, resource string, token fence.Token, fn func(tx *sql.Tx) error) error {
	const verb = "guarded tx"
	if err := fence.Validate(resource, token); err != nil {
		return g.b.fail(ctx, verb, err)
	}
	if fn == nil {
		return g.b.fail(ctx, verb, &InvalidError{Field: "fn", Problem: "must not be nil"})
	}
	return g.run(ctx, verb, resource, token, fn)
}

// Raise lifts the mark of resource to token, in a transaction of its own, and touches nothing else.
// An equal mark is success too. A holder that reads outside of [Guard.Tx] calls it before.
func (g *Guard) Raise(ctx context.Context, resource string, token fence.Token) error {
	return g.raise(ctx, "guarded raise", resource, token)
}

// RaiseIn raises the mark of resource to token in a transaction of the caller's own. It must be the
// first statement there: reads before it are not protected, and where the transaction keeps a
// snapshot those after it are not either. After an error the transaction must be rolled back. What
// [Guard.Tx] says about fn holds for the rest of the transaction; whether it was committed is for
// the caller to find out.
//
// In a transaction of several resources raise all of them first, in one order everywhere (such as
// that of their names), or two transactions wait for each other until the database ends one.
//
// RaiseIn returns when ctx ends as soon as the driver does.
func (g *Guard) RaiseIn(ctx context.Context, tx *sql.Tx, resource string, token fence.Token) error {
	const verb = "guarded raise"
	if err := fence.Validate(resource, token); err != nil {
		return g.b.fail(ctx, verb, err)
	}
	if tx == nil {
		return g.b.fail(ctx, verb, &InvalidError{Field: "tx", Problem: "must not be nil"})
	}
	if err := g.b.enter(ctx, verb); err != nil {
		return err
	}
	defer g.b.calls.Done()
	if err := g.b.raise(ctx, tx, resource, token); err != nil {
		return g.b.fail(ctx, verb, err)
	}
	return nil
}

// raise lifts a mark by itself.
func (g *Guard) raise(ctx context.Context, verb, resource string, token fence.Token) error {
	if err := fence.Validate(resource, token); err != nil {
		return g.b.fail(ctx, verb, err)
	}
	if !g.b.engine.atomic() {
		err := g.run(ctx, verb, resource, token, func(*sql.Tx) error { return nil })
		if op := (*opError)(nil); errors.As(err, &op) && op.uncertain {
			return g.b.fail(ctx, verb, op.err) // a raise does no harm if it is made twice
		}
		return err
	}
	_, err := await(ctx, g.b, verb, func() (struct{}, error) {
		return struct{}{}, g.b.raise(ctx, g.b.db, resource, token)
	})
	return err
}

// run is Tx on arguments that were looked at.
func (g *Guard) run(ctx context.Context, verb, resource string, token fence.Token, fn func(tx *sql.Tx) error) error {
	b := g.b
	if err := b.enter(ctx, verb); err != nil {
		return err
	}
	defer b.calls.Done()
	tx, err := inside(ctx, b, func() (*sql.Tx, error) { return b.begin(ctx, resource, token) })
	if err != nil {
		return g.b.fail(ctx, verb, err) // a transaction that opens later ends with ctx
	}
	over := false
	defer func() {
		if !over { // fn has failed or panicked
			b.rollback(ctx, tx)
		}
	}()
	if err := fn(tx); err != nil {
		return b.failCaller(ctx, verb, err)
	}
	if err := ctx.Err(); err != nil {
		return g.b.fail(ctx, verb, err)
	}
	over = true
	_, err = inside(ctx, b, func() (struct{}, error) { return struct{}{}, tx.Commit() })
	if err != nil {
		return b.failCommit(ctx, verb, err)
	}
	return nil
}

// begin opens a transaction and raises the mark in it, before anything else.
func (b *Backend) begin(ctx context.Context, resource string, token fence.Token) (*sql.Tx, error) {
	tx, err := b.db.BeginTx(ctx, &sql.TxOptions{Isolation: b.opt.Isolation})
	if err != nil {
		return nil, err
	}
	if err := b.raise(ctx, tx, resource, token); err != nil {
		_ = tx.Rollback() // the first error tells; without an answer the database rolls back by itself
		return nil, err
	}
	return tx, nil
}

// rollback waits until the connection is free again, but not beyond ctx.
func (b *Backend) rollback(ctx context.Context, tx *sql.Tx) {
	_, _ = inside(ctx, b, func() (struct{}, error) { return struct{}{}, tx.Rollback() })
}
