package etcdbackend

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

// closing closes a kind of lock at the end of a test, before its backend.
func closing[L interface{ Close(context.Context) error }](t *testing.T, locks L, err error) L {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = locks.Close(within(t, 10*time.Second)) })
	return locks
}

func options(o lock.Options) *lock.Options {
	o.Hooks = &lock.Hooks{}
	if o.TTL == 0 {
		o.TTL = 3 * time.Second
	}
	return &o
}

func readers(t *testing.T, be *Backend) *lock.RWLocker {
	t.Helper()
	locks, err := lock.NewRW(be.Leases(), options(lock.Options{}))
	return closing(t, locks, err)
}

func semaphore(t *testing.T, be *Backend, limit int64) *lock.Semaphore {
	t.Helper()
	locks, err := lock.NewSemaphore(be.Leases(), limit, options(lock.Options{}))
	return closing(t, locks, err)
}

func lockers(t *testing.T, be *Backend, o lock.Options) *lock.Locker {
	t.Helper()
	locks, err := lock.New(be.Leases(), options(o))
	return closing(t, locks, err)
}

// got returns v, which must have come without an error.
func got[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Readers and writers of several processes: writers are alone, and nobody starves.
func TestReadersAndWriters(t *testing.T) {
	be, _ := processes(t, 3)
	ctx := within(t, 60*time.Second)
	var reading, writing, together atomic.Int64
	var all sync.WaitGroup
	for i := range 9 {
		locks := readers(t, be[i%3])
		all.Go(func() {
			for n := range 15 {
				if (i+n)%3 == 0 {
					err := locks.DoWrite(ctx, "k", func(context.Context, *lock.WriteLease) error {
						if writing.Add(1) != 1 || reading.Load() != 0 {
							t.Error("a writer is not alone")
						}
						time.Sleep(time.Millisecond)
						writing.Add(-1)
						return nil
					})
					if err != nil {
						t.Error(err)
					}
					continue
				}
				err := locks.DoRead(ctx, "k", func(context.Context, *lock.Share) error {
					if reading.Add(1) > 1 {
						together.Add(1)
					}
					if writing.Load() != 0 {
						t.Error("a reader beside a writer")
					}
					time.Sleep(time.Millisecond)
					reading.Add(-1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if together.Load() == 0 {
		t.Error("readers never read together")
	}
}

// A downgrade lets readers of another process in and no writer.
func TestDowngrade(t *testing.T) {
	be, _ := processes(t, 2)
	ctx := within(t, 20*time.Second)
	a, b := readers(t, be[0]), readers(t, be[1])
	w := got[*lock.WriteLease](t)(a.AcquireWrite(ctx, "k"))
	read := make(chan *lock.Share, 1)
	go func() { s, _ := b.AcquireRead(ctx, "k"); read <- s }()
	eventually(t, "a reader waits", func() bool {
		s, err := be[0].Leases().Inspect(ctx, "k")
		return err == nil && s.Waiting == 1
	})
	share := got[*lock.Share](t)(w.Downgrade(ctx))
	reader := <-read
	if reader == nil {
		t.Fatal("the reader was not let in")
	}
	if _, err := b.TryAcquireWrite(ctx, "k"); !errors.Is(err, lock.ErrHeld) {
		t.Errorf("a writer: %v", err)
	}
	_ = share.Release(ctx)
	_ = reader.Release(ctx)
	_ = got[*lock.WriteLease](t)(b.TryAcquireWrite(ctx, "k")).Release(ctx)
}

// A reader dies. A writer waits for the end of its lease and no longer.
func TestDeadReader(t *testing.T) {
	t.Parallel()
	be, _ := processes(t, 2)
	ctx := within(t, 20*time.Second)
	got[*lock.Share](t)(readers(t, be[0]).AcquireRead(ctx, "k"))
	live := got[*lock.Share](t)(readers(t, be[1]).AcquireRead(ctx, "k"))
	crash(t, be[0])
	start := time.Now()
	time.AfterFunc(500*time.Millisecond, func() { _ = live.Release(context.Background()) })
	w := got[*lock.WriteLease](t)(readers(t, be[1]).AcquireWrite(ctx, "k"))
	took := time.Since(start)
	t.Logf("the writer waited for %v", took)
	if took < time.Second || took > 7*time.Second {
		t.Errorf("the writer waited for %v", took)
	}
	_ = w.Release(ctx)
}

// The permits of a semaphore are never exceeded, whatever the weights, and a larger limit lets in
// who waits.
func TestSemaphore(t *testing.T) {
	be, _ := processes(t, 3)
	ctx := within(t, 60*time.Second)
	var used atomic.Int64
	var all sync.WaitGroup
	sems := []*lock.Semaphore{semaphore(t, be[0], 4), semaphore(t, be[1], 4), semaphore(t, be[2], 4)}
	for i := range 9 {
		all.Go(func() {
			for n := range 12 {
				weight := int64((i+n)%4 + 1)
				err := sems[i%3].Do(ctx, "k", weight, func(context.Context, *lock.Share) error {
					if now := used.Add(weight); now > 4 {
						t.Errorf("%d of 4 are held", now)
					}
					time.Sleep(time.Millisecond)
					used.Add(-weight)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()

	full := got[*lock.Share](t)(sems[0].Acquire(ctx, "k", 4))
	waits := make(chan *lock.Share, 1)
	go func() { s, _ := sems[1].Acquire(ctx, "k", 1); waits <- s }()
	eventually(t, "one waits", func() bool {
		s, err := be[0].Leases().Inspect(ctx, "k")
		return err == nil && s.Waiting == 1
	})
	if err := sems[2].Resize(6, 1); err != nil {
		t.Fatal(err)
	}
	last := got[*lock.Share](t)(sems[2].Acquire(ctx, "k", 1))
	first := <-waits
	if first == nil {
		t.Fatal("the waiting one was not let in")
	}
	var conflict *lock.ConflictError
	if _, err := sems[0].TryAcquire(ctx, "k", 1); !errors.As(err, &conflict) || conflict.Limit != 6 {
		t.Errorf("an old limit: %v", err)
	}
	for _, s := range []*lock.Share{full, first, last} {
		if err := s.Release(ctx); err != nil {
			t.Error(err)
		}
	}
}

// A waiter that has become too heavy is refused, and is not in the way of the others.
func TestShrinkBelowAWaiter(t *testing.T) {
	be, _ := processes(t, 2)
	ctx := within(t, 20*time.Second)
	a, b := semaphore(t, be[0], 3), semaphore(t, be[1], 3)
	held := got[*lock.Share](t)(a.Acquire(ctx, "k", 1))
	failed := make(chan error, 1)
	go func() { _, err := a.Acquire(ctx, "k", 3); failed <- err }()
	eventually(t, "one waits", func() bool {
		s, err := be[1].Leases().Inspect(ctx, "k")
		return err == nil && s.Waiting == 1
	})
	if err := b.Resize(2, 1); err != nil {
		t.Fatal(err)
	}
	small := got[*lock.Share](t)(b.Acquire(ctx, "k", 1))
	var conflict *lock.ConflictError
	if err := <-failed; !errors.As(err, &conflict) || conflict.Limit != 2 {
		t.Errorf("%v", err)
	}
	_ = small.Release(ctx)
	_ = held.Release(ctx)
}

// Processes that want the same keys in different orders take turns.
func TestAcquireAll(t *testing.T) {
	be, _ := processes(t, 3)
	ctx := within(t, 60*time.Second)
	var inside atomic.Int64
	var all sync.WaitGroup
	orders := [][]string{{"a", "b", "c"}, {"c", "a", "b"}, {"b", "c", "a"}}
	for i := range be {
		locks := lockers(t, be[i], lock.Options{})
		all.Go(func() {
			for range 10 {
				err := locks.DoAll(ctx, orders[i], func(context.Context, *lock.Group) error {
					if inside.Add(1) != 1 {
						t.Error("two have all keys")
					}
					time.Sleep(time.Millisecond)
					inside.Add(-1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	holder, other := lockers(t, be[0], lock.Options{}), lockers(t, be[1], lock.Options{})
	b := got[*lock.Lease](t)(holder.Acquire(ctx, "b"))
	if _, err := other.TryAcquireAll(ctx, "a", "b", "c"); !errors.Is(err, lock.ErrHeld) {
		t.Errorf("%v", err)
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := other.AcquireAll(short, "a", "b", "c"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	_ = b.Release(ctx)
	g := got[*lock.Group](t)(holder.AcquireAll(ctx, "a", "b", "c")) // what was given up comes free
	if err := g.Release(ctx); err != nil {
		t.Error(err)
	}
}

// A holder dies, and its key stays closed for the lock-delay after that.
func TestLockDelayAfterACrash(t *testing.T) {
	t.Parallel()
	be, _ := processes(t, 2)
	ctx := within(t, 30*time.Second)
	const delay = 3 * time.Second
	held := got[*lock.Lease](t)(lockers(t, be[0], lock.Options{LockDelay: delay}).Acquire(ctx, "k"))
	crash(t, be[0])
	next := got[*lock.Lease](t)(lockers(t, be[1], lock.Options{LockDelay: delay}).Acquire(ctx, "k"))
	select {
	case <-held.Context().Done():
	default:
		t.Error("the dead holder still believes in its lease")
	}
	took := time.Since(held.Deadline())
	t.Logf("the next one was granted %v after the deadline of the dead one", took)
	if took < delay || took > delay+4*time.Second {
		t.Errorf("granted after %v, want %v", took, delay)
	}
	if err := next.Release(ctx); err != nil {
		t.Error(err)
	}
	start := time.Now()
	_ = got[*lock.Lease](t)(lockers(t, be[1], lock.Options{LockDelay: delay}).Acquire(ctx, "k")).Release(ctx)
	if took := time.Since(start); took > time.Second {
		t.Errorf("%v after a clean release", took)
	}
}

// A hold that takes too long ends, and the next one gets the key.
func TestMaxHold(t *testing.T) {
	t.Parallel()
	be, _ := processes(t, 2)
	ctx := within(t, 30*time.Second)
	long := got[*lock.Lease](t)(lockers(t, be[0], lock.Options{MaxHold: 3 * time.Second}).Acquire(ctx, "k"))
	start := time.Now()
	next := got[*lock.Lease](t)(lockers(t, be[1], lock.Options{}).Acquire(ctx, "k"))
	if took := time.Since(start); took < 2*time.Second || took > 8*time.Second {
		t.Errorf("the next one waited for %v", took)
	}
	if long.Context().Err() == nil || next.Token() <= long.Token() {
		t.Errorf("%v, tokens %v and %v", long.Context().Err(), long.Token(), next.Token())
	}
	var lost *lease.LostError
	if !errors.As(context.Cause(long.Context()), &lost) {
		t.Errorf("%v", context.Cause(long.Context()))
	}
	_ = next.Release(ctx)
}
