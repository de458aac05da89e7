package sqlfaults

import (
	"context"
	"database/sql"
	"testing"
)

// BenchmarkTx compares a transaction of one UPDATE without and with a guard, in one run.
func BenchmarkTx(b *testing.B) {
	for _, engine := range []struct {
		name string
		open func(testing.TB) *place
	}{
		{"PostgreSQL", func(t testing.TB) *place { return onPostgres(t, nil) }},
		{"MariaDB", func(t testing.TB) *place { return onMariaDB(t, nil) }},
		{"SQLite", onSQLite},
	} {
		p := engine.open(b)
		ctx := context.Background()
		n := int64(0)
		write := func(tx *sql.Tx) error {
			n++
			return p.write(ctx, tx, n)
		}
		b.Run(engine.name+"/bare", func(b *testing.B) {
			for b.Loop() {
				tx, err := p.db.BeginTx(ctx, nil)
				if err != nil {
					b.Fatal(err)
				}
				if err := write(tx); err != nil {
					b.Fatal(err)
				}
				if err := tx.Commit(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(engine.name+"/guarded", func(b *testing.B) {
			for b.Loop() {
				if err := p.Guard().Tx(ctx, resource, 5, write); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(engine.name+"/raise", func(b *testing.B) {
			for b.Loop() {
				if err := p.Guard().Raise(ctx, resource, 5); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
