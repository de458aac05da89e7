package claim

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/lease"
)

// The tests here are named after the numbered interleavings of the lease protocol; the table in
// lock/testdata/interleavings.md says where the others are.

var errLost = errors.Join(lease.ErrUnavailable, errors.New("reply lost"))

func TestInterleaving01GrantReplyLost(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		var tokens []uint64
		f := &faulty{Backend: r.be.Leases()}
		f.acquire = func(ctx context.Context, c lease.Claim, next acquireFunc) (lease.Answer, error) {
			a, err := next(ctx, c)
			tokens = append(tokens, a.Token)
			if len(tokens) < 3 {
				return lease.Answer{}, errLost
			}
			return a, err
		}
		h := r.process(f).acquire("k")
		if len(tokens) != 3 || tokens[0] == 0 || tokens[1] != tokens[0] || tokens[2] != tokens[0] {
			t.Errorf("tokens of the three sends: %v, want one and the same", tokens)
		}
		if h.Token().Sequence() != tokens[0] {
			t.Errorf("token %v, want the first grant's %v", h.Token(), tokens[0])
		}
		mustRelease(t, h)
	})
}

func TestInterleaving02ReplyDelayedPastTTL(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		p := r.process(nil)
		h := p.newHold(t.Context(), Lock("k", true))
		h.stop = func() {}
		sent := time.Now()
		time.Sleep(testTTL + time.Second)
		if held, err := h.begin(sent, testTTL, 7); held || err != nil {
			t.Errorf("a grant whose time was over on arrival: held %v, error %v; want not held", held, err)
		}
		h.cancel(nil)
	})
}

func TestInterleaving03SlowFirstSendAnsweredSecond(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		var sends atomic.Int64
		var second time.Time
		f := &faulty{Backend: r.be.Leases()}
		f.acquire = func(ctx context.Context, c lease.Claim, next acquireFunc) (lease.Answer, error) {
			if sends.Add(1) == 1 {
				if _, err := next(ctx, c); err != nil {
					t.Error(err)
				}
				time.Sleep(2 * time.Second) // does not honour its context
				return lease.Answer{}, errLost
			}
			second = time.Now()
			return next(ctx, c)
		}
		start := time.Now()
		h := r.process(f).acquire("k")
		if n := sends.Load(); n != 2 {
			t.Fatalf("%d sends, want 2", n)
		}
		// The engine granted at start; whatever the second answer says, the end is that of the first.
		if limit := start.Add(testTTL); !h.Deadline().Before(limit) {
			t.Errorf("deadline %v after the start, want less than %v", h.Deadline().Sub(start), testTTL)
		}
		if left := h.Deadline().Sub(second); left < testTTL/2 {
			t.Errorf("only %v left, counted from the send that was answered; want most of %v", left, testTTL)
		}
		mustRelease(t, h)
		time.Sleep(2 * time.Second)
	})
}

func TestInterleaving04PushDeliveredAfterWindow(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		f := &faulty{Backend: r.be.Leases()}
		f.event = func(e lease.Event, deliver func(lease.Event)) {
			go func() {
				time.Sleep(4 * time.Second) // the window is 3
				deliver(e)
			}()
		}
		// Its own renewals fail meanwhile, so nothing but the push can tell it.
		var down atomic.Bool
		down.Store(true)
		f.renew = func(ctx context.Context, items []lease.Renewal, next renewFunc) []lease.Answer {
			if down.Load() {
				return failed(len(items), errLost)
			}
			return next(ctx, items)
		}
		holder, waiter, third := r.process(nil), r.process(f), r.process(nil)
		h := holder.acquire("k")
		got := waiter.later("k")
		gotThird := third.later("k")
		mustRelease(t, h)
		time.Sleep(3500 * time.Millisecond)
		down.Store(false)
		first := <-gotThird // the window of the silent one is over
		select {
		case h := <-got:
			t.Fatalf("the late push made %v a second holder beside %v", h.Token(), first.Token())
		case <-time.After(3 * time.Second):
		}
		mustRelease(t, first)
		second := <-got
		if second.Token() <= first.Token() {
			t.Errorf("token %v after %v", second.Token(), first.Token())
		}
		mustRelease(t, second)
	})
}

func TestInterleaving05PushBeforeQueuedReply(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		holder := r.process(nil)
		h := holder.acquire("k")
		f := &faulty{Backend: r.be.Leases()}
		f.acquire = func(ctx context.Context, c lease.Claim, next acquireFunc) (lease.Answer, error) {
			a, err := next(ctx, c)
			mustRelease(t, h) // grants and pushes before the answer is out
			synctest.Wait()
			return a, err
		}
		start := time.Now()
		got := r.process(f).acquire("k")
		if d := time.Since(start); d > 100*time.Millisecond {
			t.Errorf("took %v; the push that came first was missed", d)
		}
		mustRelease(t, got)
	})
}

