package sqlbackend

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/concord-go/concord/backend/check"
	"github.com/concord-go/concord/lease"
)

// Check is to be called once at the start of a process. It does what [Backend.Diagnose] does,
// logs the warnings, and returns a [*check.Error] if there is an error among the findings (with
// Options.Strict, or a warning). If the database cannot be asked the error matches
// lease.ErrUnavailable.
func (b *Backend) Check(ctx context.Context) error {
	r, err := b.Diagnose(ctx)
	if err != nil {
		return err
	}
	return r.Verdict(ctx, b.opt.Logger, b.opt.Strict)
}

// Diagnose asks the database how it is set up and tries what the backend needs, in a transaction
// that is rolled back. The error, if the database cannot be asked, matches lease.ErrUnavailable.
//
// It speaks of one connection. Settings that others of the pool have made for themselves are not
// seen.
func (b *Backend) Diagnose(ctx context.Context) (check.Report, error) {
	const verb = "check"
	return await(ctx, b, verb, func() (check.Report, error) {
		r := check.Report{Backend: "sqlbackend", Prefix: b.opt.Prefix}
		conn, err := b.db.Conn(ctx)
		if err != nil {
			return r, err
		}
		defer func() { _ = conn.Close() }() // it goes back to the pool
		if err := b.engine.diagnose(ctx, conn, &r); err != nil {
			return r, err
		}
		err = b.checkCommands(ctx, conn, &r)
		return r, err
	})
}

// unfit is why a database that answers does not serve.
type unfit string

func (u unfit) Error() string { return string(u) }

// checkCommands raises and refuses in a transaction that it rolls back. So a missing table, a
// missing permission, and a database that only looks like one of the dialect are found.
func (b *Backend) checkCommands(ctx context.Context, conn *sql.Conn, r *check.Report) error {
	const subject = "commands"
	sent := time.Now()
	err := b.rehearse(ctx, conn)
	_, known := b.dialect.codeOf(err)
	switch u := unfit(""); {
	case err != nil && !known && !errors.As(err, &u), ctx.Err() != nil: // the database could not be asked
		return err
	case err != nil:
		r.Add(check.LevelError, subject, "a guarded transaction is not possible (CreateSchema makes the table): %v", err)
	default:
		r.Add(check.LevelOK, subject, "a mark was raised, kept against a lower token and rolled back in %v", time.Since(sent).Round(time.Microsecond))
	}
	return nil
}

func (b *Backend) rehearse(ctx context.Context, conn *sql.Conn) error {
	const high, low = 2, 1
	name := "check/" + string(lease.NewAttempt())
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: b.opt.Isolation})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // unless it was rolled back below
	for _, token := range []int64{high, low} {
		switch mark, err := b.engine.raise(ctx, tx, name, token); {
		case err != nil:
			return err
		case mark != high:
			return unfit("a lower token was not refused")
		}
	}
	switch mark, err := b.engine.mark(ctx, tx, name); {
	case err != nil:
		return err
	case mark != high:
		return unfit("a mark reads differently from what was raised")
	}
	if err := tx.Rollback(); err != nil {
		return err
	}
	switch mark, err := b.engine.mark(ctx, conn, name); {
	case err != nil:
		return err
	case mark != 0:
		return unfit("a transaction that was rolled back has left its mark: the table does not support transactions")
	}
	return nil
}
