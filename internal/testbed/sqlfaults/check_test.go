package sqlfaults

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/concord-go/concord/backend/check"
	"github.com/concord-go/concord/backend/sqlbackend"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/lease"
)

// finds wants a finding of that level and subject whose text has the words.
func finds(t *testing.T, be *sqlbackend.Backend, level check.Level, subject, words string) {
	t.Helper()
	r, err := be.Diagnose(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Level == level && f.Subject == subject && strings.Contains(f.Text, words) {
			return
		}
	}
	t.Errorf("no %s of %s with %q in:\n%s", level, subject, words, r)
}

func TestCheckOfAGoodServer(t *testing.T) {
	good := func(t *testing.T, p *place) {
		r, err := p.Diagnose(bounded(t))
		if err != nil || r.Worst() != check.LevelOK {
			t.Errorf("%v\n%s", err, r)
		}
		if err := p.join(t, p.db, &sqlbackend.Options{Strict: true}).Check(bounded(t)); err != nil {
			t.Error(err)
		}
		t.Log(r)
		if n := p.rows(t); n != 0 {
			t.Errorf("the check has left %d marks", n)
		}
	}
	t.Run("PostgreSQL", func(t *testing.T) {
		s := testbed.StartPostgres(t, &testbed.PostgresOptions{Settings: []string{"idle_in_transaction_session_timeout=30s"}})
		good(t, open(t, "pgx", s.URL(), sqlbackend.PostgreSQL, nil))
	})
	t.Run("MariaDB", func(t *testing.T) {
		s := testbed.StartMariaDB(t, &testbed.MariaDBOptions{Args: []string{"--idle-transaction-timeout=30"}})
		good(t, open(t, "mysql", s.DSN(), sqlbackend.MySQL, nil))
	})
	t.Run("SQLite", func(t *testing.T) { good(t, onSQLite(t)) })
}

// rows counts the marks.
func (p *place) rows(t testing.TB) (n int) {
	t.Helper()
	if err := p.db.QueryRowContext(bounded(t), "SELECT count(*) FROM "+p.marks()).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCheckOfAWeakServer(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		s := testbed.StartPostgres(t, &testbed.PostgresOptions{Settings: []string{
			"fsync=off", "full_page_writes=off", "synchronous_commit=off", "default_transaction_isolation=serializable",
		}})
		p := open(t, "pgx", s.URL(), sqlbackend.PostgreSQL, nil)
		finds(t, p.Backend, check.LevelWarning, "durability", "fsync is off, full_page_writes is off, synchronous_commit is off")
		finds(t, p.Backend, check.LevelWarning, "isolation", "serializable")
		finds(t, p.Backend, check.LevelWarning, "waiting", "idle_in_transaction_session_timeout")
		readOnly := p.join(t, connect(t, "pgx", s.URL()+"&default_transaction_read_only=on"), nil)
		finds(t, readOnly, check.LevelError, "role", "read-only")
		finds(t, readOnly, check.LevelError, "commands", "25006")
	})
	t.Run("MariaDB", func(t *testing.T) {
		s := testbed.StartMariaDB(t, &testbed.MariaDBOptions{Args: []string{
			"--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=0", "--log-bin", "--sync-binlog=0",
			"--transaction-isolation=READ-UNCOMMITTED", "--read-only",
		}})
		p := open(t, "mysql", s.DSN(), sqlbackend.MySQL, nil)
		finds(t, p.Backend, check.LevelWarning, "durability",
			"innodb_flush_log_at_trx_commit is 2, innodb_doublewrite is off, sync_binlog is 0")
		finds(t, p.Backend, check.LevelWarning, "isolation", "read uncommitted")
		finds(t, p.Backend, check.LevelWarning, "waiting", "28800 s (wait_timeout)")
		finds(t, p.Backend, check.LevelError, "role", "read_only")
		p.exec(t, "ALTER TABLE "+p.marks()+" ENGINE = MyISAM")
		finds(t, p.Backend, check.LevelError, "table", "MyISAM")
		finds(t, p.Backend, check.LevelError, "commands", "does not support transactions")
		noCommits := p.join(t, connect(t, "mysql", s.DSN()+"?autocommit=0"), nil)
		finds(t, noCommits, check.LevelError, "autocommit", "not committed")
	})
	t.Run("SQLite", func(t *testing.T) {
		p := onSQLite(t)
		file := filepath.Join(t.TempDir(), "weak.db")
		weak := p.join(t, connect(t, "sqlite", "file:"+file+"?_pragma=journal_mode(off)&_pragma=synchronous(off)"), nil)
		finds(t, weak, check.LevelWarning, "durability", "journal_mode is off, synchronous is 0")
		finds(t, weak, check.LevelWarning, "waiting", "busy_timeout is 0")
		finds(t, p.join(t, connect(t, "sqlite", ":memory:"), nil), check.LevelWarning, "durability", "not a file")
	})
}

// TestCheckFindsWhatIsMissing: a table that nobody has made, and a server that is not there.
func TestCheckFindsWhatIsMissing(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		p.exec(t, "DROP TABLE "+p.marks())
		finds(t, p.Backend, check.LevelError, "commands", "CreateSchema makes the table")
		var failed *check.Error
		if err := p.Check(bounded(t)); !errors.As(err, &failed) {
			t.Errorf("Check: %v, want a *check.Error", err)
		}
		for range 2 { // it may be called again
			if err := p.CreateSchema(bounded(t)); err != nil {
				t.Fatal(err)
			}
		}
		p.writes(t, bounded(t), 5, 1)
	})
	for driver, c := range map[string]struct {
		dsn     string
		dialect sqlbackend.Dialect
	}{
		"pgx":   {"postgres://nobody@127.0.0.1:1/none?sslmode=disable", sqlbackend.PostgreSQL},
		"mysql": {"nobody@tcp(127.0.0.1:1)/none", sqlbackend.MySQL},
	} {
		be, err := sqlbackend.New(connect(t, driver, c.dsn), c.dialect, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := be.Check(bounded(t)); !errors.Is(err, lease.ErrUnavailable) {
			t.Errorf("%s: %v, want unavailable", driver, err)
		}
		if err := be.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := be.Check(bounded(t)); !errors.Is(err, lease.ErrClosed) {
			t.Errorf("%s: %v, want closed", driver, err)
		}
	}
}
