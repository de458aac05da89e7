package sqlfaults

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/concord-go/concord/fence"
)

const (
	key      = "orders/1"
	resource = key
)

// refused wants a late write to be fenced out by the mark, and the counter to be what it was.
func (p *place) refused(t *testing.T, ctx context.Context, token, mark fence.Token) {
	t.Helper()
	before := p.counter(t)
	ran := false
	err := p.Guard().Tx(ctx, resource, token, func(tx *sql.Tx) error {
		ran = true
		return p.write(ctx, tx, -1)
	})
	var fenced *fence.FencedError
	want := fence.FencedError{Resource: resource, Token: token, Mark: mark}
	if !errors.As(err, &fenced) || *fenced != want {
		t.Errorf("late write: %v, want %v", err, &want)
	}
	if ran {
		t.Error("the function of a refused transaction was run")
	}
	if n := p.counter(t); n != before {
		t.Errorf("the counter is %d, want %d", n, before)
	}
}

// writes sets the counter under a token that is good.
func (p *place) writes(t *testing.T, ctx context.Context, token fence.Token, n int64) {
	t.Helper()
	if err := p.Guard().Tx(ctx, resource, token, func(tx *sql.Tx) error { return p.write(ctx, tx, n) }); err != nil {
		t.Fatal(err)
	}
	if got := p.counter(t); got != n {
		t.Fatalf("the counter is %d, want %d", got, n)
	}
}

// TestPausedHolderIsFencedOut: A reads and is paused, its lock lapses, B takes over. A's write is
// refused as soon as B has raised the mark, before B writes for the first time.
func TestPausedHolderIsFencedOut(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		ctx := bounded(t)
		join, control := lockers(t)
		a, err := join(nil).Acquire(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		p.writes(t, ctx, a.Token(), 1)
		p.writes(t, ctx, a.Token(), 2) // an equal token is good

		control.ExpireNow(key) // while A is paused
		b, err := join(nil).Acquire(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		if b.Token() <= a.Token() {
			t.Fatalf("tokens %v and then %v", a.Token(), b.Token())
		}
		// B reads, in a transaction that writes nothing of its own.
		err = p.Guard().Tx(ctx, resource, b.Token(), func(tx *sql.Tx) error {
			n, err := p.read(ctx, tx)
			if n != 2 {
				t.Errorf("B reads %d, want 2", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		p.refused(t, ctx, a.Token(), b.Token())
		p.writes(t, ctx, b.Token(), 3)
		p.refused(t, ctx, a.Token(), b.Token())
		if err := a.Release(ctx); err == nil {
			t.Error("A released a lock that it had lost")
		}
		if err := b.Release(ctx); err != nil {
			t.Error(err)
		}
	})
}

// TestRaiseClosesTheWindow: the same with the other ways to raise.
func TestRaiseClosesTheWindow(t *testing.T) {
	for name, raise := range map[string]func(p *place, ctx context.Context, token fence.Token) error{
		"Guard.Raise": func(p *place, ctx context.Context, token fence.Token) error {
			return p.Guard().Raise(ctx, resource, token)
		},
		"Fences.Raise": func(p *place, ctx context.Context, token fence.Token) error {
			return p.Fences().Raise(ctx, resource, token)
		},
		"Guard.RaiseIn": func(p *place, ctx context.Context, token fence.Token) error {
			tx, err := p.db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }() // after a commit there is nothing to do
			if err := p.Guard().RaiseIn(ctx, tx, resource, token); err != nil {
				return err
			}
			return tx.Commit()
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, p *place) {
				ctx := bounded(t)
				p.writes(t, ctx, 5, 1)
				if err := raise(p, ctx, 7); err != nil {
					t.Fatal(err)
				}
				p.refused(t, ctx, 5, 7)
				if err := raise(p, ctx, 6); !errors.Is(err, fence.ErrFenced) {
					t.Errorf("a lower token: %v, want fenced out", err)
				}
				p.writes(t, ctx, 7, 2)
			})
		})
	}
}

// TestRolledBackTransactionLeavesNoMark: what was not committed protects nothing, and changes
// nothing.
func TestRolledBackTransactionLeavesNoMark(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		ctx := bounded(t)
		p.writes(t, ctx, 5, 1)
		errOwn := errors.New("the function's own")
		fails := func() error { return errOwn }
		panics := func() error { panic(errOwn) }
		cancelled, cancel := context.WithCancel(ctx)
		for _, c := range []struct {
			name string
			ctx  context.Context
			end  func() error
			want error
		}{
			{"error", ctx, fails, errOwn},
			{"panic", ctx, panics, errOwn},
			{"end of ctx", cancelled, func() error { cancel(); return nil }, context.Canceled},
			{"end of ctx before", cancelled, fails, context.Canceled},
		} {
			err := func() (err error) {
				defer func() {
					if r := recover(); r != nil {
						err = r.(error)
					}
				}()
				return p.Guard().Tx(c.ctx, resource, 9, func(tx *sql.Tx) error {
					if err := p.write(ctx, tx, 2); err != nil {
						t.Error(err)
					}
					return c.end()
				})
			}()
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			if mark, err := p.Fences().Mark(ctx, resource); mark != 5 || err != nil {
				t.Errorf("%s: mark %v, %v, want 5", c.name, mark, err)
			}
			p.writes(t, ctx, 5, 1)
		}
	})
}

// TestFunctionThatEndsItsTransaction is told so: it must not look like a commit of ours.
func TestFunctionThatEndsItsTransaction(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		ctx := bounded(t)
		for _, end := range []func(tx *sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
			err := p.Guard().Tx(ctx, resource, 5, end)
			if !errors.Is(err, sql.ErrTxDone) || !isUncertain(err) {
				t.Errorf("%v, want uncertain and ErrTxDone", err)
			}
		}
	})
}
