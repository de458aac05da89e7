package claim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/lease"
)

func TestHoldIsRenewedForADay(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		p := r.process(nil)
		h := p.acquire("k")
		time.Sleep(24 * time.Hour)
		if !h.Valid(testTTL / 2) {
			t.Fatalf("lost: %v", context.Cause(h.Context()))
		}
		p.mu.Lock()
		n := p.renewed
		p.mu.Unlock()
		// One renewal each third of the TTL.
		if want := int(24 * time.Hour / (testTTL / 3)); n < want-1 || n > want+want/50 {
			t.Errorf("%d renewals in a day, want about %d", n, want)
		}
		mustRelease(t, h)
	})
}

func TestHoldEndsBeforeTheEngineLetsGo(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		f := &faulty{Backend: r.be.Leases()}
		start := time.Now()
		h := r.process(f, func(o *Options) { o.NoRenew = true }).acquire("k")
		<-h.Context().Done()
		if d := time.Since(start); d >= testTTL || d < testTTL-300*time.Millisecond {
			t.Errorf("ended after %v, want shortly before the TTL of %v", d, testTTL)
		}
		if s := inspect(t, r.be.Leases(), "k"); len(s.Holders) != 1 {
			t.Error("the engine let go before the holder did")
		}
		if c := cause(h); c != lease.Expired {
			t.Errorf("cause %v, want expired", c)
		}
		_ = h.Release(context.Background())
	})
}

func TestDeadlineHoldsWhileRenewalsHang(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		f := &faulty{Backend: r.be.Leases()}
		h := r.process(f).acquire("k")
		hang := make(chan struct{})
		f.change(func() {
			f.renew = func(_ context.Context, items []lease.Renewal, _ renewFunc) []lease.Answer {
				<-hang // a client library that ignores its context
				return failed(len(items), errLost)
			}
		})
		start := time.Now()
		<-h.Context().Done()
		if d := time.Since(start); d >= testTTL {
			t.Errorf("ended after %v, want before %v", d, testTTL)
		}
		if c := cause(h); c != lease.Unreachable {
			t.Errorf("cause %v, want unreachable", c)
		}
		close(hang)
		_ = h.Release(context.Background())
	})
}

func TestRenewalsSurviveAnOutageShorterThanTheTTL(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		f := &faulty{Backend: r.be.Leases()}
		h := r.process(f).acquire("k")
		var down atomic.Bool
		f.change(func() {
			f.renew = func(ctx context.Context, items []lease.Renewal, next renewFunc) []lease.Answer {
				if down.Load() {
					return failed(len(items), errLost)
				}
				return next(ctx, items)
			}
		})
		for range 20 {
			down.Store(true)
			time.Sleep(testTTL / 2)
			down.Store(false)
			time.Sleep(testTTL)
		}
		if !h.Valid(0) {
			t.Errorf("lost: %v", context.Cause(h.Context()))
		}
		mustRelease(t, h)
	})
}

func TestEngineThatForgot(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		h := r.process(nil).acquire("k")
		r.be.Control().Lose("k")
		start := time.Now()
		<-h.Context().Done()
		if d := time.Since(start); d > testTTL/3+time.Second {
			t.Errorf("noticed after %v, want with the next renewal", d)
		}
		if c := cause(h); c != lease.BackendLost {
			t.Errorf("cause %v, want backend lost", c)
		}
		if s := inspect(t, r.be.Leases(), "k"); len(s.Holders) != 0 {
			t.Error("a renewal recreated what the engine had lost")
		}
		if err := h.Release(t.Context()); !errors.Is(err, lease.ErrNotHeld) || !errors.Is(err, lease.ErrLost) {
			t.Errorf("release: %v, want not held, with the loss", err)
		}
	})
}

func TestGrantsGoInOrderThroughOneClaimPerProcess(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		p := r.process(nil)
		h := p.acquire("k")
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				h := p.acquire("k")
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Millisecond)
				mustRelease(t, h)
			})
			synctest.Wait()
		}
		if s := inspect(t, r.be.Leases(), "k"); s.Waiting != 1 {
			t.Errorf("ten goroutines of one process wait with %d claims, want 1", s.Waiting)
		}
		mustRelease(t, h)
		wg.Wait()
		for i, got := range order {
			if got != i {
				t.Fatalf("order %v, want as they came", order)
			}
		}
	})
}

