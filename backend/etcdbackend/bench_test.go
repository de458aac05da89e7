package etcdbackend

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

func BenchmarkLeases(b *testing.B) {
	client := connect(b, endpoints(b))
	backendtest.BenchLeases(b, func(b *testing.B) lease.Backend { return open(b, client, nil).Leases() })
}

// BenchmarkUncontended compares acquire and release of a lock with the least that one can do on
// this client: a transaction that creates a key on a lease, and one that deletes it. They take
// turns, because the machine's speed changes; ratio is ours over bare.
func BenchmarkUncontended(b *testing.B) {
	client := connect(b, endpoints(b))
	be := open(b, client, nil)
	locks, err := lock.New(be.Leases(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = locks.Close(context.Background()) }()
	ctx := context.Background()
	l, err := client.Grant(ctx, 600)
	if err != nil {
		b.Fatal(err)
	}
	key := be.opt.Prefix + "/bare"
	bare := func() {
		absent := clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
		if _, err := client.Txn(ctx).If(absent).Then(clientv3.OpPut(key, "", clientv3.WithLease(l.ID))).Else(clientv3.OpGet(key)).Commit(); err != nil {
			b.Fatal(err)
		}
		if _, err := client.Txn(ctx).Then(clientv3.OpDelete(key)).Commit(); err != nil {
			b.Fatal(err)
		}
	}
	ours := func() {
		l, err := locks.Acquire(ctx, "k")
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Release(ctx); err != nil {
			b.Fatal(err)
		}
	}
	const turn = 20
	timed := func(f func()) time.Duration {
		start := time.Now()
		for range turn {
			f()
		}
		return time.Since(start) / turn
	}
	timed(bare)
	timed(ours)
	var spentBare, spentOurs []time.Duration
	for b.Loop() {
		spentBare = append(spentBare, timed(bare))
		spentOurs = append(spentOurs, timed(ours))
	}
	slices.Sort(spentBare)
	slices.Sort(spentOurs)
	half := len(spentBare) / 2
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(spentBare[half].Nanoseconds()), "bare-ns/pair")
	b.ReportMetric(float64(spentOurs[half].Nanoseconds()), "ours-ns/pair")
	b.ReportMetric(float64(spentOurs[half])/float64(spentBare[half]), "ratio")
}

// BenchmarkHandOff measures the time between two grants of one key for which processes wait in
// line, with this package and with the mutex of the etcd client.
func BenchmarkHandOff(b *testing.B) {
	for _, waiters := range []int{16, 64} {
		b.Run(fmt.Sprintf("concord/%d", waiters), func(b *testing.B) {
			client := connect(b, endpoints(b))
			prefix := freshPrefix(b, client)
			var do []func(context.Context)
			for range waiters {
				locks, err := lock.New(openWith(b, client, &Options{Prefix: prefix}).Leases(), nil)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = locks.Close(context.Background()) })
				do = append(do, func(ctx context.Context) {
					if l, err := locks.Acquire(ctx, "k"); err == nil {
						_ = l.Release(ctx)
					}
				})
			}
			handOff(b, do)
		})
		b.Run(fmt.Sprintf("mutex/%d", waiters), func(b *testing.B) {
			client := connect(b, endpoints(b))
			prefix := freshPrefix(b, client)
			var do []func(context.Context)
			for range waiters {
				s, err := concurrency.NewSession(client)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = s.Close() })
				m := concurrency.NewMutex(s, prefix+"/k")
				do = append(do, func(ctx context.Context) {
					if m.Lock(ctx) == nil {
						_ = m.Unlock(context.Background())
					}
				})
			}
			handOff(b, do)
		})
	}
}

func handOff(b *testing.B, do []func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	turns := make(chan struct{})
	for _, f := range do {
		wg.Go(func() {
			for ctx.Err() == nil {
				f(ctx)
				select {
				case turns <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	for range len(do) { // all are in line
		<-turns
	}
	for b.Loop() {
		<-turns
	}
	cancel()
	wg.Wait()
}
