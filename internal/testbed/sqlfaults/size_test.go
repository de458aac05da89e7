//go:build !race

package sqlfaults

import (
	"fmt"
	"testing"

	"github.com/concord-go/concord/backend/sqlbackend"
)

// TestExactBytesOfAMark measures what docs/operations.md says, with names of 20 bytes.
func TestExactBytesOfAMark(t *testing.T) {
	const marks, most = 4_000, 250
	size := map[sqlbackend.Dialect]string{
		sqlbackend.PostgreSQL: "SELECT pg_total_relation_size('%s')",
		sqlbackend.MySQL:      "SELECT data_length + index_length FROM information_schema.tables WHERE table_name = '%s'",
		sqlbackend.SQLite:     "SELECT sum(pgsize) FROM dbstat WHERE name = '%s'",
	}
	each(t, func(t *testing.T, p *place) {
		ctx := bounded(t)
		tx, err := p.db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range marks {
			if err := p.Guard().RaiseIn(ctx, tx, fmt.Sprintf("orders/%013d", i*7919%marks), 1_793_000_000_000_000); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		var bytes int64
		if p.dialect == sqlbackend.MySQL {
			p.exec(t, "ANALYZE TABLE "+p.marks())
		}
		if err := p.db.QueryRowContext(ctx, fmt.Sprintf(size[p.dialect], p.marks())).Scan(&bytes); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d bytes for each mark", bytes/marks)
		if bytes/marks > most || bytes == 0 {
			t.Errorf("%d bytes for each mark, want at most %d", bytes/marks, most)
		}
	})
}
