package sqlfaults

import (
	"context"
	"crypto/rand"
	"database/sql"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/backend/sqlbackend"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/lock"
)

// eventually bounds the wait for what must happen, but has no promised time.
const eventually = 20 * time.Second

// idleConns is enough for the goroutines of a test, so that none dials for each transaction.
const idleConns = 16

// place is a database with a backend, and a table of its own for a counter.
type place struct {
	*sqlbackend.Backend
	dialect sqlbackend.Dialect
	db      *sql.DB
	prefix  string
	table   string
}

// each runs a test on every database.
func each(t *testing.T, run func(t *testing.T, p *place)) {
	eachWith(t, nil, run)
}

func eachWith(t *testing.T, o *sqlbackend.Options, run func(t *testing.T, p *place)) {
	on := func(name string, open func(t testing.TB) *place) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
	on("PostgreSQL", func(t testing.TB) *place { return onPostgres(t, o) })
	on("MariaDB", func(t testing.TB) *place { return onMariaDB(t, o) })
	if o == nil || o.Isolation == sql.LevelDefault {
		on("SQLite", onSQLite)
	}
}

func onPostgres(t testing.TB, o *sqlbackend.Options) *place {
	return open(t, "pgx", postgresURL(t), sqlbackend.PostgreSQL, o)
}

// postgresURL is the address of the server that tests share.
func postgresURL(t testing.TB) string {
	testbed.NeedPostgres(t)
	if url := testbed.PostgresURL(); url != "" {
		return url
	}
	return sharedPostgres.get(t).URL()
}

func onMariaDB(t testing.TB, o *sqlbackend.Options) *place {
	return open(t, "mysql", mariadbDSN(t), sqlbackend.MySQL, o)
}

// mariadbDSN is the address of the server that tests share.
func mariadbDSN(t testing.TB) string {
	testbed.NeedMariaDB(t)
	if dsn := testbed.MariaDBDSN(); dsn != "" {
		return dsn
	}
	return sharedMariaDB.get(t).DSN()
}

func onSQLite(t testing.TB) *place {
	return open(t, "sqlite", liteDSN(filepath.Join(t.TempDir(), "test.db")), sqlbackend.SQLite, nil)
}

// liteDSN names a file with the settings of the package comment of sqlbackend.
func liteDSN(file string) string {
	return "file:" + file + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)"
}

// connect opens a pool that is closed with the test.
func connect(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // a server that was killed leaves broken connections
	db.SetMaxIdleConns(idleConns)
	return db
}

// open makes tables under a prefix of their own, which are dropped with the test.
func open(t testing.TB, driver, dsn string, dialect sqlbackend.Dialect, o *sqlbackend.Options) *place {
	t.Helper()
	p := &place{dialect: dialect, db: connect(t, driver, dsn), prefix: "t" + strings.ToLower(rand.Text()[:10])}
	p.table = p.prefix + "_counters"
	p.Backend = p.join(t, p.db, o)
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	if err := p.CreateSchema(ctx); err != nil {
		t.Fatal(err)
	}
	p.exec(t, "CREATE TABLE "+p.table+" (id INT PRIMARY KEY, n BIGINT NOT NULL)")
	p.exec(t, "INSERT INTO "+p.table+" VALUES (1, 0)")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventually)
		defer cancel()
		for _, table := range []string{p.table, p.marks()} {
			_, _ = p.db.ExecContext(ctx, "DROP TABLE "+table) // the server may be down
		}
	})
	return p
}

// marks is the name of the table of marks.
func (p *place) marks() string { return p.prefix + "_marks_1" }

// join returns the backend of another process on the same tables.
func (p *place) join(t testing.TB, db *sql.DB, o *sqlbackend.Options) *sqlbackend.Backend {
	t.Helper()
	var opt sqlbackend.Options
	if o != nil {
		opt = *o
	}
	opt.Prefix = p.prefix
	opt.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	be, err := sqlbackend.New(db, p.dialect, &opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventually)
		defer cancel()
		if err := be.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return be
}

func (p *place) exec(t testing.TB, query string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	if _, err := p.db.ExecContext(ctx, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// read and write are the two halves of an addition.
func (p *place) read(ctx context.Context, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (n int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT n FROM "+p.table+" WHERE id = 1").Scan(&n)
	return n, err
}

func (p *place) write(ctx context.Context, q interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, n int64) error {
	arg := "?"
	if p.dialect == sqlbackend.PostgreSQL {
		arg = "$1"
	}
	_, err := q.ExecContext(ctx, "UPDATE "+p.table+" SET n = "+arg+" WHERE id = 1", n)
	return err
}

// counter is what stands in the table.
func (p *place) counter(t testing.TB) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	n, err := p.read(ctx, p.db)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// bounded returns a context that bounds a test.
func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*eventually)
	t.Cleanup(cancel)
	return ctx
}

// lockers returns how to make lockers on one lock service in memory, whose faults are controlled.
func lockers(t testing.TB) (join func(*lock.Options) *lock.Locker, control *memorybackend.Control) {
	t.Helper()
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	closing := func(c interface{ Close(context.Context) error }) {
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), eventually)
			defer cancel()
			if err := c.Close(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	closing(be)
	return func(o *lock.Options) *lock.Locker {
		var opt lock.Options
		if o != nil {
			opt = *o
		}
		opt.Hooks = &lock.Hooks{} // losses are meant to happen
		locks, err := lock.New(be.Leases(), &opt)
		if err != nil {
			t.Fatal(err)
		}
		closing(locks)
		return locks
	}, be.Control()
}
