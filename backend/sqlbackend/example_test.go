package sqlbackend_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"

	"github.com/concord-go/concord/backend/sqlbackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

func ExampleGuard_Tx() {
	var db *sql.DB         // of any driver for PostgreSQL
	var locks *lock.Locker // on Redis or etcd
	ctx := context.Background()

	be, err := sqlbackend.New(db, sqlbackend.PostgreSQL, &sqlbackend.Options{Prefix: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer be.Close(ctx)

	err = locks.Do(ctx, "orders/42", func(ctx context.Context, l *lock.Lease) error {
		return be.Guard().Tx(ctx, "orders/42", l.Token(), func(tx *sql.Tx) error {
			var state string
			if err := tx.QueryRowContext(ctx, `SELECT state FROM orders WHERE id = 42`).Scan(&state); err != nil {
				return err
			}
			if state != "new" {
				return fmt.Errorf("the order is %s", state)
			}
			_, err := tx.ExecContext(ctx, `UPDATE orders SET state = 'paid' WHERE id = 42`)
			return err
		})
	})
	switch {
	case errors.Is(err, fence.ErrFenced): // a later holder has been here; stop
	case errors.Is(err, lease.ErrUncertain): // perhaps committed: read before writing again
	case errors.Is(err, lease.ErrUnavailable): // nothing was changed; run it again, under the lock
	}
}

// Two resources in one transaction, which must be raised in one order everywhere.
func ExampleGuard_RaiseIn() {
	var db *sql.DB
	var guard *sqlbackend.Guard
	ctx := context.Background()

	move := func(from, to fence.Token) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // after a commit there is nothing to do
		if err := guard.RaiseIn(ctx, tx, "accounts/1", from); err != nil {
			return err
		}
		if err := guard.RaiseIn(ctx, tx, "accounts/2", to); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE accounts SET sum = sum - 10 WHERE id = 1`); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE accounts SET sum = sum + 10 WHERE id = 2`); err != nil {
			return err
		}
		return tx.Commit()
	}
	_ = move
}
