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

	"go.uber.org/goleak"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/membership"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ttl = 9 * time.Second
	key = "membership/api"
)

// opener opens the group, as a process of its own would have it.
type opener func(o *membership.Options) *membership.Group

// bubble runs f in virtual time on a fresh memory backend.
func bubble(t *testing.T, f func(t *testing.T, be *memorybackend.Backend, open opener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		be, err := memorybackend.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = be.Close(context.Background()) })
		f(t, be, func(o *membership.Options) *membership.Group {
			t.Helper()
			var opt membership.Options
			if o != nil {
				opt = *o
			}
			if opt.TTL == 0 {
				opt.TTL = ttl
			}
			if opt.Hooks == nil {
				opt.Hooks = &membership.Hooks{}
			}
			g, err := membership.New(be.Leases(), "api", &opt)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := g.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
			return g
		})
	})
}

func member(id string) membership.Member {
	return membership.Member{ID: id, Addr: id + ":80", Zone: "z1", Weight: 1}
}

func join(t *testing.T, g *membership.Group, m membership.Member) *membership.Registration {
	t.Helper()
	r, err := g.Join(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ids reads the group.
func ids(t *testing.T, g *membership.Group) string {
	t.Helper()
	members, err := g.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return names(members)
}

func names(members []membership.Member) string {
	var list []string
	for i := range members {
		list = append(list, members[i].ID)
	}
	return strings.Join(list, " ")
}

func cause(err error) membership.Cause {
	var lost *membership.LostError
	if errors.As(err, &lost) {
		return lost.Cause
	}
	return 0
}

// journal collects what hooks are told.
type journal struct {
	mu   sync.Mutex
	list []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	j.list = append(j.list, fmt.Sprintf(format, args...))
	j.mu.Unlock()
}

func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := j.list
	j.list = nil
	return list
}

func (j *journal) hooks() *membership.Hooks {
	return &membership.Hooks{
		Joined: func(i membership.Info) { j.add("joined %s again=%v", i.ID, i.Again) },
		Ended:  func(i membership.Info) { j.add("ended %s %v final=%v", i.ID, cause(i.Err), i.Final) },
		Failed: func(i membership.Info) { j.add("failed %s", i.ID) },
	}
}

func TestJoinAndLeave(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, open opener) {
		j := &journal{}
		one, other := open(&membership.Options{Hooks: j.hooks()}), open(nil)
		full := membership.Member{ID: "b", Addr: "10.0.0.7:80", Zone: "z2", Weight: 3, Meta: []byte("v 1")}
		b := join(t, one, full)
		a := join(t, other, member("a"))
		members, err := other.Members(t.Context())
		if err != nil || len(members) != 2 || members[0].ID != "a" || fmt.Sprint(members[1]) != fmt.Sprint(full) {
			t.Errorf("%+v, %v", members, err)
		}
		if !b.Valid(0) || b.Valid(ttl) || b.Context().Err() != nil || fmt.Sprint(b.Member()) != fmt.Sprint(full) {
			t.Errorf("registration %+v", b.Member())
		}
		time.Sleep(5 * ttl)
		if got := ids(t, one); got != "a b" {
			t.Errorf("after a while: %q", got)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 2 {
			if err := b.Leave(gone); err != nil {
				t.Error(err)
			}
		}
		if got := ids(t, one); got != "a" || b.Valid(0) || cause(context.Cause(b.Context())) != membership.Resigned {
			t.Errorf("after leaving: %q, %v", got, context.Cause(b.Context()))
		}
		if err := b.Update(t.Context(), full); !errors.Is(err, membership.ErrNotHeld) {
			t.Errorf("update after leaving: %v", err)
		}
		if got := j.take(); !slices.Equal(got, []string{"joined b again=false", "ended b resigned final=true"}) {
			t.Errorf("told %q", got)
		}
		if err := other.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := ids(t, one); got != "" || cause(context.Cause(a.Context())) != membership.Closed {
			t.Errorf("after closing: %q, %v", got, context.Cause(a.Context()))
		}
		for _, err := range []error{a.Update(t.Context(), member("a")), second(other.Members(t.Context())), second(other.Join(t.Context(), member("c")))} {
			if !errors.Is(err, membership.ErrClosed) && !errors.Is(err, membership.ErrNotHeld) {
				t.Errorf("after closing: %v", err)
			}
		}
		if err := a.Leave(t.Context()); err != nil {
			t.Errorf("leaving after closing: %v", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestUpdate(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, open opener) {
		g := open(nil)
		r := join(t, g, member("a"))
		m := membership.Member{ID: "a", Addr: "elsewhere:1", Weight: 7, Meta: []byte("new")}
		if err := r.Update(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		m.Meta[0] = 'X' // is the caller's again
		if got, _ := g.Members(t.Context()); len(got) != 1 || got[0].Addr != "elsewhere:1" || got[0].Weight != 7 || string(got[0].Meta) != "new" {
			t.Errorf("%+v", got)
		}
		m.ID = "b"
		var bad *membership.InvalidError
		if err := r.Update(t.Context(), m); !errors.As(err, &bad) || bad.Field != "ID" {
			t.Errorf("%v", err)
		}
	})
}

// A member that the engine has forgotten joins again, and shows what it had last been updated to.
func TestJoinsAgain(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		j := &journal{}
		g, watcher := open(&membership.Options{Hooks: j.hooks()}), open(nil)
		r := join(t, g, member("a"))
		next := member("a")
		next.Weight = 5
		if err := r.Update(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		for _, harm := range []struct {
			do    func()
			cause membership.Cause
		}{
			{func() { be.Control().Lose(key) }, membership.BackendLost},
			{func() { be.Control().ExpireNow(key) }, membership.BackendLost},
			{func() { be.Control().FailNext(1<<20, membership.ErrUnavailable) }, membership.Unreachable},
		} {
			j.take()
			harm.do()
			time.Sleep(2 * ttl)
			be.Control().FailNext(0, nil)
			time.Sleep(ttl)
			got := j.take()
			if len(got) < 2 || got[0] != fmt.Sprintf("ended a %v final=false", harm.cause) || got[len(got)-1] != "joined a again=true" {
				t.Errorf("%v: told %q", harm.cause, got)
			}
			members, err := watcher.Members(t.Context())
			if err != nil || len(members) != 1 || members[0].Weight != 5 || !r.Valid(0) || r.Context().Err() != nil {
				t.Errorf("%v: %+v, %v", harm.cause, members, err)
			}
		}
	})
}

// What is updated while the member is away is told when it is back.
func TestUpdateWhileLost(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		j := &journal{}
		g := open(&membership.Options{Hooks: j.hooks()})
		r := join(t, g, member("a"))
		be.Control().FailNext(1<<20, membership.ErrUnavailable)
		time.Sleep(ttl)
		next := member("a")
		next.Addr = "new:1"
		if err := r.Update(t.Context(), next); !errors.Is(err, membership.ErrUnavailable) && !errors.Is(err, membership.ErrNotHeld) {
			t.Errorf("update: %v", err)
		}
		be.Control().FailNext(0, nil)
		time.Sleep(ttl)
		if got, _ := g.Members(t.Context()); len(got) != 1 || got[0].Addr != "new:1" || r.Member().Addr != "new:1" {
			t.Errorf("%+v; told %q", got, j.take())
		}
	})
}

// Who leaves while it is lost does not come back.
func TestLeaveWhileLost(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		g := open(nil)
		r := join(t, g, member("a"))
		be.Control().FailNext(1<<20, membership.ErrUnavailable)
		time.Sleep(2 * ttl)
		left := make(chan error, 1)
		go func() { left <- r.Leave(context.Background()) }()
		synctest.Wait()
		be.Control().FailNext(0, nil)
		if err := <-left; err != nil && !errors.Is(err, membership.ErrUncertain) {
			t.Error(err)
		}
		time.Sleep(ttl)
		if got := ids(t, g); got != "" {
			t.Errorf("there is %q", got)
		}
	})
}

