package workers

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// One call after the other is run by one goroutine. Of many at a time, some wait for more work.
func TestPoolUsesGoroutinesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		idle := func() int {
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.idle)
		}
		ran := 0
		for range 100 {
			p.Run(func() { ran++ })
			synctest.Wait()
		}
		if n := idle(); ran != 100 || n != 1 {
			t.Errorf("%d calls ran, %d goroutines are idle, want 100 and 1", ran, n)
		}
		var together atomic.Int64
		for range 100 {
			p.Run(func() {
				together.Add(1)
				time.Sleep(time.Second)
			})
		}
		synctest.Wait()
		if n := together.Load(); n != 100 {
			t.Errorf("%d calls run at the same time, want 100", n)
		}
		time.Sleep(time.Second)
		if n := idle(); n != maxIdle {
			t.Errorf("%d goroutines are idle, want %d", n, maxIdle)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Close waits for what runs, or for its ctx, and what comes later runs all the same.
func TestPoolClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		p.Run(func() { time.Sleep(time.Second) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		start := time.Now()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second/2 {
			t.Errorf("closed with %v after %v", err, time.Since(start))
		}
		if err := p.Close(t.Context()); err != nil || time.Since(start) != time.Second {
			t.Errorf("closed with %v after %v", err, time.Since(start))
		}
		ran := false
		p.Run(func() { ran = true })
		if err := p.Close(t.Context()); err != nil || !ran {
			t.Errorf("closed with %v, ran: %v", err, ran)
		}
	})
}

// A Group may grow while it is waited for.
func TestGroupGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		if err := g.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		start := time.Now()
		g.Go(func() {
			time.Sleep(time.Second)
			g.Go(func() { time.Sleep(time.Second) })
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if err := g.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waited with %v", err)
		}
		if err := g.Wait(t.Context()); err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("waited for %v with %v", time.Since(start), err)
		}
	})
}
