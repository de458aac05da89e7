package memorybackend

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/fence"
)

func TestGuardRefusesLowerTokens(t *testing.T) {
	e := newEngine(t)
	g, ran := e.Guard(), 0
	work := func() error { ran++; return nil }
	for _, token := range []fence.Token{5, 5, 7} {
		if err := g.Do(e.ctx(), "r", token, work); err != nil {
			t.Errorf("token %v: %v", token, err)
		}
	}
	var fenced *fence.FencedError
	if err := g.Do(e.ctx(), "r", 6, work); !errors.As(err, &fenced) || *fenced != (fence.FencedError{Resource: "r", Token: 6, Mark: 7}) {
		t.Errorf("err = %v", err)
	}
	if err := e.Fences().Raise(e.ctx(), "r", 9); err != nil {
		t.Error(err)
	}
	if err := g.Raise(e.ctx(), "r", 8); !errors.Is(err, fence.ErrFenced) {
		t.Errorf("err = %v", err)
	}
	if err := g.Do(e.ctx(), "other", 1, work); err != nil {
		t.Errorf("another resource: %v", err)
	}
	if err := g.Do(e.ctx(), "r", 0, work); !errors.Is(err, fence.ErrInvalid) {
		t.Errorf("err = %v", err)
	}
	if err := g.Do(e.ctx(), "", 1, work); !errors.Is(err, fence.ErrInvalid) {
		t.Errorf("err = %v", err)
	}
	if ran != 4 {
		t.Errorf("ran %d times", ran)
	}
	boom := errors.New("boom")
	if err := g.Do(e.ctx(), "r", 9, func() error { return boom }); !errors.Is(err, boom) {
		t.Errorf("err = %v", err)
	}
}

// A mark raised while an older holder is writing would let it write after the new one has read.
func TestRaiseWaitsForTheWorkUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		working := make(chan error)
		go func() {
			working <- e.Guard().Do(t.Context(), "r", 1, func() error { time.Sleep(time.Minute); return nil })
		}()
		synctest.Wait()
		if err := e.Fences().Raise(e.ctx(), "r", 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Raise during Do = %v", err)
		}
		if err := e.Guard().Raise(e.ctx(), "another", 2); err != nil {
			t.Errorf("another resource: %v", err)
		}
		if mark, err := e.Fences().Mark(e.ctx(), "r"); mark != 1 || err != nil {
			t.Errorf("mark %v, %v", mark, err)
		}
		start := time.Now()
		if err := e.Fences().Raise(t.Context(), "r", 2); err != nil || time.Since(start) == 0 {
			t.Errorf("Raise = %v after %v", err, time.Since(start))
		}
		if err := <-working; err != nil {
			t.Error(err)
		}
	})
}

func TestGuardIsFreeAfterAPanic(t *testing.T) {
	e := newEngine(t)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = e.Guard().Do(e.ctx(), "r", 3, func() error { panic("in fn") })
	}()
	if err := e.Guard().Raise(e.ctx(), "r", 2); !errors.Is(err, fence.ErrFenced) {
		t.Errorf("err = %v", err)
	}
	if err := e.Guard().Raise(e.ctx(), "r", 3); err != nil {
		t.Errorf("err = %v", err)
	}
}

func TestGuardHonoursContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		fn := func() error { t.Error("ran"); return nil }
		if err := e.Guard().Do(ctx, "r", 1, fn); !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v", err)
		}
		end := make(chan struct{})
		go func() {
			_ = e.Guard().Do(t.Context(), "r", 1, func() error { <-end; return nil })
		}()
		synctest.Wait()
		result := make(chan error)
		go func() { result <- e.Guard().Do(t.Context(), "r", 2, fn) }()
		synctest.Wait()
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-result; !errors.Is(err, errClosed) {
			t.Errorf("err = %v", err)
		}
		close(end)
	})
}
