package sqlfaults

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/concord-go/concord/backend/sqlbackend"
	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed"
)

// server is what is done to a database by the tests that do harm.
type server interface {
	Addr() string
	Kill()
	Restart() error
	Pause() error
	Resume() error
}

// eachServer runs a test on a server of its own of each kind.
func eachServer(t *testing.T, run func(t *testing.T, s server, driver, dsn string, dialect sqlbackend.Dialect)) {
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		s := testbed.StartPostgres(t, nil)
		run(t, s, "pgx", s.URL(), sqlbackend.PostgreSQL)
	})
	t.Run("MariaDB", func(t *testing.T) {
		t.Parallel()
		s := testbed.StartMariaDB(t, nil)
		run(t, s, "mysql", s.DSN(), sqlbackend.MySQL)
	})
}

// restart starts the server again and drops the connections of before: the first call on each would
// fail, with an error that may pass.
func (p *place) restart(t *testing.T, s server) {
	t.Helper()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	p.db.SetMaxIdleConns(0)
	p.db.SetMaxIdleConns(idleConns)
}

// stands wants mark and counter to be what one transaction has left.
func (p *place) stands(t *testing.T, ctx context.Context, mark uint64, counter int64) {
	t.Helper()
	got, err := p.Fences().Mark(ctx, resource)
	if err != nil || uint64(got) != mark {
		t.Errorf("the mark is %v, %v, want %d", got, err, mark)
	}
	if n := p.counter(t); n != counter {
		t.Errorf("the counter is %d, want %d", n, counter)
	}
}

// TestKilledBetweenRaiseAndCommit: mark and data go back together, and what was committed before
// stays.
func TestKilledBetweenRaiseAndCommit(t *testing.T) {
	eachServer(t, func(t *testing.T, s server, driver, dsn string, dialect sqlbackend.Dialect) {
		ctx := bounded(t)
		p := open(t, driver, dsn, dialect, nil)
		p.writes(t, ctx, 5, 1)
		err := p.Guard().Tx(ctx, resource, 7, func(tx *sql.Tx) error {
			if err := p.write(ctx, tx, 2); err != nil {
				return err
			}
			s.Kill()
			return nil
		})
		if !isUncertain(err) {
			t.Errorf("commit on a killed server: %v, want uncertain", err)
		}
		if err := p.Guard().Raise(ctx, resource, 7); !mayPass(err) {
			t.Errorf("raise on a killed server: %v, want one that may pass", err)
		}
		p.restart(t, s)
		p.stands(t, ctx, 5, 1)
		p.writes(t, ctx, 7, 2)
		p.refused(t, ctx, 5, 7)
	})
}

// TestKilledAfterTheCommit: what was answered is there after a kill.
func TestKilledAfterTheCommit(t *testing.T) {
	eachServer(t, func(t *testing.T, s server, driver, dsn string, dialect sqlbackend.Dialect) {
		ctx := bounded(t)
		p := open(t, driver, dsn, dialect, nil)
		for token := uint64(1); token <= 5; token++ {
			if err := p.Guard().Raise(ctx, resource, 10*fenceToken(token)); err != nil {
				t.Fatal(err)
			}
			p.writes(t, ctx, 10*fenceToken(token)+1, int64(token))
			s.Kill()
			p.restart(t, s)
			p.stands(t, ctx, 10*token+1, int64(token))
			p.refused(t, ctx, 10*fenceToken(token), 10*fenceToken(token)+1)
		}
	})
}

// TestConnectionLostAtTheCommit loses the request or the answer. The caller is told that nobody
// knows, and mark and data agree.
func TestConnectionLostAtTheCommit(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules faultnet.Rules
		done  bool
	}{
		{"request", faultnet.Rules{Requests: faultnet.Faults{Reset: 1}}, false},
		{"answer", faultnet.Rules{Replies: faultnet.Faults{Reset: 1}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			each := func(t *testing.T, p *place, driver, dsn, addr string) {
				ctx := bounded(t)
				p.writes(t, ctx, 5, 1)
				n := faultnet.New(faultnet.Seed(t))
				t.Cleanup(n.Close)
				proxy, err := n.Proxy(addr)
				if err != nil {
					t.Fatal(err)
				}
				far := p.join(t, connect(t, driver, strings.Replace(dsn, addr, proxy.Addr(), 1)), nil)
				rules := c.rules
				rules.After = func(request []byte) bool { return bytes.Contains(bytes.ToLower(request), []byte("commit")) }
				n.Set(rules)
				err = far.Guard().Tx(ctx, resource, 7, func(tx *sql.Tx) error { return p.write(ctx, tx, 2) })
				if !isUncertain(err) {
					t.Errorf("%v, want uncertain", err)
				}
				if hits := n.Counts(); hits.Requests.Resets+hits.Replies.Resets != 1 {
					t.Errorf("%d connections were reset, want 1", hits.Requests.Resets+hits.Replies.Resets)
				}
				// The server may still be at it; whoever raises waits for that.
				if err := p.Guard().Raise(ctx, resource, 5); (err == nil) == c.done {
					t.Errorf("raise of the token before: %v", err)
				}
				if c.done {
					p.stands(t, ctx, 7, 2)
				} else {
					p.stands(t, ctx, 5, 1)
				}
			}
			t.Run("PostgreSQL", func(t *testing.T) {
				u, err := url.Parse(postgresURL(t))
				if err != nil {
					t.Fatal(err)
				}
				each(t, onPostgres(t, nil), "pgx", u.String(), u.Host)
			})
			t.Run("MariaDB", func(t *testing.T) {
				dsn, err := mysql.ParseDSN(mariadbDSN(t))
				if err != nil {
					t.Fatal(err)
				}
				each(t, onMariaDB(t, nil), "mysql", mariadbDSN(t), dsn.Addr)
			})
		})
	}
}