// A member that somebody ended from outside stays away.
func TestRevokedStaysAway(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		j := &journal{}
		g := open(&membership.Options{Hooks: j.hooks()})
		r := join(t, g, member("a"))
		be.Control().Revoke(key, "maintenance")
		<-r.Context().Done()
		time.Sleep(3 * ttl)
		if got := ids(t, g); got != "" || cause(context.Cause(r.Context())) != membership.Revoked {
			t.Errorf("%q is there, %v", got, context.Cause(r.Context()))
		}
		if got := j.take(); !slices.Equal(got, []string{"joined a again=false", "ended a revoked final=true"}) {
			t.Errorf("told %q", got)
		}
		if err := r.Leave(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestDuplicates(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		join(t, open(nil), member("a"))
		twin := member("a")
		twin.Addr = "elsewhere:1"
		g := open(nil)
		start := time.Now()
		_, err := g.Join(t.Context(), twin)
		var duplicate *membership.DuplicateError
		if !errors.As(err, &duplicate) || !errors.Is(err, membership.ErrDuplicate) || duplicate.ID != "a" || duplicate.Addr != "a:80" || duplicate.Left <= 0 {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d > ttl*6/10 {
			t.Errorf("noticed after %v", d)
		}
		if got, _ := g.Members(t.Context()); len(got) != 1 || got[0].Addr != "a:80" {
			t.Errorf("%+v", got)
		}
	})
}

// A process that has died is no duplicate of the one that follows it.
func TestSuccessorOfTheDead(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		openDead(t, be, "a")
		g := open(nil)
		start := time.Now()
		go func() {
			time.Sleep(ttl / 2)
			if got, _ := g.Members(context.Background()); len(got) != 1 || got[0].Addr != "old" {
				t.Errorf("meanwhile: %+v", got)
			}
		}()
		join(t, g, member("a"))
		if d := time.Since(start); d < ttl-time.Millisecond || d > ttl+ttl/3 {
			t.Errorf("joined after %v", d)
		}
		if got, _ := g.Members(t.Context()); len(got) != 1 || got[0].Addr != "a:80" {
			t.Errorf("%+v", got)
		}
	})
}