func TestInterleaving06PushLost(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		h := r.process(nil).acquire("k")
		f := &faulty{Backend: r.be.Leases(), event: func(lease.Event, func(lease.Event)) {}}
		got := r.process(f).later("k")
		time.Sleep(time.Second)
		start := time.Now()
		mustRelease(t, h)
		mustRelease(t, <-got)
		// Push was believed healthy, so the next look is at most TTL/3 away, with jitter.
		if d := time.Since(start); d > testTTL/3*12/10+10*time.Millisecond {
			t.Errorf("found the grant after %v, want at most one heartbeat", d)
		}
	})
}

func TestInterleaving07PushOfAnEarlierGrant(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		p := r.process(nil)
		h := p.newHold(t.Context(), Lock("k", true))
		h.stop = func() {}
		h.notify(lease.Event{Kind: lease.EventGranted, Token: 20, Until: time.Now().Add(-time.Second)}) // over
		h.notify(lease.Event{Kind: lease.EventGranted, Token: 10, Until: time.Now().Add(time.Hour)})    // older
		if held, err := h.beginPushed(); held || err != nil {
			t.Errorf("held %v, error %v; want neither push believed", held, err)
		}
		if held, _ := h.begin(time.Now(), testTTL, 10); held {
			t.Error("an answer with a token below one already heard of was believed")
		}
		h.cancel(nil)
	})
}

func TestInterleaving08ReleaseOvertakesAcquire(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		late := make(chan lease.Answer, 1)
		f := &faulty{Backend: r.be.Leases()}
		f.acquire = func(ctx context.Context, c lease.Claim, next acquireFunc) (lease.Answer, error) {
			go func() {
				time.Sleep(100 * time.Millisecond) // in the network, while the caller gives up
				sendCtx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				a, _ := next(sendCtx, c)
				late <- a
			}()
			<-ctx.Done()
			return lease.Answer{}, ctx.Err()
		}
		p := r.process(f)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := p.Acquire(ctx, Lock("k", true))
		if !errors.Is(err, lease.ErrUncertain) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want uncertain and the caller's deadline", err)
		}
		if a := <-late; a.Status != lease.Gone {
			t.Errorf("the acquire that arrived after its release was answered %v, want gone", a.Status)
		}
		if s := inspect(t, r.be.Leases(), "k"); len(s.Holders)+s.Waiting != 0 {
			t.Errorf("a ghost is left: %+v", s)
		}
	})
}

func TestInterleaving09AcquireSentAgainAfterRelease(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		var sent []lease.Claim
		f := &faulty{Backend: r.be.Leases()}
		f.acquire = func(ctx context.Context, c lease.Claim, next acquireFunc) (lease.Answer, error) {
			sent = append(sent, c)
			a, err := next(ctx, c)
			if len(sent) == 1 {
				return lease.Answer{}, errLost
			}
			return a, err
		}
		p := r.process(f)
		mustRelease(t, p.acquire("k"))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		a, err := r.be.Leases().Acquire(ctx, sent[0]) // the copy the network had kept
		if err != nil || a.Status != lease.Gone {
			t.Errorf("the stray copy was answered %v, %v; want gone", a.Status, err)
		}
	})
}

func TestInterleaving10ReleaseAndGrantCross(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		// The waiter gives up in the instant in which it is granted: its push is never looked at.
		f := &faulty{Backend: r.be.Leases(), event: func(lease.Event, func(lease.Event)) {}}
		h := r.process(nil).acquire("k")
		waiter := r.process(f)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() { _, err := waiter.Acquire(ctx, Lock("k", true)); failed <- err }()
		synctest.Wait()
		got := r.process(nil).later("k")
		mustRelease(t, h)
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the caller's cancellation", err)
		}
		start := time.Now()
		mustRelease(t, <-got)
		if d := time.Since(start); d > 100*time.Millisecond {
			t.Errorf("the next waiter got it after %v; want at once, from the release of the one that gave up", d)
		}
	})
}

func TestInterleaving12WaiterCrashesAtTheHead(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		h := r.process(nil).acquire("k")
		dead := &faulty{Backend: r.be.Leases()}
		r.process(dead).later("k")
		got := r.process(nil).later("k")
		dead.vanish()
		mustRelease(t, h) // grants to the dead one
		start := time.Now()
		mustRelease(t, <-got)
		if d := time.Since(start); d > 3*time.Second+time.Second {
			t.Errorf("the next waiter got it after %v, want about one window of 3s", d)
		}
	})
}

func TestInterleaving13ManyWaitersOfACrashedProcess(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		h := r.process(nil).acquire("k")
		dead := &faulty{Backend: r.be.Leases()}
		for range 100 { // one process each, so that a hundred stand in the queue
			r.process(dead).later("k")
		}
		got := r.process(nil).later("k")
		dead.vanish()
		time.Sleep(testTTL + time.Second) // the holder renews, the dead are silent
		start := time.Now()
		mustRelease(t, h)
		mustRelease(t, <-got)
		if d := time.Since(start); d > 10*time.Millisecond {
			t.Errorf("skipping a hundred dead waiters took %v, want one step", d)
		}
	})
}

