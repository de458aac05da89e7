package memorybackend

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/lease"
)

// TestStopMeansSilence stops watches while their events are being delivered.
func TestStopMeansSilence(t *testing.T) {
	e := newEngine(t)
	c := exclusive("k")
	c.TTL = lease.MaxTTL
	token := e.acquire(c, lease.Granted).Token
	stopAsking := make(chan struct{})
	var asking sync.WaitGroup
	for range 2 {
		asking.Go(func() {
			for {
				select {
				case <-stopAsking:
					return
				default:
					if _, err := e.Leases().Revoke(t.Context(), lease.Revocation{Key: "k", Token: token}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	var watching sync.WaitGroup
	for range 4 {
		watching.Go(func() {
			for range 25 {
				var stopped atomic.Bool
				told := make(chan struct{}, 1)
				stop := e.Leases().Watch("k", c.Attempt, func(lease.Event) {
					if stopped.Load() {
						t.Error("notify after stop")
					}
					select {
					case told <- struct{}{}:
					default:
					}
				})
				<-told
				stop()
				stopped.Store(true)
				stop()
			}
		})
	}
	watching.Wait()
	close(stopAsking)
	asking.Wait()
	e.release(ended(c), lease.WasHeld)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.table.watchers) > 0 {
		t.Errorf("%d watchers left", len(e.table.watchers))
	}
}

func TestStopWaitsForTheCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		c := exclusive("k")
		running := false
		stop := e.Leases().Watch("k", c.Attempt, func(lease.Event) {
			running = true
			time.Sleep(time.Minute)
			running = false
		})
		e.acquire(c, lease.Granted)
		e.Control().Revoke("k", "")
		synctest.Wait()
		stop()
		if running {
			t.Error("stop returned while notify was running")
		}
	})
}

// A callback may use the backend, whatever events that makes.
func TestCallbackMayCallTheBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		c := exclusive("k")
		token := e.acquire(c, lease.Granted).Token
		var kinds []lease.EventKind
		defer e.Leases().Watch("k", c.Attempt, func(ev lease.Event) {
			kinds = append(kinds, ev.Kind)
			if ev.Kind == lease.EventAsked {
				e.Control().Revoke("k", "too slow")
			}
		})()
		found, err := e.Leases().Revoke(e.ctx(), lease.Revocation{Key: "k", Token: token, Reason: "please", Grace: time.Second})
		if err != nil || !found {
			t.Fatal(found, err)
		}
		synctest.Wait()
		if want := []lease.EventKind{lease.EventAsked, lease.EventRevoked}; !slices.Equal(kinds, want) {
			t.Errorf("events %v, want %v", kinds, want)
		}
	})
}

// A callback that ends its goroutine, as t.FailNow does, blocks neither its stop nor the others.
func TestCallbackMayExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		c := exclusive("k")
		calls := 0
		stop := e.Leases().Watch("k", c.Attempt, func(lease.Event) {
			calls++
			runtime.Goexit()
		})
		e.acquire(c, lease.Granted)
		e.Control().Revoke("k", "")
		synctest.Wait()
		e.acquire(c, lease.Granted)
		e.Control().Revoke("k", "")
		synctest.Wait()
		stop()
		if calls != 2 {
			t.Errorf("%d calls", calls)
		}
	})
}

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		ctx, cancel := context.WithCancel(t.Context())
		var got []lease.Change
		result := make(chan error)
		go func() {
			result <- e.Leases().Observe(ctx, "k", func(c lease.Change) { got = append(got, c) })
		}()
		synctest.Wait()

		quiet, c, d := exclusive("k"), exclusive("k"), exclusive("k")
		c.Announce, d.Announce = true, true
		e.acquire(quiet, lease.Granted)
		e.release(ended(quiet), lease.WasHeld)
		first := e.acquire(c, lease.Granted).Token
		meta := lease.Renewal{Key: "k", Attempt: c.Attempt, TTL: c.TTL, MetaSeq: 1, Meta: []byte("m")}
		e.renewAs(meta, lease.Granted)
		e.renewAs(meta, lease.Granted) // the same again is no change
		e.release(ended(c), lease.WasHeld)
		second := e.acquire(d, lease.Granted).Token
		time.Sleep(d.TTL + lookEvery) // notices the end
		synctest.Wait()
		party := func(c lease.Claim, token uint64, meta []byte) lease.Party {
			return lease.Party{Attempt: c.Attempt, Owner: c.Owner, Meta: meta, Token: token, Weight: 1}
		}
		want := []lease.Change{
			{Kind: lease.ChangeGap},
			{Kind: lease.ChangeSeated, Party: party(c, first, nil)},
			{Kind: lease.ChangeMeta, Party: party(c, first, []byte("m"))},
			{Kind: lease.ChangeEnded, Party: lease.Party{Token: first}},
			{Kind: lease.ChangeSeated, Party: party(d, second, nil)},
			{Kind: lease.ChangeEnded, Party: lease.Party{Token: second}},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("changes %+v\nwant %+v", got, want)
		}
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v", err)
		}
		time.Sleep(time.Minute)
		e.inspect("another key")
		e.empty()
	})
}

func TestObserverIsToldOfGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		gaps := 0
		go func() {
			_ = e.Leases().Observe(ctx, "k", func(c lease.Change) {
				if c.Kind == lease.ChangeGap {
					gaps++
				}
			})
		}()
		synctest.Wait()
		for i, lose := range []func(){
			func() {}, // the beginning
			func() { e.Control().Lose("k") },
			func() { e.Control().Flush() },
			func() { e.Control().DropEvents(true); e.Control().DropEvents(false) },
		} {
			lose()
			synctest.Wait()
			if gaps != i+1 {
				t.Errorf("%d gaps, want %d", gaps, i+1)
			}
		}
	})
}

func TestSlowObserverSeesAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		ctx, cancel := context.WithCancel(t.Context())
		var gaps, changes int
		goOn := make(chan struct{})
		go func() {
			_ = e.Leases().Observe(ctx, "k", func(c lease.Change) {
				<-goOn
				if c.Kind == lease.ChangeGap {
					gaps++
				}
				changes++
			})
		}()
		synctest.Wait()
		for range maxPending/2 + 1 {
			c := exclusive("k")
			c.Announce = true
			e.acquire(c, lease.Granted)
			e.release(ended(c), lease.WasHeld)
		}
		close(goOn)
		synctest.Wait()
		if gaps != 2 || changes == 0 || changes > maxPending+1 {
			t.Errorf("%d gaps, %d changes", gaps, changes)
		}
		cancel()
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		c := exclusive("k")
		e.acquire(c, lease.Granted)
		e.Leases().Watch("k", c.Attempt, func(lease.Event) { time.Sleep(time.Hour) })
		e.Control().Revoke("k", "")
		observed := make(chan error)
		go func() { observed <- e.Leases().Observe(t.Context(), "k", func(lease.Change) {}) }()
		e.Control().Delay(time.Minute)
		slow := make(chan error)
		go func() {
			_, err := e.Leases().Inspect(t.Context(), "k")
			slow <- err
		}()
		synctest.Wait()

		if err := e.Close(e.ctx()); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 callbacks") {
			t.Errorf("Close = %v", err)
		}
		if err := <-observed; !errors.Is(err, lease.ErrClosed) {
			t.Errorf("Observe = %v", err)
		}
		if err := <-slow; !errors.Is(err, lease.ErrClosed) {
			t.Errorf("Inspect under way = %v", err)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Errorf("second Close = %v", err)
		}

		ctx := e.ctx()
		_, acquired := e.Leases().Acquire(ctx, c)
		_, all := e.Leases().AcquireAll(ctx, []lease.Claim{c})
		renewed := e.Leases().Renew(ctx, []lease.Renewal{{Key: "k", Attempt: c.Attempt, TTL: c.TTL}})[0].Err
		_, released := e.Leases().Release(ctx, ended(c))
		_, revoked := e.Leases().Revoke(ctx, lease.Revocation{Key: "k", Token: 1})
		_, mark := e.Fences().Mark(ctx, "r")
		for i, err := range []error{
			acquired, all, renewed, released, revoked, mark,
			e.Leases().Observe(ctx, "k", nil), e.Fences().Raise(ctx, "r", 1), e.Guard().Raise(ctx, "r", 1), e.Check(ctx),
		} {
			if !errors.Is(err, lease.ErrClosed) {
				t.Errorf("call %d after Close = %v", i, err)
			}
		}
	})
}
