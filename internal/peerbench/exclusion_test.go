package peerbench

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

// exclusion notices when two are inside of one lock. The zero value is ready.
type exclusion struct {
	inside atomic.Int32
	broken atomic.Bool
}

// enter is called by whoever got the lock, and what it returns before the lock is given back.
func (x *exclusion) enter() (leave func()) {
	if x.inside.Add(1) != 1 {
		x.broken.Store(true)
	}
	return func() { x.inside.Add(-1) }
}

// everybody is a contender that excludes nobody.
type everybody struct{}

func (everybody) with(ctx context.Context, _ string, fn func()) error {
	fn()
	return ctx.Err()
}

func (everybody) close() error { return nil }

func TestTwoHoldersAreNoticed(t *testing.T) {
	open := []contender{everybody{}, everybody{}}
	if _, err := compete(t.Context(), server{}, open, 1000); !errors.Is(err, errNotAlone) {
		t.Errorf("compete = %v, want %v", err, errNotAlone)
	}
}
