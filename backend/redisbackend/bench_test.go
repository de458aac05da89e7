package redisbackend_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lock"
)

// The bare pair is the least that a lock can do on this client: two EVALSHA of the shortest
// scripts that take and give back a key. What costs more than that is ours.
var (
	bareTake = redis.NewScript(`if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', 15000) then return 1 end return 0`)
	bareGive = redis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`)
)

// distant is a connection to a server that is far away: every answer takes rtt longer.
type distant struct {
	net.Conn
	rtt time.Duration
}

func (d *distant) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	time.Sleep(d.rtt)
	return n, err
}

// BenchmarkUncontended compares acquire and release with the bare pair, on loopback and on a network.
// The two take turns within one run, because the machine's speed changes between runs; ratio is
// ours over bare. An acquire whose context can be cancelled is made in a goroutine of its own.
func BenchmarkUncontended(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.Run("rtt=0s", func(b *testing.B) { uncontended(context.Background(), b, 0) })
	b.Run("rtt=0s/cancellable", func(b *testing.B) { uncontended(ctx, b, 0) })
	b.Run("rtt=500µs", func(b *testing.B) { uncontended(context.Background(), b, 500*time.Microsecond) })
	b.Run("rtt=500µs/cancellable", func(b *testing.B) { uncontended(ctx, b, 500*time.Microsecond) })
}

func uncontended(ctx context.Context, b *testing.B, rtt time.Duration) {
	near, prefix := testClient(b)
	opt := *near.Options()
	if rtt > 0 {
		opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return &distant{conn, rtt}, err
		}
	}
	client := redis.NewClient(&opt)
	defer func() { _ = client.Close() }()
	locks := testLocker(b, client, prefix, nil)
	bare := func() {
		if err := bareTake.Run(ctx, client, []string{prefix}, "me").Err(); err != nil {
			b.Fatal(err)
		}
		if err := bareGive.Run(ctx, client, []string{prefix}, "me").Err(); err != nil {
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
	const turn = 50
	timed := func(f func()) time.Duration {
		start := time.Now()
		for range turn {
			f()
		}
		return time.Since(start)
	}
	timed(bare)
	timed(ours)
	var spentBare, spentOurs []time.Duration
	for b.Loop() {
		spentBare = append(spentBare, timed(bare)/turn)
		spentOurs = append(spentOurs, timed(ours)/turn)
	}
	// The quarter of the turns that was disturbed least.
	slices.Sort(spentBare)
	slices.Sort(spentOurs)
	quiet := len(spentBare) / 4
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(spentBare[quiet].Nanoseconds()), "bare-ns/pair")
	b.ReportMetric(float64(spentOurs[quiet].Nanoseconds()), "ours-ns/pair")
	b.ReportMetric(float64(spentOurs[quiet])/float64(spentBare[quiet]), "ratio")
}

// BenchmarkPair is each of the two by itself, for their allocations.
func BenchmarkPair(b *testing.B) {
	client, prefix := testClient(b)
	ctx := context.Background()
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := bareTake.Run(ctx, client, []string{prefix}, "me").Err(); err != nil {
				b.Fatal(err)
			}
			if err := bareGive.Run(ctx, client, []string{prefix}, "me").Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("lock", func(b *testing.B) {
		locks := testLocker(b, client, prefix, nil)
		b.ReportAllocs()
		for b.Loop() {
			l, err := locks.Acquire(ctx, "k")
			if err != nil {
				b.Fatal(err)
			}
			if err := l.Release(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkHandOff measures the time between two grants of one key for which processes wait in
// line, each with a backend of its own.
func BenchmarkHandOff(b *testing.B) {
	for _, waiters := range []int{16, 64} {
		b.Run(fmt.Sprint(waiters), func(b *testing.B) {
			client, prefix := testClient(b)
			ctx, cancel := context.WithCancel(context.Background())
			grants := make(chan struct{})
			done := make(chan struct{})
			for range waiters {
				locks := testLocker(b, client, prefix, nil)
				go func() {
					defer func() { done <- struct{}{} }()
					for ctx.Err() == nil {
						_ = locks.Do(ctx, "k", func(context.Context, *lock.Lease) error {
							select {
							case grants <- struct{}{}:
							case <-ctx.Done():
							}
							return nil
						})
					}
				}()
			}
			for range 4 * waiters {
				<-grants // until all wait in line
			}
			b.ReportAllocs()
			start := time.Now()
			for b.Loop() {
				<-grants
			}
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "hand-offs/s")
			cancel()
			for range waiters {
				<-done
			}
		})
	}
}

// BenchmarkShares measures what is not a plain lock: the time between two grants of permits, with
// one of four in use by each, and of writers among readers; and ten keys at once.
func BenchmarkShares(b *testing.B) {
	const waiters = 16
	compete := func(b *testing.B, client func(n int) (do func(ctx context.Context, fn func()) error, stop func())) {
		ctx, cancel := context.WithCancel(context.Background())
		grants, done := make(chan struct{}), make(chan struct{})
		for n := range waiters {
			do, stop := client(n)
			b.Cleanup(stop)
			go func() {
				defer func() { done <- struct{}{} }()
				for ctx.Err() == nil {
					_ = do(ctx, func() {
						select {
						case grants <- struct{}{}:
						case <-ctx.Done():
						}
					})
				}
			}()
		}
		for range 4 * waiters {
			<-grants // until all wait in line
		}
		b.ReportAllocs()
		start := time.Now()
		for b.Loop() {
			<-grants
		}
		b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "grants/s")
		cancel()
		for range waiters {
			<-done
		}
	}
	b.Run("permits", func(b *testing.B) {
		client, prefix := testClient(b)
		compete(b, func(int) (func(context.Context, func()) error, func()) {
			s, err := lock.NewSemaphore(testLeases(b, client, prefix), 4, nil)
			if err != nil {
				b.Fatal(err)
			}
			return func(ctx context.Context, fn func()) error {
				return s.Do(ctx, "k", 1, func(context.Context, *lock.Share) error { fn(); return nil })
			}, func() { _ = s.Close(context.Background()) }
		})
	})
	b.Run("readers and writers", func(b *testing.B) {
		client, prefix := testClient(b)
		compete(b, func(n int) (func(context.Context, func()) error, func()) {
			l, err := lock.NewRW(testLeases(b, client, prefix), nil)
			if err != nil {
				b.Fatal(err)
			}
			return func(ctx context.Context, fn func()) error {
				if n%4 == 0 {
					return l.DoWrite(ctx, "k", func(context.Context, *lock.WriteLease) error { fn(); return nil })
				}
				return l.DoRead(ctx, "k", func(context.Context, *lock.Share) error { fn(); return nil })
			}, func() { _ = l.Close(context.Background()) }
		})
	})
	b.Run("ten keys", func(b *testing.B) {
		client, prefix := testClient(b)
		locks := testLocker(b, client, prefix, nil)
		var keys []string
		for i := range 10 {
			keys = append(keys, fmt.Sprint("k", i))
		}
		ctx := context.Background()
		b.ReportAllocs()
		for b.Loop() {
			g, err := locks.AcquireAll(ctx, keys...)
			if err != nil {
				b.Fatal(err)
			}
			if err := g.Release(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}
