package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite

	"github.com/concord-go/concord/backend/sqlbackend"
	"github.com/concord-go/concord/election"
)

// ledger is the database: where each job stands, and what was recorded of its ticks.
type ledger struct {
	db      *sql.DB
	fences  *sqlbackend.Backend
	dialect sqlbackend.Dialect
	reach   func() // called before the database is
}

func openLedger(ctx context.Context, name string) (*ledger, error) {
	driver, source, dialect := "pgx", name, sqlbackend.PostgreSQL
	switch {
	case strings.HasPrefix(name, "sqlite://"):
		driver, dialect = "sqlite", sqlbackend.SQLite
		source = "file:" + strings.TrimPrefix(name, "sqlite://") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate"
	case !strings.HasPrefix(name, "postgres://"):
		return nil, fmt.Errorf("-db must be sqlite or postgres://user:password@host/name, not %q", name)
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
	return &ledger{db, fences, dialect, func() {}}, nil
}

func (l *ledger) close() { l.db.Close() }

// begin makes the tables anew, with a schedule that starts behind start. Nothing but the guard keeps
// a tick from being recorded twice, so that the count at the end means something. A program of yours
// would have a unique key as well.
func (l *ledger) begin(ctx context.Context, jobs []*job, start time.Time) error {
	for _, q := range []string{
		"DROP TABLE IF EXISTS cron_jobs", "DROP TABLE IF EXISTS cron_runs", "DROP TABLE IF EXISTS cron_ticks", "DROP TABLE IF EXISTS cron_left",
		"CREATE TABLE cron_jobs (job TEXT PRIMARY KEY, last BIGINT NOT NULL)",
		"CREATE TABLE cron_runs (job TEXT NOT NULL, tick BIGINT NOT NULL, replica INTEGER NOT NULL)",
		"CREATE TABLE cron_ticks (job TEXT NOT NULL, tick BIGINT NOT NULL, replica INTEGER NOT NULL, term BIGINT NOT NULL, output TEXT NOT NULL)",
		"CREATE TABLE cron_left (job TEXT NOT NULL, after BIGINT NOT NULL, before BIGINT NOT NULL, ticks INTEGER NOT NULL)",
	} {
		if _, err := l.db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	for _, j := range jobs {
		if _, err := l.db.ExecContext(ctx, l.sql("INSERT INTO cron_jobs VALUES (?, ?)"), j.name, start.Unix()); err != nil {
			return err
		}
	}
	return nil
}

// sql writes placeholders as the database takes them.
func (l *ledger) sql(query string) string {
	if l.dialect != sqlbackend.PostgreSQL {
		return query
	}
	for n := 1; strings.Contains(query, "?"); n++ {
		query = strings.Replace(query, "?", fmt.Sprint("$", n), 1)
	}
	return query
}

// tx runs fn in a transaction that is refused to the leaders of earlier terms.
func (l *ledger) tx(ctx context.Context, term election.Term, fn func(*sql.Tx) error) error {
	l.reach()
	return l.fences.Guard().Tx(ctx, "cron", term, fn)
}

// last reads the tick that a job has come to. No leader of an earlier term can move it after that.
func (l *ledger) last(ctx context.Context, j *job, term election.Term) (time.Time, error) {
	var last int64
	err := l.tx(ctx, term, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, l.sql("SELECT last FROM cron_jobs WHERE job = ?"), j.name).Scan(&last)
	})
	return time.Unix(last, 0).UTC(), err
}

// entry is what is recorded of a tick.
type entry struct {
	last, tick time.Time // where the job stood, and where it stands now
	left       int       // ticks between them that the policy leaves out
	replica    int
	output     string
}

// record writes the tick, what was left out before it, and where the job stands: all of it or nothing.
func (l *ledger) record(ctx context.Context, j *job, term election.Term, e entry) error {
	return l.tx(ctx, term, func(tx *sql.Tx) error {
		if e.left > 0 {
			_, err := tx.ExecContext(ctx, l.sql("INSERT INTO cron_left VALUES (?, ?, ?, ?)"), j.name, e.last.Unix(), e.tick.Unix(), e.left)
			if err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, l.sql("INSERT INTO cron_ticks VALUES (?, ?, ?, ?, ?)"), j.name, e.tick.Unix(), e.replica, int64(term), e.output)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, l.sql("UPDATE cron_jobs SET last = ? WHERE job = ?"), e.tick.Unix(), j.name)
		return err
	})
}

// note writes that a run has begun. It stands for what a run does elsewhere, where no guard is.
func (l *ledger) note(ctx context.Context, j *job, tick time.Time, replica int) error {
	l.reach()
	_, err := l.db.ExecContext(ctx, l.sql("INSERT INTO cron_runs VALUES (?, ?, ?)"), j.name, tick.Unix(), replica)
	return err
}
