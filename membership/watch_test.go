package membership_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/membership"
)

// record collects the views of one loop.
type record struct {
	mu   sync.Mutex
	list []membership.View
	end  error
	done chan struct{}
}

// follow watches until ctx ends. At each view it waits for slow.
func follow(ctx context.Context, g *membership.Group, slow time.Duration) *record {
	r := &record{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for v, err := range g.Watch(ctx) {
			r.mu.Lock()
			if err != nil {
				r.end = err
			} else {
				r.list = append(r.list, v)
			}
			r.mu.Unlock()
			time.Sleep(slow)
		}
	}()
	return r
}

// is compares what was shown since the last call: all members, "+" those who joined, "~" updated and
// "-" left, and "stale".
func (r *record) is(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := make([]string, len(r.list))
	for i, v := range r.list {
		parts := strings.Fields(names(v.Members))
		for mark, list := range map[string][]membership.Member{"+": v.Joined, "~": v.Updated, "-": v.Left} {
			for k := range list {
				parts = append(parts, mark+list[k].ID)
			}
		}
		slices.Sort(parts)
		got[i] = strings.Join(parts, " ")
		if v.Stale != nil {
			got[i] += " stale"
		}
	}
	r.list = nil
	if !slices.Equal(got, want) {
		t.Errorf("shown %q, want %q", got, want)
	}
}

func TestWatch(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, open opener) {
		ctx, stop := context.WithCancel(t.Context())
		g := open(nil)
		w := follow(ctx, open(nil), 0)
		w.is(t, "")
		time.Sleep(time.Second)
		a := join(t, g, member("a"))
		w.is(t, "+a a")
		b := join(t, g, member("b")) // within Options.Pause
		c := join(t, g, member("c"))
		w.is(t)
		time.Sleep(membership.DefaultPause)
		w.is(t, "+b +c a b c")
		next := member("b")
		next.Weight = 2
		_ = b.Update(t.Context(), next)
		_ = c.Leave(t.Context())
		join(t, g, member("d"))
		time.Sleep(membership.DefaultPause)
		w.is(t, "+d -c a b d ~b")

		_ = b.Update(t.Context(), next) // nothing is different
		r := join(t, g, member("e"))
		_ = r.Leave(t.Context()) // nor in the end
		time.Sleep(time.Second)
		w.is(t)
		late := follow(ctx, g, 0)
		late.is(t, "+a +b +d a b d")
		_ = a.Leave(t.Context())
		late.is(t) // it has just shown a view
		w.is(t, "-a b d")
		time.Sleep(membership.DefaultPause)
		late.is(t, "-a b d")
		stop()
		<-w.done
		<-late.done
		if !errors.Is(w.end, context.Canceled) || !strings.HasPrefix(w.end.Error(), `membership: watch "api": `) {
			t.Errorf("end: %v", w.end)
		}
	})
}

// A member that dies is gone when its TTL is over, although nobody uses the group.
func TestWatchSeesTheDead(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		ctx, stop := context.WithCancel(t.Context())
		w := follow(ctx, open(nil), 0)
		w.is(t, "")
		time.Sleep(time.Second)
		openDead(t, be, "b")
		synctest.Wait()
		join(t, open(nil), member("a"))
		join(t, open(nil), member("c"))
		time.Sleep(time.Second)
		w.is(t, "+b b", "+a +c a b c")
		time.Sleep(ttl - time.Second - time.Millisecond)
		w.is(t)
		time.Sleep(lease.MaxNotice)
		w.is(t, "-b a c")
		stop()
		<-w.done
	})
}

// openDead puts a member into the group that does not renew.
func openDead(t *testing.T, be *memorybackend.Backend, id string) {
	t.Helper()
	claim := lease.Claim{Key: key, Attempt: lease.NewAttempt(), TTL: ttl, Weight: 1, Owner: id, Meta: []byte("1 1 3 0 old"), Announce: true}
	if a, err := be.Leases().Acquire(t.Context(), claim); err != nil || a.Status != lease.Granted {
		t.Fatalf("%+v, %v", a, err)
	}
}

// When an engine loses its data its members are back in a moment, and nobody has seen an empty group.
func TestAllVanishAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		ctx, stop := context.WithCancel(t.Context())
		for i := range 10 {
			join(t, open(nil), member(fmt.Sprint(i)))
		}
		w := follow(ctx, open(nil), 0)
		synctest.Wait()
		least := func() (n int, stale bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			n = 10
			for _, v := range w.list {
				n = min(n, len(v.Members))
				stale = stale || errors.Is(v.Stale, membership.ErrVanished)
			}
			if last := w.list[len(w.list)-1]; len(last.Members) != 10 || last.Stale != nil {
				t.Errorf("at last %+v", last)
			}
			return n, stale
		}
		for _, harm := range []func(string){be.Control().Lose, be.Control().ExpireNow} {
			harm(key)
			time.Sleep(2*ttl + ttl/6) // not at the time of a renewal
			if n, stale := least(); n < 10 || !stale {
				t.Errorf("%d members at times, stale: %v", n, stale)
			}
		}
		stop()
		<-w.done
	})
}

