package sqlbackend

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// postgres keeps resources as BYTEA, which compares byte by byte whatever the collation.
type postgres struct {
	table     string
	isolation sql.IsolationLevel
}

func (p *postgres) schema() string {
	return `CREATE TABLE IF NOT EXISTS ` + p.table + ` (
	resource  BYTEA  NOT NULL PRIMARY KEY,
	token     BIGINT NOT NULL,
	raised_at BIGINT NOT NULL
)`
}

const pgNow = `extract(epoch FROM clock_timestamp())::bigint`

// raise waits for the row, also for one that another transaction is about to insert. In a
// transaction above read committed it fails if the row has changed since the snapshot.
func (p *postgres) raise(ctx context.Context, q querier, resource string, token int64) (int64, error) {
	return scan(q.QueryRowContext(ctx, `INSERT INTO `+p.table+` AS m (resource, token, raised_at)
VALUES ($1, $2, `+pgNow+`)
ON CONFLICT (resource) DO UPDATE SET
	token = GREATEST(m.token, excluded.token),
	raised_at = CASE WHEN m.token <= excluded.token THEN excluded.raised_at ELSE m.raised_at END
RETURNING m.token`, []byte(resource), token))
}

func (p *postgres) atomic() bool { return true }

func (p *postgres) mark(ctx context.Context, q querier, resource string) (int64, error) {
	return scan(q.QueryRowContext(ctx, `SELECT token FROM `+p.table+` WHERE resource = $1`, []byte(resource)))
}

func (p *postgres) stale(ctx context.Context, q querier, above string, age time.Duration, limit int) ([]string, error) {
	return names(q.QueryContext(ctx, `SELECT resource FROM `+p.table+`
WHERE resource > $1 AND raised_at < `+pgNow+` - $2 ORDER BY resource LIMIT $3`, []byte(above), seconds(age), limit))
}

func (p *postgres) forget(ctx context.Context, q querier, resources []string, age time.Duration) (int64, error) {
	args := []any{seconds(age)}
	var list strings.Builder
	for i, r := range resources {
		fmt.Fprintf(&list, ", $%d", i+2)
		args = append(args, []byte(r))
	}
	return affected(q.ExecContext(ctx, `DELETE FROM `+p.table+`
WHERE resource IN (`+list.String()[2:]+`) AND raised_at < `+pgNow+` - $1`, args...))
}
