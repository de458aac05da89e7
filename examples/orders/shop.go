package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite

	"github.com/concord-go/concord/backend/sqlbackend"
	"github.com/concord-go/concord/fence"
)

// full is the stock of an item at the beginning.
const full = 1_000_000

// shop is the database: the stock of each item, and the book of orders.
type shop struct {
	db      *sql.DB
	fences  *sqlbackend.Backend
	dialect sqlbackend.Dialect
}

func openShop(ctx context.Context, p *plan) (*shop, error) {
	driver, source, dialect := "pgx", p.db, sqlbackend.PostgreSQL
	switch {
	case hasScheme(p.db, "sqlite"):
		driver, dialect = "sqlite", sqlbackend.SQLite
		source = "file:" + strings.TrimPrefix(p.db, "sqlite://") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate"
	case !hasScheme(p.db, "postgres"):
		return nil, fmt.Errorf("-db must be sqlite or postgres://user:password@host/name, not %q", p.db)
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, fmt.Errorf("-db: %w", err)
	}
	fences, err := sqlbackend.New(db, dialect, nil)
	if err == nil {
		err = fences.CreateSchema(ctx)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("-db: %w", err)
	}
	return &shop{db, fences, dialect}, nil
}

func (s *shop) close() { s.db.Close() }

// stock makes the tables anew.
func (s *shop) stock(ctx context.Context, items int) error {
	for _, q := range []string{
		"DROP TABLE IF EXISTS orders_book", "DROP TABLE IF EXISTS orders_stock",
		"CREATE TABLE orders_stock (item INTEGER PRIMARY KEY, rest INTEGER NOT NULL)",
		"CREATE TABLE orders_book (item INTEGER NOT NULL, amount INTEGER NOT NULL, worker INTEGER NOT NULL)",
	} {
		if _, err := s.db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	for item := range items {
		if _, err := s.db.ExecContext(ctx, s.sql("INSERT INTO orders_stock VALUES (?, ?)"), item, full); err != nil {
			return err
		}
	}
	return nil
}

// sql writes placeholders as the database takes them.
func (s *shop) sql(query string) string {
	if s.dialect != sqlbackend.PostgreSQL {
		return query
	}
	for n := 1; strings.Contains(query, "?"); n++ {
		query = strings.Replace(query, "?", fmt.Sprint("$", n), 1)
	}
	return query
}

// rest reads the stock of an item. With fencing no earlier holder can write after that.
func (s *shop) rest(ctx context.Context, item int, token fence.Token, fencing bool) (rest int, err error) {
	err = s.tx(ctx, item, token, fencing, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, s.sql("SELECT rest FROM orders_stock WHERE item = ?"), item).Scan(&rest)
	})
	return rest, err
}

// sell writes the new stock and the order.
func (s *shop) sell(ctx context.Context, item, rest, amount, worker int, token fence.Token, fencing bool) error {
	return s.tx(ctx, item, token, fencing, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, s.sql("UPDATE orders_stock SET rest = ? WHERE item = ?"), rest, item); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, s.sql("INSERT INTO orders_book VALUES (?, ?, ?)"), item, amount, worker)
		return err
	})
}

// tx runs fn in a transaction, which with fencing is refused to earlier holders.
func (s *shop) tx(ctx context.Context, item int, token fence.Token, fencing bool, fn func(*sql.Tx) error) error {
	if fencing {
		return s.fences.Guard().Tx(ctx, fmt.Sprint("item/", item), token, fn)
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing left to do
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// ledger is what the books say.
type ledger struct{ before, sold, left int }

func (s *shop) ledger(ctx context.Context) (l ledger, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT count(*) * 1000000, sum(rest) FROM orders_stock").Scan(&l.before, &l.left)
	if err == nil {
		err = s.db.QueryRowContext(ctx, "SELECT coalesce(sum(amount), 0) FROM orders_book").Scan(&l.sold)
	}
	return l, err
}
