package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
)

// plan is what the flags say.
type plan struct {
	workers, rounds int
	ttl             time.Duration
}

// story is one telling.
type story struct {
	plan
	engine *engine
	store  store
	fenced bool
	key    string
	start  time.Time

	paused   chan struct{} // closed when the pause has begun
	takeOver sync.Once     // the first grant after that

	mu  sync.Mutex
	out io.Writer
}

// tell lets the workers run and returns how many updates were lost.
func tell(ctx context.Context, out io.Writer, e *engine, p plan, fenced bool) (lost int, err error) {
	title := "fenced"
	if !fenced {
		title = "unfenced"
	}
	s := &story{plan: p, engine: e, fenced: fenced, key: "quickstart/" + title, out: out,
		start: time.Now(), paused: make(chan struct{})}
	s.store = e.store(title)
	fmt.Fprintf(out, "\n== %s ==\n", map[bool]string{true: "With fencing", false: "The same without fencing"}[fenced])

	before, err := s.look(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for n := 1; n <= p.workers; n++ {
		wg.Go(func() {
			if err := s.work(ctx, n); err != nil {
				cancel(fmt.Errorf("worker %d: %w", n, err))
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	after, err := s.look(ctx)
	if err != nil {
		return 0, err
	}
	made, counted := after.made-before.made, after.count-before.count
	verdict := "right"
	if counted != made {
		verdict = fmt.Sprintf("%d lost", made-counted)
	}
	fmt.Fprintf(out, "   additions made: %d   counter went up by: %d   -> %s\n", made, counted, verdict)
	return made - counted, nil
}

// work is one worker, which stands for one process: it has a Locker of its own. The second worker
// is paused in its first round.
func (s *story) work(ctx context.Context, n int) error {
	locks, err := lock.New(s.engine.leases, &lock.Options{TTL: s.ttl, Owner: fmt.Sprintf("worker %d", n), Hooks: &lock.Hooks{}})
	if err != nil {
		return err
	}
	defer locks.Close(context.WithoutCancel(ctx))

	rounds := s.rounds
	if n == 2 {
		if err := s.workPaused(ctx, n); errors.Is(err, fence.ErrFenced) {
			// Refused and not lost: the work is simply done again.
		} else if err != nil {
			return err
		} else {
			rounds--
		}
	}
	for range rounds {
		err := locks.Do(ctx, s.key, func(ctx context.Context, l *lock.Lease) error {
			return s.add(ctx, l.Token(), func() {
				select {
				case <-s.paused:
					s.takeOver.Do(func() { s.say(n, "takes over when that lock has run out, token %s", short(l.Token())) })
				default:
				}
				sleep(ctx, 10*time.Millisecond)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// workPaused is the round of a process that is stopped in the middle: by a garbage collection, a
// suspended machine, a stuck disk. While it is stopped it does not renew its lock, and when it goes
// on it does not know that time has passed.
func (s *story) workPaused(ctx context.Context, n int) error {
	locks, err := lock.New(s.engine.leases, &lock.Options{
		TTL: s.ttl, NoRenew: true, Owner: fmt.Sprintf("worker %d", n), Hooks: &lock.Hooks{}})
	if err != nil {
		return err
	}
	defer locks.Close(context.WithoutCancel(ctx))
	lease, err := locks.Acquire(ctx, s.key)
	if err != nil {
		return err
	}
	defer lease.Release(ctx)
	s.say(n, "has the lock, token %s", short(lease.Token()))
	err = s.add(ctx, lease.Token(), func() {
		s.say(n, "has read the counter, and is paused for %v", 2*s.ttl)
		close(s.paused)
		sleep(ctx, 2*s.ttl)
		s.say(n, "wakes up and writes, with %s", describe(lease))
	})
	switch {
	case errors.Is(err, fence.ErrFenced):
		var fenced *fence.FencedError
		errors.As(err, &fenced)
		s.say(n, "is REFUSED: the store has seen token %s. It does its work again.", short(fenced.Mark))
	case err == nil:
		s.say(n, "is not stopped: it overwrites what the others have done meanwhile")
	}
	return err
}

// add is the critical section. Raising the mark first closes the door behind the holder before.
func (s *story) add(ctx context.Context, token fence.Token, think func()) error {
	if s.fenced {
		if err := s.store.raise(ctx, token); err != nil {
			return err
		}
	}
	count, err := s.store.read(ctx)
	if err != nil {
		return err
	}
	think()
	if s.fenced {
		err = s.store.writeFenced(ctx, token, count+1)
	} else {
		err = s.store.write(ctx, count+1)
	}
	if err != nil {
		return err
	}
	return s.store.note(ctx) // what was made is counted beside it, atomically
}

// look reads the counter and the number of additions made, under the lock, so that no other
// process is in the middle of one.
func (s *story) look(ctx context.Context) (t totals, err error) {
	locks, err := lock.New(s.engine.leases, &lock.Options{TTL: s.ttl, Hooks: &lock.Hooks{}})
	if err != nil {
		return t, err
	}
	defer locks.Close(context.WithoutCancel(ctx))
	err = locks.Do(ctx, s.key, func(ctx context.Context, _ *lock.Lease) error {
		t, err = s.store.totals(ctx)
		return err
	})
	return t, err
}

func (s *story) say(n int, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "   %5.2fs  worker %d %s\n", time.Since(s.start).Seconds(), n, fmt.Sprintf(format, args...))
}

func describe(l *lock.Lease) string {
	if l.Valid(0) {
		return "a lock that is still good"
	}
	return "a lock that it lost while it was paused"
}

// short is the end of a token, which is what changes.
func short(t fence.Token) string {
	s := t.String()
	return "…" + s[max(0, len(s)-7):]
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
