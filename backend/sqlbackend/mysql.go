package sqlbackend

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// mysql keeps resources as VARBINARY, which compares byte by byte, trailing spaces included.
//
// Values stand in the statements, resources as hexadecimal literals: with arguments the usual
// driver prepares each statement first, which is a round trip more.
type mysql struct {
	table     string
	prefix    string
	isolation sql.IsolationLevel
}

// The engine is named because the default of a server may be one without transactions.
func (m *mysql) schema() string {
	return `CREATE TABLE IF NOT EXISTS ` + m.table + ` (
	resource  VARBINARY(512) NOT NULL PRIMARY KEY,
	token     BIGINT NOT NULL,
	raised_at BIGINT NOT NULL
) ENGINE = InnoDB`
}

// raise is no consistent read, so it takes no snapshot: one that is taken later in the transaction
// is of a time at which the row was locked.
//
// The mark comes back as the insert id, which saves asking for it. After an insert there is none.
func (m *mysql) raise(ctx context.Context, q querier, resource string, token int64) (int64, error) {
	res, err := q.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (resource, token, raised_at) VALUES (%s, %[3]d, UNIX_TIMESTAMP())\n"+
		"ON DUPLICATE KEY UPDATE raised_at = IF(token <= %[3]d, UNIX_TIMESTAMP(), raised_at),\n"+
		"token = LAST_INSERT_ID(GREATEST(token, %[3]d))", m.table, literal(resource), token))
	if err != nil {
		return 0, err
	}
	mark, err := res.LastInsertId()
	if err == nil && mark == 0 {
		mark = token
	}
	return mark, err
}

func (m *mysql) atomic() bool { return true }

func (m *mysql) mark(ctx context.Context, q querier, resource string) (int64, error) {
	return scan(q.QueryRowContext(ctx, "SELECT token FROM "+m.table+" WHERE resource = "+literal(resource)))
}

func (m *mysql) stale(ctx context.Context, q querier, above string, age time.Duration, limit int) ([]string, error) {
	return names(q.QueryContext(ctx, fmt.Sprintf("SELECT resource FROM %s WHERE resource > %s AND raised_at < UNIX_TIMESTAMP() - %d\n"+
		"ORDER BY resource LIMIT %d", m.table, literal(above), seconds(age), limit)))
}

func (m *mysql) forget(ctx context.Context, q querier, resources []string, age time.Duration) (int64, error) {
	list := make([]string, len(resources))
	for i, r := range resources {
		list[i] = literal(r)
	}
	return affected(q.ExecContext(ctx, fmt.Sprintf("DELETE FROM %s WHERE resource IN (%s) AND raised_at < UNIX_TIMESTAMP() - %d",
		m.table, strings.Join(list, ", "), seconds(age))))
}

// literal writes any bytes with hexadecimal digits only.
func literal(s string) string { return fmt.Sprintf("x'%x'", s) }
