package breaker_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/breaker/gobreakerengine"
)

const idle = time.Minute

// newGroup returns a group of at most three, and what it tells of.
func newGroup(t *testing.T, o breaker.Options) (*breaker.Group[string], *[]string) {
	t.Helper()
	var told []string
	o.Hooks = &breaker.Hooks{Untracked: func(i breaker.Info) { told = append(told, i.Name+"/"+i.Key) }}
	g, err := breaker.NewGroup[string]("g", &breaker.GroupOptions{Breaker: &o, MaxKeys: 3, Idle: idle})
	if err != nil {
		t.Fatal(err)
	}
	return g, &told
}

func TestGroupKeepsKeysApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGroup(t, breaker.Options{})
		trip(t, g.Get("a"))
		want(t, g.Get("a"), breaker.Open)
		want(t, g.Get("b"), breaker.Closed)
		if first := g.Get("a"); first != g.Get("a") || g.Len() != 2 {
			t.Error("not the same breaker again")
		}
		if r := rejection(t, g.Get("a")); r.Name != "g" || r.Key != "a" {
			t.Errorf("%+v", r)
		}
	})
}

func TestGroupForgetsOnlyClosedIdleOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, told := newGroup(t, breaker.Options{OpenFor: time.Hour})
		open, forced, closed := g.Get("open"), g.Get("forced"), g.Get("closed")
		trip(t, open)
		forced.ForceClose()
		call(t, closed, breaker.Failure)

		time.Sleep(idle - 1)
		if b := g.Get("new"); b.Mode() != breaker.ForcedClosed || g.Len() != 3 {
			t.Fatal("one that is not idle was forgotten")
		}
		time.Sleep(time.Nanosecond)
		if b := g.Get("new"); b.Mode() != breaker.Automatic || b.Counts() != (breaker.Counts{}) {
			t.Fatal("no breaker though there is an idle one")
		}
		if g.Get("open") != open || g.Get("forced") != forced || g.Len() != 3 {
			t.Error("one that is open or forced was forgotten")
		}
		time.Sleep(10 * idle)
		if g.Get("closed") == closed {
			t.Error("the idle one is still there")
		}
		if len(*told) != 1 || (*told)[0] != "g/new" {
			t.Errorf("told %q", *told)
		}
	})
}

func TestFullGroupLetsCallsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, told := newGroup(t, breaker.Options{OpenFor: time.Hour})
		for _, key := range []string{"a", "b", "c"} {
			trip(t, g.Get(key))
		}
		time.Sleep(idle)
		for i := range 1000 {
			b := g.Get("x" + strconv.Itoa(i))
			call(t, b, breaker.Failure)
			b.ForceOpen() // it stands for many keys, so nobody can set it
			b.Reset()
		}
		if g.Len() != 3 || len(*told) != 1 {
			t.Errorf("%d breakers, told %q", g.Len(), *told)
		}
		g.Get("a").Reset()
		time.Sleep(idle)
		if g.Get("y").Mode() != breaker.Automatic {
			t.Error("no place though there is one")
		}
		g.Get("z")
		if len(*told) != 2 {
			t.Errorf("told %q", *told)
		}
	})
}

func TestGroupOfObserversForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, told := newGroup(t, breaker.Options{ObserveOnly: true})
		for i := range 10 {
			if g.Get(strconv.Itoa(i)).Mode() != breaker.ObserveOnly {
				t.Fatal("not in the mode it should begin in")
			}
			time.Sleep(idle)
		}
		if g.Len() != 3 || len(*told) != 0 {
			t.Errorf("%d breakers, told %q", g.Len(), *told)
		}
	})
}

func TestGroupOfNumbersWithoutOrder(t *testing.T) {
	g, err := breaker.NewGroup[float64]("g", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		call(t, g.Get(math.NaN()), breaker.Success)
	}
	if g.Len() != 0 {
		t.Errorf("%d breakers that nobody will find", g.Len())
	}
}

func TestGroupOptionsOutOfBounds(t *testing.T) {
	for _, c := range []struct {
		o    breaker.GroupOptions
		want string
	}{
		{breaker.GroupOptions{}, ""},
		{breaker.GroupOptions{MaxKeys: -1, Idle: time.Microsecond}, "MaxKeys Idle"},
		{breaker.GroupOptions{MaxKeys: 1_000_001}, "MaxKeys"},
		{breaker.GroupOptions{Breaker: &breaker.Options{Voter: &fleet{}, Probes: -1}}, "Probes Voter"},
		{breaker.GroupOptions{Breaker: &breaker.Options{
			Engine: gobreakerengine.New(gobreaker.Settings{}, &gobreakerengine.Options{ProbeTimeout: -1}),
		}}, "ProbeTimeout"},
	} {
		_, err := breaker.NewGroup[int]("g", &c.o)
		if got := fields(t, err); got != c.want {
			t.Errorf("%+v: %q, want %q: %v", c.o, got, c.want, err)
		}
	}
}

// TestGroupUnderManyGoroutines asks for more keys than there are places. Never are there more breakers.
func TestGroupUnderManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := breaker.NewGroup[int]("g", &breaker.GroupOptions{
			Breaker: silent(breaker.Options{MinCalls: 3}), MaxKeys: 20, Idle: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for seed := range 16 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(seed), 4))
				for range 500 {
					p, err := g.Get(rnd.IntN(60)).Acquire(t.Context())
					if err == nil {
						p.Report(breaker.Outcome(rnd.IntN(3)))
					} else if !errors.Is(err, breaker.ErrRejected) {
						t.Error(err)
					}
					if n := g.Len(); n > 20 {
						t.Errorf("%d breakers", n)
					}
					time.Sleep(time.Duration(rnd.Int64N(int64(200 * time.Millisecond))))
				}
			})
		}
		wg.Wait()
	})
}
