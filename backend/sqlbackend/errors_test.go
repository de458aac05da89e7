package sqlbackend

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

// Errors in the shapes of the drivers.
type (
	stateError  struct{ state string } // pgx, lib/pq
	numberError struct {               // go-sql-driver/mysql
		Number  uint16
		Message string
	}
	resultNo    int // mattn/go-sqlite3
	fieldError  struct{ Code resultNo }
	methodError struct{ code int } // modernc.org/sqlite
)

func (e *stateError) Error() string    { return e.state }
func (e *stateError) SQLState() string { return e.state }
func (e *numberError) Error() string   { return fmt.Sprint(e.Number) }
func (e fieldError) Error() string     { return fmt.Sprint(e.Code) }
func (e *methodError) Error() string   { return fmt.Sprint(e.code) }
func (e *methodError) Code() int       { return e.code }

const (
	final = iota
	passes
	rolledBack // and passes
	undone     // rolled back, and asking again does not help
)

var sorted = []struct {
	dialect Dialect
	err     error
	what    int
}{
	{PostgreSQL, &stateError{"40001"}, rolledBack},
	{PostgreSQL, &stateError{"40P01"}, rolledBack},
	{PostgreSQL, &stateError{"40003"}, passes}, // completion unknown
	{PostgreSQL, &stateError{"25P03"}, rolledBack},
	{PostgreSQL, &stateError{"23505"}, undone},
	{PostgreSQL, &stateError{"57P01"}, passes}, // may have been committed
	{PostgreSQL, &stateError{"53300"}, passes},
	{PostgreSQL, &stateError{"08006"}, passes},
	{PostgreSQL, &stateError{"42P01"}, final},
	{PostgreSQL, &stateError{"42501"}, final},
	{PostgreSQL, &stateError{"4"}, final},
	{MySQL, &numberError{Number: 1213}, rolledBack},
	{MySQL, &numberError{Number: 1205}, rolledBack},
	{MySQL, fmt.Errorf("%w: %w", io.EOF, &numberError{Number: 1020}), rolledBack},
	{MySQL, &numberError{Number: 1053}, passes},
	{MySQL, &numberError{Number: 1146}, final},
	{MySQL, &numberError{Number: 1142}, final},
	{SQLite, fieldError{5}, rolledBack},
	{SQLite, fmt.Errorf("own: %w", fieldError{517}), rolledBack}, // BUSY_SNAPSHOT
	{SQLite, &methodError{5}, rolledBack},
	{SQLite, &methodError{19}, undone},
	{SQLite, &methodError{10 | 3<<8}, passes}, // IOERR_WRITE
	{SQLite, &methodError{1}, final},
}

func TestErrorsOfTheDatabase(t *testing.T) {
	ctx := t.Context()
	for _, c := range sorted {
		b := &Backend{dialect: c.dialect}
		may := c.what == passes || c.what == rolledBack
		if err := b.fail(ctx, "raise", c.err); errors.Is(err, lease.ErrUnavailable) != may || !errors.Is(err, c.err) {
			t.Errorf("%v %v: unavailable %v, want %v", c.dialect, c.err, !may, may)
		}
		certain := c.what == rolledBack || c.what == undone
		if err := b.failCommit(ctx, "tx", c.err); errors.Is(err, lease.ErrUncertain) == certain || errors.Is(err, lease.ErrUnavailable) != (certain && may) {
			t.Errorf("%v %v: at a commit: %v, want certain %v", c.dialect, c.err, err, certain)
		}
		if err := b.failCaller(ctx, "tx", c.err); errors.Is(err, lease.ErrUnavailable) != may || !may && err != c.err {
			t.Errorf("%v %v: of a function: %v, want unavailable %v", c.dialect, c.err, err, may)
		}
	}
}

func TestOtherErrors(t *testing.T) {
	b := &Backend{dialect: SQLite}
	for _, c := range []struct {
		err error
		may bool
	}{
		{io.ErrUnexpectedEOF, true},
		{driver.ErrBadConn, true},
		{context.DeadlineExceeded, true},
		{&stateError{"42501"}, true}, // of another dialect: not known
		{sql.ErrTxDone, false},
		{errMalformed, false},
		{&fence.FencedError{}, false},
		{lease.ErrClosed, false},
	} {
		if err := b.fail(t.Context(), "raise", c.err); errors.Is(err, lease.ErrUnavailable) != c.may {
			t.Errorf("%v: unavailable %v, want %v", c.err, !c.may, c.may)
		}
		if err := b.failCommit(t.Context(), "tx", c.err); !errors.Is(err, lease.ErrUncertain) || errors.Is(err, lease.ErrUnavailable) {
			t.Errorf("%v at a commit: %v, want uncertain", c.err, err)
		}
	}
	own := errors.New("of the function")
	if err := b.failCaller(t.Context(), "tx", own); err != own {
		t.Errorf("%v, want the function's error as it is", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.failCaller(ctx, "tx", own); !errors.Is(err, own) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want it with the end of ctx", err)
	}
}

func TestTokenOf(t *testing.T) {
	for n, ok := range map[int64]bool{1: true, 1<<63 - 1: true, 0: false, -1: false, 1 << 53: false} {
		if token, err := tokenOf(n); (err == nil) != ok || ok && int64(token) != n {
			t.Errorf("tokenOf(%d) = %v, %v", n, token, err)
		}
	}
}
