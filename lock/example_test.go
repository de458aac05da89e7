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
