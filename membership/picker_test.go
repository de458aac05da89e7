package membership_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/membership"
)

var strategies = []membership.Strategy{membership.RoundRobin, membership.LeastInFlight, membership.PowerOfTwo}

func picker(t testing.TB, s membership.Strategy, members ...membership.Member) *membership.Picker {
	t.Helper()
	p, err := membership.NewPicker(s)
	if err != nil {
		t.Fatal(err)
	}
	p.Set(members)
	return p
}

func weighted(weights ...int) (list []membership.Member) {
	for i, w := range weights {
		m := member(fmt.Sprint(i))
		m.Weight = w
		list = append(list, m)
	}
	return list
}

func pick(t testing.TB, p *membership.Picker, except ...string) membership.Pick {
	t.Helper()
	got, err := p.Pick(context.Background(), except...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Calls that take no time are spread by weight.
func TestShares(t *testing.T) {
	for _, s := range strategies {
		for _, weights := range [][]int{{1}, {1, 1, 1}, {5, 1, 1}, {1, 2, 3, 4}, {membership.MaxWeight, membership.MaxWeight / 2}} {
			p := picker(t, s, weighted(weights...)...)
			const n = 20_000
			count := map[string]int{}
			for range n {
				got := pick(t, p)
				count[got.Member.ID]++
				got.Done()
			}
			sum := 0
			for _, w := range weights {
				sum += w
			}
			off := 0.002 // round robin is exact but for the rounds at both ends
			if s != membership.RoundRobin {
				off = 0.02 // they are random
			}
			for i, w := range weights {
				want := float64(w) / float64(sum)
				if got := float64(count[fmt.Sprint(i)]) / n; math.Abs(got-want) > off {
					t.Errorf("%v %v: member %d has %.3f, want %.3f", s, weights, i, got, want)
				}
			}
		}
	}
}

// Calls that never end are spread by weight by those that look at them.
func TestLoads(t *testing.T) {
	for _, s := range []membership.Strategy{membership.LeastInFlight, membership.PowerOfTwo} {
		for _, weights := range [][]int{{1}, {1, 1, 1}, {8, 1, 1}, {1, 2, 3, 4}, {membership.MaxWeight, 1}} {
			p := picker(t, s, weighted(weights...)...)
			const n = 4000
			count := map[string]int{}
			for range n {
				count[pick(t, p).Member.ID]++
			}
			sum := 0
			for _, w := range weights {
				sum += w
			}
			off := 0.002
			if s == membership.PowerOfTwo {
				off = 0.02
			}
			for i, w := range weights {
				want := float64(w) / float64(sum)
				if got := float64(count[fmt.Sprint(i)]) / n; math.Abs(got-want) > off {
					t.Errorf("%v %v: member %d has %.3f, want %.3f", s, weights, i, got, want)
				}
			}
		}
	}
}

// Against a model: nobody that is not there is picked, nor one that is excepted while there is another,
// and LeastInFlight picks one of the least loaded.
func TestPickerModel(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := &model{t: t, random: random, strategy: strategies[seed%3], loads: map[string]int{}}
		m.picker = picker(t, m.strategy)
		m.set()
		for range 100 {
			switch n := random.IntN(20); {
			case n == 0:
				m.set()
			case n < 12:
				m.pick()
			default:
				m.done()
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d, %v", seed, m.strategy)
		}
	}
}

// model is what a picker should know.
type model struct {
	t        *testing.T
	random   *rand.Rand
	strategy membership.Strategy
	picker   *membership.Picker
	there    map[string]membership.Member
	loads    map[string]int
	open     []*membership.Pick
}

func (m *model) set() {
	before := m.there
	m.there = map[string]membership.Member{}
	var list []membership.Member
	for _, i := range m.random.Perm(6)[:m.random.IntN(7)] {
		one := member(fmt.Sprint(i))
		one.Weight = []int{1, 1, 2, 100}[m.random.IntN(4)]
		list = append(list, one)
		m.there[one.ID] = one
		if _, stays := before[one.ID]; !stays {
			m.loads[one.ID] = 0
		}
	}
	m.open = slices.DeleteFunc(m.open, func(p *membership.Pick) bool { // calls to those that went are not counted
		_, stays := m.there[p.Member.ID]
		return !stays
	})
	m.picker.Set(list)
}

func (m *model) pick() {
	var except []string
	for _, i := range m.random.Perm(6)[:m.random.IntN(4)] {
		except = append(except, fmt.Sprint(i))
	}
	got, err := m.picker.Pick(context.Background(), except...)
	if len(m.there) == 0 {
		if !errors.Is(err, membership.ErrNoMember) {
			m.t.Errorf("%v", err)
		}
		return
	}
	one, ok := m.there[got.Member.ID]
	if err != nil || !ok || one.Weight != got.Member.Weight {
		m.t.Errorf("picked %+v, %v", got.Member, err)
	}
	free := 0
	for id := range m.there {
		if !slices.Contains(except, id) {
			free++
		}
	}
	if free > 0 && slices.Contains(except, one.ID) {
		m.t.Errorf("%s is excepted", one.ID)
	}
	for id, other := range m.there {
		candidate := free == 0 || !slices.Contains(except, id)
		if m.strategy == membership.LeastInFlight && candidate && m.loads[id]*one.Weight < m.loads[one.ID]*other.Weight {
			m.t.Errorf("%s has %d, %s has %d", one.ID, m.loads[one.ID], id, m.loads[id])
		}
	}
	m.loads[one.ID]++
	m.open = append(m.open, &got)
}

func (m *model) done() {
	if len(m.open) == 0 {
		return
	}
	i := m.random.IntN(len(m.open))
	m.loads[m.open[i].Member.ID]--
	m.open[i].Done()
	m.open[i].Done() // changes nothing
	m.open = slices.Delete(m.open, i, i+1)
}

// Picking and replacing at the same time.
func TestPickerRace(t *testing.T) {
	for _, s := range strategies {
		p := picker(t, s, weighted(1, 2, 3)...)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 2000 {
					got, err := p.Pick(context.Background(), "1")
					if err != nil || got.Member.ID == "1" {
						t.Errorf("%+v, %v", got.Member, err)
					}
					got.Done()
				}
			})
		}
		wg.Go(func() {
			for i := range 500 {
				p.Set(weighted(1, 2, 3, 4, 5)[:2+i%4])
			}
		})
		wg.Wait()
	}
}

func TestPickWaitsForTheFirstView(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, open opener) {
		p, err := membership.NewPicker(membership.RoundRobin)
		if err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.Pick(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		g := open(nil)
		a := join(t, g, member("a"))
		picked := make(chan string, 1)
		go func() {
			got := pick(t, p)
			picked <- got.Member.ID
		}()
		synctest.Wait()
		ctx, stop := context.WithCancel(t.Context())
		followed := make(chan error, 1)
		go func() { followed <- p.Follow(ctx, g) }()
		if id := <-picked; id != "a" {
			t.Errorf("picked %q", id)
		}
		_ = a.Leave(ctx)
		time.Sleep(membership.DefaultPause)
		synctest.Wait()
		if _, err := p.Pick(ctx); !errors.Is(err, membership.ErrNoMember) {
			t.Errorf("the member that left is picked: %v", err)
		}
		stop()
		if err := <-followed; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if _, err := membership.NewPicker(9); !errors.Is(err, membership.ErrInvalid) {
			t.Errorf("%v", err)
		}
	})
}