// Of two that join with one ID at the same time one stays.
func TestTwinsAtTheSameTime(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		be.Control().Delay(10 * time.Millisecond)
		results := make(chan error, 4)
		for range cap(results) {
			g := open(nil)
			go func() {
				_, err := g.Join(context.Background(), member("a"))
				results <- err
			}()
		}
		joined := 0
		for range cap(results) {
			switch err := <-results; {
			case err == nil:
				joined++
			case !errors.Is(err, membership.ErrDuplicate):
				t.Error(err)
			}
		}
		if joined != 1 {
			t.Errorf("%d joined", joined)
		}
	})
}

func TestJoinIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		g := open(nil)
		join(t, g, member("a"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := open(nil).Join(ctx, member("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		be.Control().LoseNext(1, membership.ErrUnavailable) // granted, and nobody knows
		be.Control().Delay(50 * time.Millisecond)
		ctx, cancel = context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		if _, err := g.Join(ctx, member("b")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Second)
		if got := ids(t, g); got != "a" {
			t.Errorf("%q is there", got)
		}
	})
}

func TestBadInput(t *testing.T) {
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = be.Close(context.Background()) })
	fields := func(err error) (list []string) {
		var walk func(error)
		walk = func(err error) {
			var bad *membership.InvalidError
			if many, ok := err.(interface{ Unwrap() []error }); ok {
				for _, e := range many.Unwrap() {
					walk(e)
				}
			} else if next := errors.Unwrap(err); next != nil {
				walk(next)
			} else if errors.As(err, &bad) && strings.Contains(err.Error(), "must") {
				list = append(list, bad.Field)
			}
		}
		walk(err)
		return list
	}
	for _, c := range []struct {
		backend lease.Backend
		name    string
		opt     membership.Options
		want    []string
	}{
		{nil, "", membership.Options{}, []string{"name", "backend"}},
		{be.Leases(), strings.Repeat("x", 481), membership.Options{TTL: time.Millisecond, Pause: -1}, []string{"name", "TTL", "Pause"}},
		{be.Leases(), "g", membership.Options{TTL: 25 * time.Hour, Pause: time.Hour}, []string{"TTL", "Pause"}},
	} {
		_, err := membership.New(c.backend, c.name, &c.opt)
		if got := fields(err); !slices.Equal(got, c.want) || !errors.Is(err, membership.ErrInvalid) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	g, err := membership.New(be.Leases(), strings.Repeat("x", 480), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close(context.Background()) })
	long := membership.Member{
		ID: strings.Repeat("i", 128), Addr: strings.Repeat("a", 512), Zone: strings.Repeat("z", 128),
		Weight: membership.MaxWeight, Meta: []byte(strings.Repeat("m", 3<<10)),
	}
	if r, err := g.Join(t.Context(), long); err != nil || r.Leave(t.Context()) != nil {
		t.Errorf("the longest: %v", err)
	}
	for _, c := range []struct {
		m    membership.Member
		want []string
	}{
		{membership.Member{}, []string{"ID", "Weight"}},
		{membership.Member{ID: "a", Weight: -1}, []string{"Weight"}},
		{membership.Member{ID: "a", Weight: membership.MaxWeight + 1}, []string{"Weight"}},
		{membership.Member{
			ID: long.ID + "x", Addr: long.Addr + "x", Zone: long.Zone + "x", Weight: 0, Meta: append(long.Meta, 'x'),
		}, []string{"ID", "Addr", "Zone", "Weight", "Meta"}},
	} {
		_, err := g.Join(t.Context(), c.m)
		if got := fields(err); !slices.Equal(got, c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// A group, an election and a lock may have one name, but a key has one use.
func TestConflict(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, open opener) {
		claim := lease.Claim{Key: key, Attempt: lease.NewAttempt(), TTL: ttl, Weight: 1, Limit: 1}
		if _, err := be.Leases().Acquire(t.Context(), claim); err != nil {
			t.Fatal(err)
		}
		if _, err := open(nil).Join(t.Context(), member("a")); !errors.Is(err, membership.ErrConflict) {
			t.Errorf("%v", err)
		}
	})
}
