package sqlbackend

import (
	"context"
	"strings"
	"time"
)

// sqlite keeps resources as BLOB, which compares byte by byte.
type sqlite struct{ table string }

func (s *sqlite) schema() string {
	return `CREATE TABLE IF NOT EXISTS ` + s.table + ` (
	resource  BLOB    NOT NULL PRIMARY KEY,
	token     INTEGER NOT NULL,
	raised_at INTEGER NOT NULL
) WITHOUT ROWID`
}

const liteNow = `CAST(strftime('%s', 'now') AS INTEGER)`

// raise writes first. A transaction that begins so waits for the one writer that the database lets
// in, and reads what that one has left; one that reads first would fail instead of waiting.
func (s *sqlite) raise(ctx context.Context, q querier, resource string, token int64) (int64, error) {
	_, err := q.ExecContext(ctx, `INSERT INTO `+s.table+` (resource, token, raised_at) VALUES (?, ?, `+liteNow+`)
ON CONFLICT (resource) DO UPDATE SET token = excluded.token, raised_at = excluded.raised_at WHERE excluded.token >= token`,
		[]byte(resource), token)
	if err != nil {
		return 0, err
	}
	return s.mark(ctx, q, resource)
}

func (s *sqlite) atomic() bool { return false }

func (s *sqlite) mark(ctx context.Context, q querier, resource string) (int64, error) {
	return scan(q.QueryRowContext(ctx, `SELECT token FROM `+s.table+` WHERE resource = ?`, []byte(resource)))
}

func (s *sqlite) stale(ctx context.Context, q querier, above string, age time.Duration, limit int) ([]string, error) {
	return names(q.QueryContext(ctx, `SELECT resource FROM `+s.table+`
WHERE resource > ? AND raised_at < `+liteNow+` - ? ORDER BY resource LIMIT ?`, []byte(above), seconds(age), limit))
}

func (s *sqlite) forget(ctx context.Context, q querier, resources []string, age time.Duration) (int64, error) {
	var args []any
	for _, r := range resources {
		args = append(args, []byte(r))
	}
	list := strings.TrimSuffix(strings.Repeat("?, ", len(resources)), ", ")
	return affected(q.ExecContext(ctx, `DELETE FROM `+s.table+`
WHERE resource IN (`+list+`) AND raised_at < `+liteNow+` - ?`, append(args, seconds(age))...))
}