func TestGivingUpInTheLocalLine(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		p := r.process(nil)
		h := p.acquire("k")
		p.later("k")
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() { _, err := p.Acquire(ctx, Lock("k", true)); failed <- err }()
		synctest.Wait()
		last := p.later("k")
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want canceled", err)
		}
		mustRelease(t, h)
		synctest.Wait()
		select {
		case <-last:
			t.Error("the last in line overtook the one before it")
		default:
		}
	})
}

func TestSilentEngine(t *testing.T) {
	for _, queue := range []bool{true, false} {
		t.Run(fmt.Sprintf("queue=%v", queue), func(t *testing.T) {
			bubble(t, func(t *testing.T, r rig) {
				f := &faulty{Backend: r.be.Leases()}
				f.vanish()
				start := time.Now()
				_, err := r.process(f).Acquire(context.Background(), Lock("k", queue))
				if !errors.Is(err, lease.ErrUnavailable) || !errors.Is(err, lease.ErrUncertain) {
					t.Errorf("error %v, want unavailable and uncertain", err)
				}
				if d, limit := time.Since(start), patience(testTTL, queue)+2*time.Second; d > limit {
					t.Errorf("gave up after %v, want at most %v", d, limit)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestFinalFailureIsNotRepeated(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		refused := errors.New("no permission")
		sends := 0
		f := &faulty{Backend: r.be.Leases()}
		f.acquire = func(context.Context, lease.Claim, acquireFunc) (lease.Answer, error) {
			sends++
			return lease.Answer{}, refused
		}
		_, err := r.process(f).Acquire(t.Context(), Lock("k", true))
		if !errors.Is(err, refused) || errors.Is(err, lease.ErrUncertain) || sends != 1 {
			t.Errorf("error %v after %d sends, want the failure itself after one", err, sends)
		}
	})
}

func TestReleaseUnanswered(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		f := &faulty{Backend: r.be.Leases()}
		p := r.process(f)
		h := p.acquire("k")
		var down atomic.Bool
		down.Store(true)
		f.change(func() {
			f.release = func(ctx context.Context, rel lease.Release, next releaseFunc) (lease.Released, error) {
				if down.Load() {
					<-ctx.Done()
					return 0, ctx.Err()
				}
				return next(ctx, rel)
			}
		})
		start := time.Now()
		if err := h.Release(t.Context()); !errors.Is(err, lease.ErrUncertain) {
			t.Errorf("release: %v, want uncertain", err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("release took %v, want at most two attempts", d)
		}
		if h.Context().Err() == nil {
			t.Error("the hold is still believed in")
		}
		down.Store(false)
		time.Sleep(2 * time.Second)
		if s := inspect(t, r.be.Leases(), "k"); len(s.Holders) != 0 {
			t.Error("the background clean-up did not release")
		}
		if p.cleaned != 1 {
			t.Errorf("%d clean-ups reported, want 1", p.cleaned)
		}
	})
}

func TestReleaseAnsweredLate(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		f := &faulty{Backend: r.be.Leases()}
		h := r.process(f).acquire("k")
		sends := 0
		f.change(func() {
			f.release = func(ctx context.Context, rel lease.Release, next releaseFunc) (lease.Released, error) {
				found, err := next(ctx, rel)
				if sends++; sends == 1 {
					return 0, errLost
				}
				return found, err
			}
		})
		if err := h.Release(t.Context()); err != nil || sends != 2 {
			t.Errorf("release: %v after %d sends; want nil, as the unanswered one did it", err, sends)
		}
		if err := h.Release(t.Context()); err != nil || sends != 2 {
			t.Errorf("second release: %v, %d sends in all; want the first result and no send", err, sends)
		}
	})
}

func TestAskedToLeave(t *testing.T) {
	for _, listens := range []bool{true, false} {
		t.Run(fmt.Sprintf("listens=%v", listens), func(t *testing.T) {
			bubble(t, func(t *testing.T, r rig) {
				p := r.process(nil)
				h := p.acquire("k")
				got := r.process(nil).later("k")
				start := time.Now()
				found, err := r.be.Leases().Revoke(t.Context(), lease.Revocation{
					Key: "k", Token: h.Token().Sequence(), Reason: "deploy", Grace: 20 * time.Second})
				if !found || err != nil {
					t.Fatalf("revoke: %v, %v", found, err)
				}
				<-h.Context().Done()
				lost, _ := context.Cause(h.Context()).(*lease.LostError)
				if lost == nil || lost.Cause != lease.Revoked || lost.Reason != "deploy" {
					t.Errorf("cause %v, want revoked with its reason", lost)
				}
				if !h.Valid(time.Second) {
					t.Error("the claim is not kept for the grace")
				}
				want := 20 * time.Second
				if listens {
					time.Sleep(12 * time.Second) // longer than the TTL: it is still renewed
					mustRelease(t, h)
					want = 12 * time.Second
				}
				mustRelease(t, <-got)
				if d := time.Since(start); d < want || d > want+100*time.Millisecond {
					t.Errorf("the next got it after %v, want %v", d, want)
				}
			})
		})
	}
}

func TestRevokedByForce(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		h := r.process(nil).acquire("k")
		r.be.Control().Revoke("k", "operator")
		synctest.Wait()
		if c := cause(h); c != lease.Revoked || h.Valid(0) {
			t.Errorf("cause %v, valid %v; want revoked at once", c, h.Valid(0))
		}
		if err := h.Release(t.Context()); !errors.Is(err, lease.ErrNotHeld) {
			t.Errorf("release: %v, want not held", err)
		}
	})
}