// TestServerHangs: every call returns when its ctx ends, also from a commit, which drivers may not
// give up. Close waits for what was left alone.
func TestServerHangs(t *testing.T) {
	const patience, slack = 300 * time.Millisecond, 2 * time.Second
	eachServer(t, func(t *testing.T, s server, driver, dsn string, dialect sqlbackend.Dialect) {
		p := open(t, driver, dsn, dialect, nil)
		ctx := bounded(t)
		p.writes(t, ctx, 5, 1)
		prompt := func(what string, uncertain bool, call func(ctx context.Context) error) {
			t.Helper()
			short, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			start := time.Now()
			err := call(short)
			if took := time.Since(start); took > patience+slack {
				t.Errorf("%s took %v", what, took)
			}
			if !errors.Is(err, context.DeadlineExceeded) || isUncertain(err) != uncertain {
				t.Errorf("%s: %v, want the deadline, uncertain %v", what, err, uncertain)
			}
		}
		be := p.join(t, p.db, nil)
		prompt("commit", true, func(short context.Context) error {
			return be.Guard().Tx(short, resource, 7, func(tx *sql.Tx) error {
				if err := p.write(short, tx, 2); err != nil {
					return err
				}
				return s.Pause()
			})
		})
		prompt("begin", false, func(short context.Context) error {
			return be.Guard().Tx(short, resource, 7, func(*sql.Tx) error { return nil })
		})
		prompt("raise", false, func(short context.Context) error { return be.Fences().Raise(short, resource, 7) })
		prompt("mark", false, func(short context.Context) error {
			_, err := be.Fences().Mark(short, resource)
			return err
		})
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
		if err := be.Close(ctx); err != nil {
			t.Error(err)
		}
		mark, err := p.Fences().Mark(ctx, resource)
		if err != nil {
			t.Fatal(err)
		}
		// The raise that was left alone may have been made without the write, but not the reverse.
		if n := p.counter(t); n == 2 && mark != 7 {
			t.Errorf("the counter is %d below the mark %v", n, mark)
		}
	})
}

// TestPausedInsideATransaction: the holder of a guarded transaction that does not go on blocks the
// next one until the database ends its connection. Its commit fails then.
func TestPausedInsideATransaction(t *testing.T) {
	run := func(t *testing.T, p *place, driver, limited string) {
		ctx := bounded(t)
		p.writes(t, ctx, 5, 1)
		be := p.join(t, connect(t, driver, limited), nil)
		next := make(chan error, 1)
		err := be.Guard().Tx(ctx, resource, 5, func(tx *sql.Tx) error {
			if err := p.write(ctx, tx, 2); err != nil {
				return err
			}
			go func() {
				next <- p.Guard().Tx(ctx, resource, 7, func(tx *sql.Tx) error { return p.write(ctx, tx, 3) })
			}()
			if err := <-next; err != nil {
				t.Errorf("the next holder: %v", err)
			}
			return nil
		})
		if err == nil {
			t.Error("a transaction was committed that the database had ended")
		}
		t.Logf("the paused holder is told: %v", err)
		p.stands(t, ctx, 7, 3)
	}
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		s := testbed.StartPostgres(t, nil)
		run(t, open(t, "pgx", s.URL(), sqlbackend.PostgreSQL, nil), "pgx", s.URL()+"&idle_in_transaction_session_timeout=500")
	})
	t.Run("MariaDB", func(t *testing.T) {
		t.Parallel()
		s := testbed.StartMariaDB(t, nil)
		run(t, open(t, "mysql", s.DSN(), sqlbackend.MySQL, nil), "mysql", s.DSN()+"?idle_transaction_timeout=1")
	})
}

// TestSQLiteProcessIsKilled: a copy of the files as a killed process leaves them is whole.
func TestSQLiteProcessIsKilled(t *testing.T) {
	p := onSQLite(t)
	ctx := bounded(t)
	p.writes(t, ctx, 5, 1)
	left := t.TempDir()
	err := p.Guard().Tx(ctx, resource, 7, func(tx *sql.Tx) error {
		if err := p.write(ctx, tx, 2); err != nil {
			return err
		}
		return copyFiles(filepath.Dir(p.file(t, ctx)), left)
	})
	if err != nil {
		t.Fatal(err)
	}
	after := *p
	after.db = connect(t, "sqlite", liteDSN(filepath.Join(left, "test.db")))
	after.Backend = p.join(t, after.db, nil)
	after.stands(t, ctx, 5, 1)
	p.stands(t, ctx, 7, 2)
}
