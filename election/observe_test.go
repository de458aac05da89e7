package election_test

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
	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/lease"
)

// record collects what an observer is told.
type record struct {
	mu   sync.Mutex
	list []string
	end  error
	done chan struct{}
}

// follow observes until ctx ends. At each event it waits for slow.
func follow(ctx context.Context, e *election.Election, slow time.Duration) *record {
	l := &record{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for event, err := range e.Observe(ctx) {
			l.mu.Lock()
			if err != nil {
				l.end = err
			} else {
				l.list = append(l.list, strings.TrimSpace(fmt.Sprint(event.Kind, " ", event.Leader.ID, string(event.Leader.Meta))))
			}
			l.mu.Unlock()
			time.Sleep(slow)
		}
	}()
	return l
}

func (l *record) is(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.list, want) {
		t.Errorf("told %q, want %q", l.list, want)
	}
}

func TestObserve(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		ctx, stop := context.WithCancel(t.Context())
		a, b, watcher := join(id("a"), nil), join(id("b"), nil), join(id("watcher"), nil)
		early := follow(ctx, watcher, 0)
		early.is(t, "vacant")
		first := campaign(t, a)
		next := make(chan *election.Leadership)
		go func() { next <- campaign(t, b) }()
		synctest.Wait()
		_ = first.Proclaim(ctx, []byte("!"))
		late := follow(ctx, watcher, 0)
		early.is(t, "vacant", "elected a", "proclaimed a!")
		late.is(t, "elected a!")

		_ = first.Resign(ctx)
		second := <-next
		early.is(t, "vacant", "elected a", "proclaimed a!", "vacant", "elected b")

		be.Control().DropEvents(true)
		_ = second.Resign(ctx)
		third := campaign(t, a)
		be.Control().DropEvents(false)
		early.is(t, "vacant", "elected a", "proclaimed a!", "vacant", "elected b", "gap", "elected a")
		_ = third.Resign(ctx)
		early.is(t, "vacant", "elected a", "proclaimed a!", "vacant", "elected b", "gap", "elected a", "vacant")

		stop()
		<-early.done
		<-late.done
		if !errors.Is(early.end, context.Canceled) {
			t.Errorf("ended with %v", early.end)
		}
	})
}

// After a gap comes what is true, also when that is what was true before: terms may have come and gone.
func TestNobodyLeadsAfterAGap(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		ctx, stop := context.WithCancel(t.Context())
		a, watcher := join(id("a"), nil), join(id("watcher"), nil)
		l := follow(ctx, watcher, 0)
		l.is(t, "vacant")
		be.Control().DropEvents(true)
		_ = campaign(t, a).Resign(ctx)
		be.Control().DropEvents(false)
		l.is(t, "vacant", "gap", "vacant")
		stop()
		<-l.done
	})
}

// Terms never go back and no vacancy is skipped, however slow the observer is.
func TestSlowObserverMissesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		ctx, stop := context.WithCancel(t.Context())
		a, watcher := join(id("a"), nil), join(id("watcher"), nil)
		l := follow(ctx, watcher, time.Second)
		l.is(t, "vacant")
		want := []string{"vacant"}
		for range 20 {
			_ = campaign(t, a).Resign(ctx)
			want = append(want, "elected", "vacant") // over before it could be looked at
		}
		time.Sleep(time.Minute)
		l.mu.Lock()
		for i, s := range l.list {
			l.list[i], _, _ = strings.Cut(s, " ")
		}
		l.mu.Unlock()
		l.is(t, want...)
		stop()
		<-l.done
	})
}

func TestObserverLeavesTheLoop(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		for _, err := range join(id("watcher"), nil).Observe(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			break
		}
	})
}

func TestObserveOnAnEngineWithoutAnnouncements(t *testing.T) {
	be := mute{}
	e, err := election.New(be, "x", election.Candidate{ID: "a"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close(context.Background()) }()
	n := 0
	for _, err := range e.Observe(t.Context()) {
		n++
		if !errors.Is(err, election.ErrUnsupported) {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("%d elements", n)
	}
}

// mute is an engine that can do nothing.
type mute struct{ lease.Backend }

func (mute) Capabilities() lease.Capabilities { return lease.Capabilities{} }
func (mute) Observe(context.Context, string, func(lease.Change)) error {
	return lease.ErrUnsupported
}

func TestArguments(t *testing.T) {
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = be.Close(context.Background()) }()
	long := strings.Repeat("x", 4000)
	for field, c := range map[string]struct {
		name string
		c    election.Candidate
		o    election.Options
	}{
		"name":     {"", id("a"), election.Options{}},
		"ID":       {"n", election.Candidate{}, election.Options{}},
		"Addr":     {"n", election.Candidate{ID: "a", Addr: long}, election.Options{}},
		"Meta":     {"n", election.Candidate{ID: "a", Meta: []byte(long)}, election.Options{}},
		"Priority": {"n", election.Candidate{ID: "a", Priority: 512}, election.Options{}},
		"TTL":      {"n", id("a"), election.Options{TTL: time.Millisecond}},
		"Margin":   {"n", id("a"), election.Options{Margin: time.Hour}},
		"Drain":    {"n", id("a"), election.Options{Drain: -1}},
		"MinTerm":  {"n", id("a"), election.Options{MinTerm: -1}},
		"Epoch":    {"n", id("a"), election.Options{Epoch: 1024}},
	} {
		var bad *election.InvalidError
		if _, err := election.New(be.Leases(), c.name, c.c, &c.o); !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := election.New(nil, "", election.Candidate{}, nil); !errors.Is(err, election.ErrInvalid) || !strings.Contains(err.Error(), "ID must have") {
		t.Errorf("all at once: %v", err)
	}
	if _, err := election.New(mute{}, "n", election.Candidate{ID: "a", Priority: 1}, nil); !errors.Is(err, election.ErrUnsupported) {
		t.Errorf("priority: %v", err)
	}
}
