package lockfaults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// What becomes of the command during which the caller gives up.
const (
	notSent  = "not sent"
	sentLate = "sent late" // by a library that does not look at contexts
	unheard  = "answer not heard"
)

// quitter is a hook of the client that ends the caller's context during the n-th command
// of the backend.
type quitter struct {
	n     int
	how   string
	quit  context.CancelFunc
	calls sync.WaitGroup

	mu   sync.Mutex
	seen int
}

func (q *quitter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (q *quitter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (q *quitter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name != "time" && name != "eval" && name != "evalsha" {
			return next(ctx, cmd) // of the library, for a connection
		}
		q.mu.Lock()
		q.seen++
		now := q.seen == q.n
		q.mu.Unlock()
		if !now {
			return next(ctx, cmd)
		}
		q.calls.Add(1)
		defer q.calls.Done()
		if q.how == unheard {
			_ = next(ctx, cmd) // dropped
		}
		q.quit()
		<-ctx.Done()
		if q.how == sentLate {
			return next(context.WithoutCancel(ctx), cmd)
		}
		cmd.SetErr(ctx.Err())
		return ctx.Err()
	}
}

// hit reports whether the n-th command was reached.
func (q *quitter) hit() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.seen >= q.n
}

// It runs alone, so that every goroutine that is new at its end is its own.
func TestCancelledAtEveryCommand(t *testing.T) {
	server := testbed.StartRedis(t, nil)
	before := goleak.IgnoreCurrent()
	other := newProcess(t, server.Addr(), nil)
	opt := &lock.Options{TTL: time.Second, ClaimWindow: 300 * time.Millisecond}
	keys := []string{"k1", "k2", "k3"}
	one := func(ctx context.Context, p *process) (func(context.Context) error, error) {
		l, err := p.locks.Acquire(ctx, keys[0])
		if err != nil {
			return nil, err
		}
		return l.Release, nil
	}
	all := func(ctx context.Context, p *process) (func(context.Context) error, error) {
		g, err := p.locks.AcquireAll(ctx, keys...)
		if err != nil {
			return nil, err
		}
		return g.Release, nil
	}
	for _, c := range []struct {
		what   string
		held   bool // by another one, until some heartbeats have been sent
		obtain func(context.Context, *process) (func(context.Context) error, error)
	}{
		{"free", false, one},
		{"waiting", true, one},
		{"several", false, all},
		{"several, waiting", true, all},
	} {
		for _, how := range []string{notSent, sentLate, unheard} {
			cancelled := 0
			for n := 1; ; n++ {
				what := fmt.Sprintf("%s, command %d %s", c.what, n, how)
				// A script that is not known costs a command more.
				if _, err := server.Command("SCRIPT", "FLUSH"); err != nil {
					t.Fatal(err)
				}
				if c.held {
					l := other.acquire(t, keys[0])
					time.AfterFunc(200*time.Millisecond, func() { release(t, l) })
				}
				ctx, cancel := context.WithTimeout(context.Background(), eventually)
				q := &quitter{n: n, how: how, quit: cancel}
				client := redis.NewClient(recommended.Redis(server.Addr()))
				client.AddHook(q)
				p, err := connect(client, opt)
				if err != nil {
					t.Fatal(err)
				}
				letGo, err := c.obtain(ctx, p)
				hit := q.hit()
				switch {
				case err == nil && hit:
					cancelled++ // too late to matter
					fallthrough
				case err == nil:
					// It may have been the release whose answer was not heard in time.
					if err := letGo(ctx); err != nil && (hit || !q.hit() || !errors.Is(err, lock.ErrUncertain)) {
						t.Errorf("%s: release: %v", what, err)
					}
				case !errors.Is(err, context.Canceled):
					t.Errorf("%s: %v, want the end of the context", what, err)
				default:
					cancelled++
				}
				cancel()
				q.calls.Wait()
				wait(t, what+": nothing is left", func() bool {
					for _, key := range keys {
						if s := other.inspect(t, key); s.Holder != nil || s.Waiting != 0 {
							return false
						}
					}
					return true
				})
				if err := p.end(soon(t)); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				for _, key := range keys {
					if left := keysOf(t, other, key); len(left) != 0 {
						t.Errorf("%s: left %q", what, left)
					}
				}
				if !hit {
					break // it has gone through
				}
				if n == 30 {
					t.Fatalf("%s: it never ends", what)
				}
			}
			if cancelled < 2 {
				t.Errorf("%s, %s: cancelled %d times", c.what, how, cancelled)
			}
			t.Logf("%s: cancelled during each of %d commands, each %s", c.what, cancelled, how)
		}
	}
	if err := other.end(soon(t)); err != nil {
		t.Error(err)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
