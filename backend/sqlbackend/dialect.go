package sqlbackend

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/concord-go/concord/backend/check"
)

// Dialect says which database is behind a *sql.DB. It is not guessed from the driver.
type Dialect uint8

// The dialects.
const (
	PostgreSQL Dialect = iota + 1
	MySQL              // MariaDB too
	SQLite
)

// String returns the name of the database.
func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case MySQL:
		return "MySQL"
	case SQLite:
		return "SQLite"
	}
	return "Dialect(" + strconv.Itoa(int(d)) + ")"
}

// querier is what *sql.DB, *sql.Conn and *sql.Tx have in common.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// engine is what differs between the databases.
type engine interface {
	// schema returns the statement that makes the table unless it is there.
	schema() string

	// raise lifts the mark unless it is higher, and returns it. Inside a transaction the row stays
	// locked until the end.
	raise(ctx context.Context, q querier, resource string, token int64) (mark int64, err error)

	// atomic reports whether raise is one statement, so that it needs no transaction.
	atomic() bool

	// mark returns the committed mark, 0 if there is none.
	mark(ctx context.Context, q querier, resource string) (int64, error)

	// stale returns up to limit resources above the given one, in order, that were last raised
	// longer than age ago.
	stale(ctx context.Context, q querier, above string, age time.Duration, limit int) ([]string, error)

	// forget deletes those of the resources that are stale.
	forget(ctx context.Context, q querier, resources []string, age time.Duration) (int64, error)

	// diagnose reports on the database and its settings.
	diagnose(ctx context.Context, q querier, r *check.Report) error
}

func newEngine(d Dialect, o *Options) (engine, error) {
	switch d {
	case PostgreSQL:
		return &postgres{table: quoted(o.Prefix, `"`), isolation: o.Isolation}, nil
	case MySQL:
		return &mysql{table: quoted(o.Prefix, "`"), isolation: o.Isolation, prefix: o.Prefix}, nil
	case SQLite:
		return &sqlite{table: quoted(o.Prefix, `"`)}, nil
	}
	return nil, &InvalidError{Field: "dialect", Problem: "must be PostgreSQL, MySQL or SQLite"}
}

// marksTable ends the name of the table, with the version of its format.
const marksTable = "_marks_1"

// quoted returns the name of the table for statements.
func quoted(prefix, quote string) string {
	return quote + strings.Replace(prefix, ".", quote+"."+quote, 1) + marksTable + quote
}

// scan reads one number, 0 if there is no row.
func scan(row *sql.Row) (int64, error) {
	var n int64
	err := row.Scan(&n)
	if isNoRows(err) {
		return 0, nil
	}
	return n, err
}

// names reads one column of resources.
func names(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // Err has told what there is to tell
	var all []string
	for rows.Next() {
		var name []byte
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all = append(all, string(name))
	}
	return all, rows.Err()
}

// affected returns how many rows a statement has changed.
func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// seconds is what ages are counted in, rounded up so that nothing is deleted too early.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