func TestInterleaving14OnlyTheLastWaiterLives(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		dead := &faulty{Backend: r.be.Leases()}
		r.process(dead).acquire("k")
		for range 5 {
			r.process(dead).later("k")
		}
		got := r.process(nil).later("k")
		dead.vanish()
		start := time.Now()
		h := <-got
		bound := testTTL + 3*time.Second + 2*(testTTL/3)*12/10
		if d := time.Since(start); d > bound {
			t.Errorf("granted after %v, want at most TTL + window + two heartbeats = %v", d, bound)
		}
		mustRelease(t, h)
		time.Sleep(time.Minute) // the dead give up
	})
}

func TestInterleaving15HolderPausedPastTTL(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		f := &faulty{Backend: r.be.Leases()}
		h := r.process(f).acquire("k")
		f.vanish()
		got := r.process(nil).later("k")
		next := <-got
		if h.Context().Err() == nil || h.Valid(0) {
			t.Error("the old holder still believes while the next one holds")
		}
		if c := cause(h); c != lease.Unreachable {
			t.Errorf("cause %v, want unreachable", c)
		}
		if next.Token() <= h.Token() {
			t.Errorf("token %v of the next is not above %v", next.Token(), h.Token())
		}
		mustRelease(t, next)
		_ = h.Release(context.Background())
	})
}

func TestInterleaving16MachineSuspended(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		p := r.process(nil)
		var slept atomic.Int64
		p.elapsed = func(from, to time.Time) (time.Duration, time.Duration) {
			return to.Sub(from) + time.Duration(slept.Load()), to.Sub(from)
		}
		h := p.acquire("k")
		h2 := p.acquire("k2")
		time.Sleep(1500 * time.Millisecond)
		slept.Store(int64(5 * time.Second)) // less than the TTL: only the clocks tell
		if h.Valid(0) {
			t.Error("Valid right after the suspension")
		}
		time.Sleep(1100 * time.Millisecond)
		for _, h := range []*Hold{h, h2} {
			if c := cause(h); c != lease.ClockJump {
				t.Errorf("%s: cause %v, want clock jump", h.Key(), c)
			}
		}
		slept.Store(0)
	})
}

func TestInterleaving21OldUnknownAfterRegrant(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		p := r.process(nil)
		sent := time.Now()
		time.Sleep(100 * time.Millisecond)
		h := p.acquire("k")
		h.renewed(sent, lease.Answer{Status: lease.Unknown})
		if err := h.Context().Err(); err != nil {
			t.Errorf("an answer older than the grant ended it: %v", context.Cause(h.Context()))
		}
		h.renewed(time.Now(), lease.Answer{Status: lease.Unknown})
		if c := cause(h); c != lease.BackendLost {
			t.Errorf("cause %v after a fresh unknown, want backend lost", c)
		}
	})
}

func TestInterleaving31TokenWentBack(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		h := r.process(nil).acquire("k")
		h.renewed(time.Now(), lease.Answer{Status: lease.Granted, Token: h.Token().Sequence() - 1, Left: testTTL})
		if c := cause(h); c != lease.BackendRegressed {
			t.Errorf("cause %v, want backend regressed", c)
		}
	})
}

func TestInterleaving42ContextCancelledAtRelease(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		p := r.process(nil)
		ctx, cancel := context.WithCancel(t.Context())
		h, err := p.Acquire(ctx, Lock("k", true))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if h.Context().Err() != nil {
			t.Error("the end of the acquire's context ended the hold")
		}
		if err := h.Release(ctx); err != nil {
			t.Errorf("release with a cancelled context: %v", err)
		}
		if s := inspect(t, r.be.Leases(), "k"); len(s.Holders) != 0 {
			t.Errorf("still held: %+v", s)
		}
	})
}

func TestInterleaving43CloseWhileAcquireInFlight(t *testing.T) {
	bubble(t, func(t *testing.T, r rig) {
		f := &faulty{Backend: r.be.Leases()}
		f.acquire = func(ctx context.Context, c lease.Claim, next acquireFunc) (lease.Answer, error) {
			time.Sleep(300 * time.Millisecond)
			return next(ctx, c)
		}
		p := r.process(f)
		failed := make(chan error, 1)
		go func() { _, err := p.Acquire(context.Background(), Lock("k", true)); failed <- err }()
		synctest.Wait()
		if err := p.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-failed; !errors.Is(err, lease.ErrClosed) {
			t.Errorf("error %v, want closed", err)
		}
		if s := inspect(t, r.be.Leases(), "k"); len(s.Holders)+s.Waiting != 0 {
			t.Errorf("left behind: %+v", s)
		}
	})
}
