package sqlbackend

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

// ErrInvalid is matched by every [*InvalidError].
var ErrInvalid = errors.New("sqlbackend: invalid argument")

// InvalidError reports an argument or option that was refused before anything was sent. It
// matches [ErrInvalid].
type InvalidError struct {
	Field   string // the argument or option
	Problem string // what it must be, with the limit
}

// Error names the field and the limit.
func (e *InvalidError) Error() string { return "sqlbackend: " + e.Field + " " + e.Problem }

// Is matches [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// errMalformed is a row that no version of this package writes.
var errMalformed = errors.New("malformed mark")

// opError is what the methods return: the failed verb around the error of the driver, which
// errors.As and errors.Is reach.
type opError struct {
	verb        string
	unavailable bool // asking again may help
	uncertain   bool // of a commit: nobody knows
	err         error
}

func (e *opError) Error() string {
	if e.uncertain {
		return "sqlbackend: " + e.verb + ": commit: " + lease.ErrUncertain.Error() + ": " + e.err.Error()
	}
	return "sqlbackend: " + e.verb + ": " + e.err.Error()
}

func (e *opError) Unwrap() error { return e.err }

// Is matches [lease.ErrUnavailable] when asking again may help, and [lease.ErrUncertain] when
// nobody knows whether a transaction was committed.
func (e *opError) Is(target error) bool {
	return e.unavailable && target == lease.ErrUnavailable || e.uncertain && target == lease.ErrUncertain
}

// fail is where errors of our own calls are wrapped and sorted. After the end of ctx the result
// also matches the error of ctx, whatever the driver made of it.
func (b *Backend) fail(ctx context.Context, verb string, err error) error {
	err = ended(ctx, err)
	return &opError{verb: verb, unavailable: b.dialect.temporary(err), err: err}
}

// failCommit is fail for the one call after whose failure the transaction may have been committed.
func (b *Backend) failCommit(ctx context.Context, verb string, err error) error {
	if c, known := b.dialect.codeOf(err); known && c.rolledBack() {
		return b.fail(ctx, verb, err)
	}
	return &opError{verb: verb, uncertain: true, err: ended(ctx, err)}
}

// failCaller is for errors of the caller's own function. They pass unchanged, except that those of
// the database that may pass are marked so.
func (b *Backend) failCaller(ctx context.Context, verb string, err error) error {
	c, known := b.dialect.codeOf(err)
	if known && c.temporary() || errors.Is(err, driver.ErrBadConn) || ctx.Err() != nil {
		return b.fail(ctx, verb, err)
	}
	return err
}

func ended(ctx context.Context, err error) error {
	if done := ctx.Err(); done != nil && !errors.Is(err, done) {
		return fmt.Errorf("%w: %w", done, err)
	}
	return err
}

// temporary says whether asking again may help. Of the database's errors only those of the tables
// may pass. Everything else comes from the way there (network, pool, ctx).
func (d Dialect) temporary(err error) bool {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.Is(err, lease.ErrClosed), errors.Is(err, errMalformed), errors.Is(err, sql.ErrTxDone),
		errors.Is(err, fence.ErrFenced), errors.Is(err, fence.ErrInvalid), errors.Is(err, ErrInvalid):
		return false
	}
	if c, known := d.codeOf(err); known {
		return c.temporary()
	}
	return true
}

func isNoRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }
