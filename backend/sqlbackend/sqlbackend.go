package sqlbackend

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

// Backend keeps marks in one SQL database, beside the data they protect. It is made by [New]; the
// zero value is not usable. All methods may be called by several goroutines.
//
// The *sql.DB belongs to the caller. Close the backend first, then the DB.
type Backend struct {
	db      *sql.DB
	dialect Dialect
	opt     Options
	engine  engine
	marks   *marks
	guard   *Guard

	closing sync.Mutex // held to count a call, and to refuse those that come after Close
	closed  bool
	calls   sync.WaitGroup
}

// New returns a backend on db, which must lead to a database of the given dialect. It sends
// nothing; [Backend.CreateSchema] makes the table, [Backend.Check] tells whether all is set up
// well.
//
// Nil options mean the defaults. A nil db, an unknown dialect and options out of bounds (all of
// them at once, each an [*InvalidError]) are errors.
func New(db *sql.DB, dialect Dialect, o *Options) (*Backend, error) {
	opt := o.withDefaults()
	engine, unknown := newEngine(dialect, &opt)
	var missing error
	if db == nil {
		missing = &InvalidError{Field: "db", Problem: "must not be nil"}
	}
	if err := errors.Join(missing, unknown, opt.validate(dialect)); err != nil {
		return nil, err
	}
	b := &Backend{db: db, dialect: dialect, opt: opt, engine: engine}
	b.marks = &marks{b}
	b.guard = &Guard{b}
	return b, nil
}

// Fences returns the marks of resources that are guarded by a token. Those of rows in this database
// are better raised by [Backend.Guard], in the transaction that reads and writes.
func (b *Backend) Fences() fence.Marks { return b.marks }

// Guard returns guarded transactions on the caller's own tables.
func (b *Backend) Guard() *Guard { return b.guard }

// Schema returns the statement that makes the table, for a tool that keeps track of migrations. It
// does nothing where the table is there.
func (b *Backend) Schema() string { return b.engine.schema() }

// CreateSchema runs [Backend.Schema]. It may be called again and by several processes at once. If the
// table is not there the user of db must be allowed to make it, which it needs for nothing else.
// Errors that may pass match lease.ErrUnavailable.
func (b *Backend) CreateSchema(ctx context.Context) error {
	const verb = "create schema"
	_, err := await(ctx, b, verb, func() (struct{}, error) {
		_, err := b.db.ExecContext(ctx, b.engine.schema())
		if err != nil { // also when PostgreSQL runs two of these at once, and one finds it half done
			if _, missing := b.engine.mark(ctx, b.db, "schema"); missing == nil {
				err = nil
			}
		}
		return struct{}{}, err
	})
	return err
}

// Close refuses later calls, which fail with [lease.ErrClosed], and waits until those under way have
// returned, the functions of [Guard.Tx] included, or ctx has ended; the error then says so. It does
// not touch db. Close may be called again, to wait on. Do not call it inside such a function.
func (b *Backend) Close(ctx context.Context) error {
	b.closing.Lock()
	b.closed = true
	b.closing.Unlock()
	idle := make(chan struct{})
	go func() { // it ends with the last call
		b.calls.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sqlbackend: close: a call has not returned: %w", ctx.Err())
	}
}

// enter counts a call that Close waits for.
func (b *Backend) enter(ctx context.Context, verb string) error {
	b.closing.Lock()
	defer b.closing.Unlock()
	if b.closed {
		return b.fail(context.WithoutCancel(ctx), verb, lease.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return b.fail(ctx, verb, err)
	}
	b.calls.Add(1)
	return nil
}

// await makes a call to the database, and stops waiting for it when ctx ends. Drivers notice that
// late in some calls, and in commits not at all. Close waits for calls left alone.
func await[T any](ctx context.Context, b *Backend, verb string, call func() (T, error)) (T, error) {
	var none T
	if err := b.enter(ctx, verb); err != nil {
		return none, err
	}
	defer b.calls.Done()
	v, err := inside(ctx, b, call)
	if err != nil {
		return none, b.fail(ctx, verb, err)
	}
	return v, nil
}

// inside is await within a call that was counted already.
func inside[T any](ctx context.Context, b *Backend, call func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	b.calls.Go(func() {
		v, err := call()
		done <- answer{v, err}
	})
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
	}
	select {
	case a := <-done: // at the same time
		return a.value, a.err
	default:
		var none T
		return none, ctx.Err()
	}
}
