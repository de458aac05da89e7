//go:build !race

package sqlfaults

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// counting counts the statements of a connection to PostgreSQL, each one round trip.
type counting struct{ queries, prepares atomic.Int64 }

func (c *counting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.queries.Add(1)
	return ctx
}

func (c *counting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *counting) TracePrepareStart(ctx context.Context, _ *pgx.Conn, d pgx.TracePrepareStartData) context.Context {
	c.prepares.Add(1)
	return ctx
}

func (c *counting) TracePrepareEnd(_ context.Context, _ *pgx.Conn, d pgx.TracePrepareEndData) {
	if d.AlreadyPrepared {
		c.prepares.Add(-1)
	}
}

// TestExactTripsOfAGuard: a guard adds one statement to a transaction, whether the mark is absent,
// equal, lower or higher.
func TestExactTripsOfAGuard(t *testing.T) {
	run := func(t *testing.T, p *place, trips func() int64) {
		ctx := bounded(t)
		for i, c := range []struct {
			what string
			want int64
			call func() error
		}{
			{"tx, no mark", 3, func() error { return p.Guard().Tx(ctx, "a", 5, func(*sql.Tx) error { return nil }) }},
			{"tx, equal", 3, func() error { return p.Guard().Tx(ctx, "a", 5, func(*sql.Tx) error { return nil }) }},
			{"tx, higher", 3, func() error { return p.Guard().Tx(ctx, "a", 6, func(*sql.Tx) error { return nil }) }},
			{"tx, refused", 3, func() error { return p.Guard().Tx(ctx, "a", 5, func(*sql.Tx) error { return nil }) }},
			{"raise, no mark", 1, func() error { return p.Guard().Raise(ctx, "b", 5) }},
			{"raise, higher", 1, func() error { return p.Fences().Raise(ctx, "b", 6) }},
			{"raise, refused", 1, func() error { return p.Fences().Raise(ctx, "b", 5) }},
			{"mark", 1, func() error { _, err := p.Fences().Mark(ctx, "b"); return err }},
		} {
			before := trips()
			err := c.call()
			if got := trips() - before; got != c.want {
				t.Errorf("%d, %s: %d round trips, want %d (%v)", i, c.what, got, c.want, err)
			}
		}
	}
	t.Run("PostgreSQL", func(t *testing.T) {
		p := onPostgres(t, nil)
		cfg, err := pgx.ParseConfig(postgresURL(t))
		if err != nil {
			t.Fatal(err)
		}
		var n counting
		cfg.Tracer = &n
		p.db = stdlib.OpenDB(*cfg)
		t.Cleanup(func() { _ = p.db.Close() })
		p.db.SetMaxOpenConns(1)
		p.Backend = p.join(t, p.db, nil)
		// The driver prepares each statement once for a connection.
		_ = p.Fences().Raise(bounded(t), "warm", 1)
		_, _ = p.Fences().Mark(bounded(t), "warm")
		first := n.prepares.Load()
		run(t, p, n.queries.Load)
		if now := n.prepares.Load(); now != first {
			t.Errorf("%d statements were prepared, want none", now-first)
		}
	})
	t.Run("MariaDB", func(t *testing.T) {
		p := onMariaDB(t, nil)
		p.db.SetMaxOpenConns(1)
		asked := int64(0)
		run(t, p, func() int64 {
			var name, value string
			asked++
			if err := p.db.QueryRowContext(bounded(t), "SHOW SESSION STATUS LIKE 'Questions'").Scan(&name, &value); err != nil {
				t.Fatal(err)
			}
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				t.Fatal(fmt.Errorf("%s = %q: %w", name, value, err))
			}
			return n - asked
		})
	})
}
