package sqlfaults

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/sqlbackend"
)

// overlap lets B begin a guarded transaction while A is in the middle of one, and returns what B
// read of the counter, which A set to 1.
func overlap(t *testing.T, p *place) (n int64, err error) {
	ctx := bounded(t)
	p.writes(t, ctx, 4, 0)
	inside, result := make(chan struct{}), make(chan error, 1)
	waiting := p.join(t, p.db, nil)
	go func() {
		<-inside
		result <- p.Guard().Tx(ctx, resource, 6, func(tx *sql.Tx) (err error) {
			n, err = p.read(ctx, tx)
			return err
		})
	}()
	err = waiting.Guard().Tx(ctx, resource, 5, func(tx *sql.Tx) error {
		if err := p.write(ctx, tx, 1); err != nil {
			return err
		}
		close(inside)
		select { // long enough for B to arrive; if it came later it would not wait, and read the same
		case err := <-result:
			t.Errorf("B did not wait for A: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, <-result
}

// TestReadsBeginAfterTheWait: whoever waits for another holder reads what that one has committed,
// also where a transaction keeps one snapshot to its end.
func TestReadsBeginAfterTheWait(t *testing.T) {
	want := func(t *testing.T, p *place) {
		if n, err := overlap(t, p); n != 1 || err != nil {
			t.Errorf("B reads %d, %v, want 1", n, err)
		}
	}
	each(t, want)
	for _, level := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable} {
		t.Run("MariaDB "+level.String(), func(t *testing.T) { want(t, onMariaDB(t, &sqlbackend.Options{Isolation: level})) })
	}
}

// TestSerializationFailureMayPass: above read committed PostgreSQL ends the one that has waited.
func TestSerializationFailureMayPass(t *testing.T) {
	for _, level := range []sql.IsolationLevel{sql.LevelRepeatableRead, sql.LevelSerializable} {
		t.Run(level.String(), func(t *testing.T) {
			_, err := overlap(t, onPostgres(t, &sqlbackend.Options{Isolation: level}))
			wantCode(t, err, "40001", 0)
		})
	}
}

// TestRaiseInMustComeFirst shows what happens otherwise: the caller goes on with a snapshot in which
// an earlier holder has not written yet.
func TestRaiseInMustComeFirst(t *testing.T) {
	late := func(t *testing.T, p *place, level sql.IsolationLevel) (n int64, err error) {
		ctx := bounded(t)
		p.writes(t, ctx, 4, 0)
		tx, err := p.db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }() // the test is over
		if _, err := p.read(ctx, tx); err != nil {
			t.Fatal(err)
		}
		p.writes(t, ctx, 5, 1)
		if err := p.Guard().RaiseIn(ctx, tx, resource, 6); err != nil {
			return 0, err
		}
		return p.read(ctx, tx)
	}
	t.Run("MariaDB", func(t *testing.T) {
		if n, err := late(t, onMariaDB(t, nil), sql.LevelRepeatableRead); n != 0 || err != nil {
			t.Errorf("read %d, %v: the documented danger is gone", n, err)
		}
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		_, err := late(t, onPostgres(t, nil), sql.LevelRepeatableRead)
		wantCode(t, err, "40001", 0)
	})
	t.Run("SQLite", func(t *testing.T) {
		if _, err := late(t, onSQLite(t), sql.LevelDefault); !mayPass(err) { // SQLITE_BUSY_SNAPSHOT
			t.Errorf("%v, want one that may pass", err)
		}
	})
}

// TestDeadlockMayPass: two transactions raise two marks in opposite order. The database ends one,
// and repeating it helps.
func TestDeadlockMayPass(t *testing.T) {
	deadlock := func(t *testing.T, p *place) {
		ctx := bounded(t)
		met := make(chan struct{}, 2)
		both := make(chan struct{})
		two := func(first, second string, meet bool) error {
			return p.Guard().Tx(ctx, first, 5, func(tx *sql.Tx) error {
				if meet {
					met <- struct{}{}
					<-both
				}
				return p.Guard().RaiseIn(ctx, tx, second, 5)
			})
		}
		results := make(chan error, 2)
		go func() { results <- two("a", "b", true) }()
		go func() { results <- two("b", "a", true) }()
		<-met
		<-met
		close(both)
		err, other := <-results, <-results
		if err == nil {
			err, other = other, err
		}
		if other != nil {
			t.Errorf("both failed: %v and %v", err, other)
		}
		wantCode(t, err, "40P01", 1213)
		if err := two("b", "a", false); err != nil {
			t.Errorf("repeated: %v", err)
		}
	}
	t.Run("PostgreSQL", func(t *testing.T) { deadlock(t, onPostgres(t, nil)) })
	t.Run("MariaDB", func(t *testing.T) { deadlock(t, onMariaDB(t, nil)) })
}

// TestBusyMayPass: a SQLite whose only writer stays too long says so with an error that may pass.
func TestBusyMayPass(t *testing.T) {
	p := onSQLite(t)
	ctx := bounded(t)
	impatient := connect(t, "sqlite", "file:"+p.file(t, ctx)+"?_pragma=busy_timeout(1)")
	err := p.Guard().Tx(ctx, resource, 5, func(*sql.Tx) error {
		return p.join(t, impatient, nil).Guard().Raise(ctx, "another", 5)
	})
	if !mayPass(err) {
		t.Errorf("%v, want one that may pass", err)
	}
}

// file is where a SQLite database is.
func (p *place) file(t *testing.T, ctx context.Context) (file string) {
	t.Helper()
	if err := p.db.QueryRowContext(ctx, "SELECT file FROM pragma_database_list").Scan(&file); err != nil {
		t.Fatal(err)
	}
	return file
}