// Those that do not come back are gone after half the TTL; whoever leaves in good order is gone at once,
// also as the last one.
func TestVanishedAndLeft(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		ctx, stop := context.WithCancel(t.Context())
		w := follow(ctx, open(nil), 0)
		w.is(t, "")
		time.Sleep(time.Second)
		openDead(t, be, "a")
		synctest.Wait()
		openDead(t, be, "b")
		c := join(t, open(nil), member("c"))
		time.Sleep(time.Second)
		w.is(t, "+a a", "+b +c a b c")
		time.Sleep(ttl + time.Second)
		w.is(t, "a b c stale")
		_ = c.Leave(ctx)
		synctest.Wait()
		w.is(t, "-c a b stale")
		time.Sleep(ttl / 2)
		w.is(t, "-a -b")
		time.Sleep(time.Second)
		d := join(t, open(nil), member("d"))
		w.is(t, "+d d")
		time.Sleep(time.Second)
		_ = d.Leave(ctx)
		w.is(t, "-d")
		stop()
		<-w.done
	})
}

// Some of those that have vanished are back before the next view. That does not make the others dead.
func TestSomeAreBackAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		ctx, stop := context.WithCancel(t.Context())
		join(t, open(nil), member("a"))
		join(t, open(nil), member("b"))
		openDead(t, be, "c")
		openDead(t, be, "d")
		const slow = ttl // longer than it takes to join again
		w := follow(ctx, open(nil), slow)
		w.is(t, "+a +b +c +d a b c d")
		time.Sleep(time.Second)
		be.Control().ExpireNow(key)
		time.Sleep(slow - 2*time.Second)
		if got := ids(t, open(nil)); got != "a b" {
			t.Errorf("in the group: %q", got)
		}
		time.Sleep(2 * time.Second)
		w.is(t, "a b c d stale")
		time.Sleep(slow)
		w.is(t, "-c -d a b")
		stop()
		<-w.done
	})
}

// What is missed is noticed and read anew; while the engine is silent the members stay.
func TestWatchOverGaps(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		ctx, stop := context.WithCancel(t.Context())
		g := open(nil)
		a := join(t, g, member("a"))
		join(t, g, member("b"))
		j := &journal{}
		w := follow(ctx, open(&membership.Options{Hooks: j.hooks()}), 0)
		w.is(t, "+a +b a b")
		time.Sleep(time.Second)

		be.Control().DropEvents(true)
		_ = a.Leave(ctx)
		join(t, g, member("c"))
		time.Sleep(time.Second)
		w.is(t)
		be.Control().FailNext(1<<20, membership.ErrUnavailable)
		be.Control().DropEvents(false)
		time.Sleep(ttl/3 + time.Second)
		w.is(t, "a b stale")
		be.Control().FailNext(0, nil)
		time.Sleep(2 * time.Second)
		w.is(t, "+c a b c", "-a b c") // that a has left was not heard, so it may have been lost with others
		if got := j.take(); len(got) == 0 || got[0] != "failed " {
			t.Errorf("told %q", got)
		}
		stop()
		<-w.done
	})
}

// A slow loop misses views and no change.
func TestSlowWatch(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, open opener) {
		ctx, stop := context.WithCancel(t.Context())
		g := open(nil)
		w := follow(ctx, open(nil), time.Minute)
		w.is(t, "")
		for i := range 300 {
			r := join(t, g, member(fmt.Sprintf("m%03d", i)))
			if i%3 > 0 {
				_ = r.Leave(ctx)
				continue
			}
			for n := range 10 { // together more changes than wait for a loop
				m := r.Member()
				m.Weight = n + 1
				_ = r.Update(ctx, m)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.mu.Lock()
		if n := len(w.list); n != 1 || len(w.list[0].Members) != 100 || len(w.list[0].Joined) != 100 {
			t.Errorf("%d views", n)
		}
		w.mu.Unlock()
		stop()
		<-w.done
	})
}

func TestWatchEnds(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		g := open(nil)
		join(t, g, member("a"))
		for v, err := range g.Watch(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if len(v.Members) == 1 {
				break
			}
		}
		w := follow(t.Context(), g, 0)
		w.is(t, "+a a")
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-w.done
		if !errors.Is(w.end, membership.ErrClosed) {
			t.Errorf("%v", w.end)
		}
		broken := errors.New("no permission")
		be.Control().FailNext(1, broken)
		w = follow(t.Context(), open(nil), 0)
		<-w.done
		if !errors.Is(w.end, broken) {
			t.Errorf("%v", w.end)
		}
	})
}
