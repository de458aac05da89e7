package lockfaults

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

const (
	// slack is how much later than promised something may be seen on a busy machine.
	slack = 2 * time.Second

	// eventually bounds the wait for what must happen, but has no promised time.
	eventually = 20 * time.Second
)

// process stands for one process of an application: a client, a backend and a Locker of its own.
type process struct {
	client *redis.Client
	be     *redisbackend.Backend
	locks  *lock.Locker

	renewed atomic.Int64 // renewals that succeeded
	failed  atomic.Int64 // renewals that did not
	cleaned atomic.Int64 // clean-ups in the background that have ended
}

// newProcess starts a process on the server at addr. It ends with the test, and must do so cleanly.
func newProcess(t testing.TB, addr string, o *lock.Options) *process {
	t.Helper()
	return newProcessWith(t, recommended.Redis(addr), o)
}

func newProcessWith(t testing.TB, c *redis.Options, o *lock.Options) *process {
	t.Helper()
	p, err := connect(redis.NewClient(c), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventually)
		defer cancel()
		if err := p.end(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}

// connect makes a process that owns client.
func connect(client *redis.Client, o *lock.Options) (*process, error) {
	p := &process{client: client}
	var err error
	// What goes wrong is meant to, and is counted.
	p.be, err = redisbackend.New(client, &redisbackend.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	p.locks, err = lock.New(p.be.Leases(), p.counting(o))
	return p, err
}

// counting returns the options with hooks that count for p.
func (p *process) counting(o *lock.Options) *lock.Options {
	var opt lock.Options
	if o != nil {
		opt = *o
	}
	opt.Hooks = lock.JoinHooks(opt.Hooks, &lock.Hooks{
		Renewed: func(i lock.Info) {
			if i.Err != nil {
				p.failed.Add(1)
			} else {
				p.renewed.Add(1)
			}
		},
		Cleaned: func(lock.Info) { p.cleaned.Add(1) },
	})
	return &opt
}

// end closes everything, in the documented order. It may be called again.
func (p *process) end(ctx context.Context) error {
	if err := errors.Join(p.locks.Close(ctx), p.be.Close(ctx)); err != nil {
		return err
	}
	if err := p.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}

// acquire takes key, which must succeed.
func (p *process) acquire(t testing.TB, key string) *lock.Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	l, err := p.locks.Acquire(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// got is the outcome of an acquire in the background.
type got struct {
	*lock.Lease
	at  time.Time
	err error
}

// later acquires key in the background, and returns when the claim stands in the queue.
func (p *process) later(t testing.TB, key string) <-chan got {
	t.Helper()
	before := p.inspect(t, key).Waiting
	result := make(chan got, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*eventually)
		defer cancel()
		l, err := p.locks.Acquire(ctx, key)
		result <- got{l, time.Now(), err}
	}()
	wait(t, "the claim waits", func() bool { return p.inspect(t, key).Waiting > before })
	return result
}

// await returns the lease that an acquire in the background must get.
func await(t testing.TB, result <-chan got) got {
	t.Helper()
	g := <-result
	if g.err != nil {
		t.Fatal(g.err)
	}
	return g
}

func (p *process) inspect(t testing.TB, key string) lock.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	s, err := p.locks.Inspect(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func release(t testing.TB, l *lock.Lease) {
	t.Helper()
	if err := l.Release(context.Background()); err != nil {
		t.Error(err)
	}
}

// wait returns when done reports true.
func wait(t testing.TB, what string, done func() bool) {
	t.Helper()
	for give := time.Now().Add(eventually); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(give) {
			t.Fatalf("did not happen within %v: %s", eventually, what)
		}
	}
}

// lossOf returns why the context of a lease ended, and when that was seen.
func lossOf(t testing.TB, l *lock.Lease) (*lock.LostError, time.Time) {
	t.Helper()
	select {
	case <-l.Context().Done():
	case <-time.After(eventually):
		t.Fatalf("%q is not lost after %v", l.Key(), eventually)
	}
	at := time.Now()
	var lost *lock.LostError
	if !errors.As(context.Cause(l.Context()), &lost) {
		t.Fatalf("cause %v", context.Cause(l.Context()))
	}
	return lost, at
}

// number returns one number of a section of the server's INFO.
func number(t testing.TB, r *testbed.Redis, section, name string) string {
	t.Helper()
	info, err := r.Info(section)
	if err != nil {
		t.Fatal(err)
	}
	return info[name]
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
