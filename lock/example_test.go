package lock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
)

func Example() {
	ctx := context.Background()
	be, err := memorybackend.New(nil) // or redisbackend.New(client, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer be.Close(ctx)
	locks, err := lock.New(be.Leases(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locks.Close(ctx)

	store := be.Guard() // a resource that remembers the highest token
	stock := 3
	err = locks.Do(ctx, "stock/42", func(ctx context.Context, l *lock.Lease) error {
		return store.Do(ctx, "stock/42", l.Token(), func() error {
			stock--
			return nil
		})
	})
	fmt.Println(stock, err)
	// Output: 2 <nil>
}

func ExampleLocker_TryAcquire() {
	ctx := context.Background()
	be, _ := memorybackend.New(nil)
	defer be.Close(ctx)
	locks, _ := lock.New(be.Leases(), &lock.Options{Owner: "replica-1"})
	defer locks.Close(ctx)

	first, err := locks.TryAcquire(ctx, "nightly-report")
	fmt.Println(err)

	_, err = locks.TryAcquire(ctx, "nightly-report")
	var held *lock.HeldError
	if errors.As(err, &held) {
		fmt.Println("held by", held.Owner)
	}
	fmt.Println(first.Release(ctx))
	// Output:
	// <nil>
	// held by replica-1
	// <nil>
}

// A holder that is paused for longer than its lease loses it. It cannot know that at the moment
// of its write, but the resource can.
func ExampleLease_Token() {
	ctx := context.Background()
	be, _ := memorybackend.New(nil)
	defer be.Close(ctx)
	silent := &lock.Hooks{}
	locks, _ := lock.New(be.Leases(), &lock.Options{Hooks: silent})
	defer locks.Close(ctx)

	paused, _ := locks.Acquire(ctx, "ledger")
	be.Control().ExpireNow("ledger") // as if it had slept for 15 s
	next, _ := locks.Acquire(ctx, "ledger")

	ledger := be.Guard()
	fmt.Println(ledger.Raise(ctx, "ledger", next.Token()))
	err := ledger.Do(ctx, "ledger", paused.Token(), func() error { panic("never runs") })
	fmt.Println(errors.Is(err, fence.ErrFenced))
	// Output:
	// <nil>
	// true
}

// The context of a lease ends when the lease is lost, and says why.
func ExampleLease_Context() {
	ctx := context.Background()
	be, _ := memorybackend.New(nil)
	defer be.Close(ctx)
	locks, _ := lock.New(be.Leases(), &lock.Options{Hooks: &lock.Hooks{}})
	defer locks.Close(ctx)

	l, _ := locks.Acquire(ctx, "deploy")
	_ = locks.Revoke(ctx, "deploy", l.Token(), &lock.RevokeOptions{Reason: "maintenance"})
	select {
	case <-l.Context().Done():
	case <-time.After(time.Minute):
	}
	var lost *lock.LostError
	if errors.As(context.Cause(l.Context()), &lost) {
		fmt.Println(lost.Cause, "-", lost.Reason)
	}
	// Output: revoked - maintenance
}

// Many may read at the same time; a writer is alone, and may go on as a reader.
func ExampleRWLocker() {
	ctx := context.Background()
	be, _ := memorybackend.New(nil)
	defer be.Close(ctx)
	locks, err := lock.NewRW(be.Leases(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locks.Close(ctx)

	price := 10
	err = locks.DoWrite(ctx, "prices", func(ctx context.Context, w *lock.WriteLease) error {
		price = 12
		if _, err := w.Downgrade(ctx); err != nil { // readers may come in, writers may not
			return err
		}
		return locks.DoRead(ctx, "prices", func(context.Context, *lock.Share) error {
			fmt.Println("price", price)
			return nil
		})
	})
	fmt.Println(err)
	// Output:
	// price 12
	// <nil>
}

// At most four downloads at a time, over all processes; a large one counts for three.
func ExampleSemaphore() {
	ctx := context.Background()
	be, _ := memorybackend.New(nil)
	defer be.Close(ctx)
	downloads, err := lock.NewSemaphore(be.Leases(), 4, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer downloads.Close(ctx)

	large, err := downloads.Acquire(ctx, "mirror", 3)
	if err != nil {
		log.Fatal(err)
	}
	small, err := downloads.TryAcquire(ctx, "mirror", 1)
	fmt.Println(err)
	_, err = downloads.TryAcquire(ctx, "mirror", 1)
	fmt.Println(errors.Is(err, lock.ErrHeld))
	_ = large.Release(ctx)
	_ = small.Release(ctx)
	// Output:
	// <nil>
	// true
}

// A transfer needs both accounts. Whoever names them in the other order does not block it for ever.
func ExampleLocker_AcquireAll() {
	ctx := context.Background()
	be, _ := memorybackend.New(nil)
	defer be.Close(ctx)
	locks, _ := lock.New(be.Leases(), nil)
	defer locks.Close(ctx)

	both, err := locks.AcquireAll(ctx, "account/2", "account/1")
	if err != nil {
		log.Fatal(err)
	}
	defer both.Release(ctx)
	for _, l := range both.Leases() {
		fmt.Println(l.Key(), l.Token() > 0)
	}
	// Output:
	// account/2 true
	// account/1 true
}
