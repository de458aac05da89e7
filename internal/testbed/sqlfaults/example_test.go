package sqlfaults

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/backend/sqlbackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
)

// A holder is paused, another one takes over, and the late write of the first is refused.
func Example() {
	if err := lateWrite(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// B reads: new
	// A is fenced out: true
	// the order is: paid by B
}

func lateWrite(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // nothing depends on it
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	be, err := sqlbackend.New(db, sqlbackend.SQLite, nil)
	if err != nil {
		return err
	}
	defer be.Close(ctx)
	if err := be.CreateSchema(ctx); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE orders AS SELECT 42 AS id, 'new' AS state"); err != nil {
		return err
	}

	service, err := memorybackend.New(nil) // in production Redis or etcd
	if err != nil {
		return err
	}
	defer service.Close(ctx)
	locks, err := lock.New(service.Leases(), &lock.Options{Hooks: &lock.Hooks{}})
	if err != nil {
		return err
	}
	defer locks.Close(ctx)
	pay := func(token fence.Token, state string) error {
		return be.Guard().Tx(ctx, "orders/42", token, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE orders SET state = ? WHERE id = 42", state)
			return err
		})
	}

	a, err := locks.Acquire(ctx, "orders/42")
	if err != nil {
		return err
	}
	service.Control().ExpireNow("orders/42") // A is paused for longer than its TTL
	b, err := locks.Acquire(ctx, "orders/42")
	if err != nil {
		return err
	}
	defer b.Release(ctx)
	var state string
	err = be.Guard().Tx(ctx, "orders/42", b.Token(), func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT state FROM orders WHERE id = 42").Scan(&state)
	})
	if err != nil {
		return err
	}
	fmt.Println("B reads:", state)
	fmt.Println("A is fenced out:", errors.Is(pay(a.Token(), "paid by A"), fence.ErrFenced))
	if err := pay(b.Token(), "paid by B"); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, "SELECT state FROM orders WHERE id = 42").Scan(&state); err != nil {
		return err
	}
	fmt.Println("the order is:", state)
	return nil
}
