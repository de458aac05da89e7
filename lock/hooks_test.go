package lock_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lock"
)

// record is a Hooks that writes down what it is told.
type record struct {
	mu     sync.Mutex
	events []string
}

func (r *record) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

func (r *record) hooks() *lock.Hooks {
	return &lock.Hooks{
		AcquireStart: func(ctx context.Context, i lock.Info) context.Context {
			r.add("start %s try=%v", i.Key, i.Try)
			return ctx
		},
		AcquireEnd: func(_ context.Context, i lock.Info) {
			r.add("acquired %s token=%v wait=%v err=%v", i.Key, i.Token != 0, i.Wait, i.Err != nil)
		},
		ReleaseEnd: func(_ context.Context, i lock.Info) { r.add("released %s held=%v err=%v", i.Key, i.Held, i.Err != nil) },
		Renewed:    func(i lock.Info) { r.add("renewed %s left=%v err=%v", i.Key, i.Left, i.Err != nil) },
		Lost:       func(i lock.Info) { r.add("lost %s held=%v %v", i.Key, i.Held, lostCause(i.Err)) },
		Begun:      func(i lock.Info) { r.add("begun %s %s token=%v", i.Kind, i.Key, i.Token != 0) },
		Ended:      func(i lock.Info) { r.add("ended %s %s held=%v err=%v", i.Kind, i.Key, i.Held, i.Err != nil) },
	}
}

func TestHooksTellTheStory(t *testing.T) {
	r := &record{}
	bubble(t, &lock.Options{TTL: 9 * time.Second, Hooks: lock.JoinHooks(r.hooks(), nil, &lock.Hooks{}, r.hooks())},
		func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
			l := mustAcquire(t, locks, "k")
			if _, err := locks.TryAcquire(t.Context(), "k"); err == nil {
				t.Error("acquired twice")
			}
			time.Sleep(4 * time.Second)
			be.Control().Lose("k")
			time.Sleep(4 * time.Second)
			_ = l.Release(t.Context())
			var want []string
			for _, e := range []string{
				"start k try=false", "begun lock k token=true", "acquired k token=true wait=0s err=false",
				"start k try=true", "acquired k token=false wait=0s err=true",
				"renewed k left=5.811s err=false",
				"lost k held=6s backend lost",
				"ended lock k held=6s err=true",
				"released k held=8s err=true",
			} {
				want = append(want, e, e) // joined twice
			}
			if !slices.Equal(r.events, want) {
				t.Errorf("events:\n%s\nwant:\n%s", strings.Join(r.events, "\n"), strings.Join(want, "\n"))
			}
		})
}

func TestLogHooksReportLosses(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	bubble(t, &lock.Options{Hooks: lock.LogHooks(logger)}, func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
		l := mustAcquire(t, locks, "orders/42")
		if _, err := locks.TryAcquire(t.Context(), "orders/42"); err == nil {
			t.Error("acquired twice")
		}
		if out.Len() != 0 {
			t.Errorf("logged what went well: %s", out.String())
		}
		be.Control().Revoke("orders/42", "operator")
		synctest.Wait()
		_ = l.Release(t.Context())
		for _, part := range []string{"lease lost", "orders/42", "revoked", "operator"} {
			if !strings.Contains(out.String(), part) {
				t.Errorf("the log does not say %q: %s", part, out.String())
			}
		}
	})
}

// A count of what is held is right only if each lease that has begun ends once, however it ends
// and however often it is released.
func TestHooksBalance(t *testing.T) {
	r := &record{}
	bubble(t, &lock.Options{TTL: 9 * time.Second, Hooks: &lock.Hooks{
		Begun: func(i lock.Info) { r.add("begun %s", i.Key) },
		Ended: func(i lock.Info) {
			how := "released"
			if i.Err != nil {
				how = lostCause(i.Err).String()
			}
			r.add("%s %s", how, i.Key)
		},
	}}, func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
		l := mustAcquire(t, locks, "twice")
		_ = l.Release(t.Context())
		_ = l.Release(t.Context())

		l = mustAcquire(t, locks, "asked")
		_ = locks.Revoke(t.Context(), "asked", l.Token(), &lock.RevokeOptions{Grace: time.Second})
		synctest.Wait()
		_ = l.Release(t.Context())

		blocker := mustAcquire(t, locks, "b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := locks.AcquireAll(ctx, "a", "b"); err == nil {
			t.Error("acquired what is held")
		}
		synctest.Wait()
		_ = blocker.Release(t.Context())

		mustAcquire(t, locks, "closed")
		if err := locks.Close(t.Context()); err != nil {
			t.Error(err)
		}
		want := []string{
			"begun twice", "released twice",
			"begun asked", "revoked asked",
			"begun b", "begun a", "released a", "released b",
			"begun closed", "closed closed",
		}
		if !slices.Equal(r.events, want) {
			t.Errorf("events:\n%s\nwant:\n%s", strings.Join(r.events, "\n"), strings.Join(want, "\n"))
		}
	})
}
