//go:build !race

package redisbackend_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/lock"
)

// TestExactTwoRequestsAShare: one release lets in all who fit, and each of them costs one request to
// ask and one to release, as with a lock.
func TestExactTwoRequestsAShare(t *testing.T) {
	const readers = 32
	client, prefix := testClient(t)
	var sent counter
	client.AddHook(&sent)
	var processes []*lock.RWLocker
	for range readers {
		locks, err := lock.NewRW(testLeases(t, client, prefix), &lock.Options{TTL: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = locks.Close(context.Background()) })
		processes = append(processes, locks)
	}
	contend := func() {
		t.Helper()
		writer, err := processes[0].AcquireWrite(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		var inside, outside sync.WaitGroup
		inside.Add(readers)
		for _, p := range processes {
			outside.Go(func() {
				err := p.DoRead(t.Context(), "k", func(context.Context, *lock.Share) error {
					inside.Done()
					inside.Wait() // all are in at the same time
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		waitFor(t, func() bool {
			s, err := processes[0].Inspect(t.Context(), "k")
			return err == nil && s.Waiting == readers
		})
		sent.Store(0)
		if err := writer.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		outside.Wait()
	}
	contend() // subscriptions are made with the first wait
	contend()
	if got, want := sent.Load(), int64(1+readers); got != want {
		t.Errorf("%d requests after the readers have asked, want the writer's release and theirs, %d", got, want)
	}
}

// TestExactRequestsOfSeveralKeys: they are asked for together, and released one by one.
func TestExactRequestsOfSeveralKeys(t *testing.T) {
	const keys = 10
	client, prefix := testClient(t)
	var sent counter
	client.AddHook(&sent)
	locks := testLocker(t, client, prefix, nil)
	var names []string
	for i := range keys {
		names = append(names, fmt.Sprint("k", i))
	}
	take := func() (acquire, release int64) {
		sent.Store(0)
		g, err := locks.AcquireAll(t.Context(), names...)
		if err != nil {
			t.Fatal(err)
		}
		acquire = sent.Swap(0)
		if err := g.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		return acquire, sent.Load()
	}
	take() // the scripts are loaded
	if acquire, release := take(); acquire != 1 || release != keys {
		t.Errorf("%d requests to acquire %d keys and %d to release them, want 1 and %d", acquire, keys, release, keys)
	}
}