func TestCloseReleasesEverything(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		p := r.process(nil)
		var holds []*Hold
		for i := range 200 {
			holds = append(holds, p.acquire(fmt.Sprint("k", i)))
		}
		blocked := r.process(nil).acquire("other")
		waiting := make(chan error, 1)
		go func() { _, err := p.Acquire(context.Background(), Lock("other", true)); waiting <- err }()
		synctest.Wait()
		if err := p.Close(t.Context()); err != nil {
			t.Fatalf("close: %v", err)
		}
		if err := <-waiting; !errors.Is(err, lease.ErrClosed) {
			t.Errorf("the waiter got %v, want closed", err)
		}
		for _, h := range holds {
			if c := cause(h); c != lease.Closed {
				t.Fatalf("%s: cause %v, want closed", h.Key(), c)
			}
			if s := inspect(t, r.be.Leases(), h.Key()); len(s.Holders) != 0 {
				t.Fatalf("%s is still held", h.Key())
			}
		}
		if s := inspect(t, r.be.Leases(), "other"); s.Waiting != 0 {
			t.Error("the waiter left its claim in the queue")
		}
		if _, err := p.Acquire(t.Context(), Lock("k", true)); !errors.Is(err, lease.ErrClosed) {
			t.Errorf("acquire after close: %v", err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Errorf("second close: %v", err)
		}
		mustRelease(t, blocked)
	})
}

func TestCallsThatNeverReturn(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		hang := make(chan struct{})
		var inside atomic.Int64
		f := &faulty{Backend: r.be.Leases()}
		f.acquire = func(_ context.Context, c lease.Claim, next acquireFunc) (lease.Answer, error) {
			if c.Key == "held" {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				return next(ctx, c)
			}
			inside.Add(1)
			<-hang
			inside.Add(-1)
			return lease.Answer{}, errLost
		}
		p := r.process(f)
		held := p.acquire("held")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				if _, err := p.Acquire(ctx, Lock(fmt.Sprint("k", i), true)); err == nil {
					t.Error("acquired on an engine that hangs")
				}
			})
		}
		wg.Wait()
		// All 200 may be inside at once before the first is given up; none is added after that.
		if n := inside.Load(); n > 200 {
			t.Errorf("%d calls hang, want no more than were under way at first", n)
		}
		if !held.Valid(0) {
			t.Errorf("renewals were starved: %v", context.Cause(held.Context()))
		}
		closeCtx, cancelClose := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancelClose()
		if err := p.Close(closeCtx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v, want the context's end, as calls have not returned", err)
		}
		close(hang)
	})
}

func TestTenThousandHoldsAreRenewedInBatches(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		f := &faulty{Backend: r.be.Leases()}
		var batches, items atomic.Int64
		f.renew = func(ctx context.Context, list []lease.Renewal, next renewFunc) []lease.Answer {
			batches.Add(1)
			items.Add(int64(len(list)))
			return next(ctx, list)
		}
		p := r.process(f)
		for i := range 10_000 {
			p.acquire(fmt.Sprint("k", i))
			if i%100 == 0 {
				time.Sleep(10 * time.Millisecond) // acquired over one second
			}
		}
		time.Sleep(testTTL / 3 * 10)
		if b, n := batches.Load(), items.Load(); b > 60 || n < 90_000 {
			t.Errorf("%d renewals in %d batches over ten thirds of the TTL, want about 100000 in a few each", n, b)
		}
		if len(p.lost) != 0 {
			t.Errorf("%d holds lost, first: %v", len(p.lost), p.lost[0])
		}
	})
}
