package sqlfaults

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/concord-go/concord/backend/sqlbackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/faultnet"
)

// ledger is a table into which each guarded transaction writes its token at the next position. It
// finds that by reading, so a gap, or two at one position, tells of transactions that overlapped.
type ledger struct {
	*place
	table    string
	accepted atomic.Int64
	refused  atomic.Int64
	again    atomic.Int64 // runs that failed with an error that may pass
}

func newLedger(t *testing.T, p *place) *ledger {
	l := &ledger{place: p, table: p.prefix + "_ledger"}
	p.exec(t, "CREATE TABLE "+l.table+" (pos BIGINT PRIMARY KEY, token BIGINT NOT NULL)")
	t.Cleanup(func() { p.exec(t, "DROP TABLE "+l.table) })
	return l
}

// write appends a token, again and again while errors may pass.
func (l *ledger) write(ctx context.Context, guard *sqlbackend.Guard, token fence.Token) error {
	for {
		err := guard.Tx(ctx, resource, token, func(tx *sql.Tx) error {
			var last int64
			if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(pos), 0) FROM "+l.table).Scan(&last); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s VALUES (%d, %d)", l.table, last+1, token))
			return err
		})
		switch {
		case err == nil:
			l.accepted.Add(1)
			return nil
		case errors.Is(err, fence.ErrFenced):
			l.refused.Add(1)
			return nil
		case !mayPass(err) || ctx.Err() != nil:
			return err
		}
		l.again.Add(1)
	}
}

// check reads the ledger: its positions are those of the commits.
func (l *ledger) check(t *testing.T, ctx context.Context) {
	t.Helper()
	rows, err := l.db.QueryContext(ctx, "SELECT pos, token FROM "+l.table+" ORDER BY pos")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }() // Err has told what there is to tell
	count, last := int64(0), fence.Token(0)
	for rows.Next() {
		var pos int64
		var token fence.Token
		if err := rows.Scan(&pos, &token); err != nil {
			t.Fatal(err)
		}
		if count++; pos != count {
			t.Fatalf("position %d follows %d", pos, count-1)
		}
		if token < last {
			t.Fatalf("position %d: token %v was committed after %v", pos, token, last)
		}
		last = token
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if count != l.accepted.Load() {
		t.Errorf("%d entries, want %d", count, l.accepted.Load())
	}
	if mark, err := l.Fences().Mark(ctx, resource); err != nil || mark != last {
		t.Errorf("the mark is %v, %v, the last entry %v", mark, err, last)
	}
}

// hammer lets writers with tokens that mostly rise write at the same time.
func (l *ledger) hammer(t *testing.T, o *sqlbackend.Options) {
	const writers, rounds, window = 8, 40, 12
	ctx := bounded(t)
	seed := faultnet.Seed(t)
	var next atomic.Uint64
	next.Store(window)
	var all sync.WaitGroup
	for i := range writers {
		guard := l.join(t, l.db, o).Guard()
		dice := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for range rounds {
				token := fence.Token(next.Add(1) - uint64(dice.IntN(window)))
				if err := l.write(ctx, guard, token); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	l.check(t, ctx)
	if l.refused.Load() == 0 {
		t.Error("no token was refused")
	}
	t.Logf("%d committed, %d refused, %d repeated", l.accepted.Load(), l.refused.Load(), l.again.Load())
}

// TestCommitsFollowTheOrderOfTokens lets many write at once on each database.
func TestCommitsFollowTheOrderOfTokens(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		l := newLedger(t, p)
		l.hammer(t, nil)
		if n := l.again.Load(); n != 0 {
			t.Errorf("%d transactions had to be repeated at the default level", n)
		}
	})
}

// TestCommitsFollowTheOrderAtEveryLevel does it at each isolation level.
func TestCommitsFollowTheOrderAtEveryLevel(t *testing.T) {
	for _, level := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable} {
		t.Run(level.String(), func(t *testing.T) {
			o := &sqlbackend.Options{Isolation: level}
			eachWith(t, o, func(t *testing.T, p *place) { newLedger(t, p).hammer(t, o) })
		})
	}
}
