package claim

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/concord-go/concord/lease"
)

func TestUnknownAfterTheDeadlineIsExpiry(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		h := r.process(nil).acquire("k")
		h.mu.Lock()
		h.timer.Stop() // the process was paused: its timer is due and has not run yet
		h.end = time.Now()
		h.mu.Unlock()
		h.renewed(time.Now(), lease.Answer{Status: lease.Unknown})
		if c := cause(h); c != lease.Expired {
			t.Errorf("cause %v, want expired", c)
		}
	})
}

// The engine sees the deadline pass before the context's own timer has fired.
func TestDeadlineSeenByTheEngineFirst(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		f := &faulty{Backend: r.be.Leases()}
		p := r.process(f)
		h := p.acquire("k")
		n := 0
		f.release = func(ctx context.Context, rel lease.Release, next releaseFunc) (lease.Released, error) {
			if n++; n == 1 {
				return 0, context.DeadlineExceeded // as memorybackend.do, ctx.Err() is still nil
			}
			return next(ctx, rel)
		}
		if err := h.Release(context.Background()); err != nil && !errors.Is(err, lease.ErrUncertain) {
			t.Errorf("release: %v, want nil or uncertain", err)
		}
		time.Sleep(time.Second)
		if s := inspect(t, r.be.Leases(), "k"); len(s.Holders) != 0 {
			t.Errorf("still held, and nobody cleans up")
		}
		n = 0
		f.acquire = func(ctx context.Context, c lease.Claim, next acquireFunc) (lease.Answer, error) {
			if n++; n == 1 {
				return lease.Answer{}, context.DeadlineExceeded
			}
			return next(ctx, c)
		}
		if h, err := p.Acquire(context.Background(), Lock("k2", true)); err != nil {
			t.Errorf("acquire without a deadline of the caller: %v", err)
		} else {
			mustRelease(t, h)
		}
	})
}
