package retry

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func newBudget(tb testing.TB, o *BudgetOptions) *Budget {
	tb.Helper()
	b, err := NewBudget("server", o)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Goroutines that pay in and take out at the same time neither lose anything nor spend it twice.
// Time stands still, so the floor adds nothing.
func TestBudgetIsNotOverspent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, &BudgetOptions{Capacity: 100_000})
		for b.take(b.costs[ClassTimeout]) == nil { // empties it
		}
		var taken, paid atomic.Uint64
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				random := rand.New(rand.NewPCG(7, uint64(g)))
				for range 30_000 {
					if random.IntN(4) > 0 {
						b.deposit()
						paid.Add(b.answer)
					} else if cost := b.costs[1+random.IntN(4)]; b.take(cost) == nil {
						taken.Add(cost)
					}
					if level := b.Level(); level < 0 || level > b.Capacity() {
						t.Errorf("level %v", level)
					}
				}
			})
		}
		all.Wait()
		if left := b.word.Load() & levelMask; taken.Load()+left != paid.Load() || taken.Load() == 0 {
			t.Errorf("took %d of %d, and %d are left", taken.Load(), paid.Load(), left)
		}
	})
}

// A random list of operations gives what exact arithmetic says.
func TestBudgetAgreesWithModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(8, 9))
		for range 200 {
			o := &BudgetOptions{Capacity: 2 + 50*random.Float64(), Floor: 1 + random.IntN(5), Ratio: 0.001 + 0.9*random.Float64()}
			if random.IntN(3) == 0 {
				o.Floor, o.NoFloor = 0, true
			}
			b := newBudget(t, o)
			level, paid := b.capacity, time.Now()
			due := func() uint64 {
				if level >= b.reserve {
					return level
				}
				return min(b.reserve, level+uint64(time.Since(paid)/time.Millisecond)*b.floor)
			}
			for range 200 {
				switch random.IntN(3) {
				case 0:
					time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
				case 1:
					b.deposit()
					level = min(b.capacity, level+b.answer)
				case 2:
					cost := b.costs[1+random.IntN(4)]
					refused := b.take(cost) != nil
					if refused != (due() < cost) {
						t.Fatalf("%d of %d: refused %v", cost, due(), refused)
					}
					if !refused {
						level, paid = due()-cost, time.Now()
					}
				}
				if got := uint64(b.Level()*unit + 0.5); got != due() {
					t.Fatalf("level %d, want %d", got, due())
				}
			}
		}
	})
}

// However low the budget is, what pays in makes attempts possible again.
func TestBudgetRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			o       BudgetOptions
			answers int
			wait    time.Duration
		}{
			{BudgetOptions{NoFloor: true}, 20, 0}, // two attempts' worth for a timeout, a tenth each
			{BudgetOptions{NoFloor: true, Ratio: 0.001}, 2000, 0},
			{BudgetOptions{}, 0, 2 * time.Second}, // without any answer
			{BudgetOptions{Floor: 100}, 0, 20 * time.Millisecond},
			{BudgetOptions{Capacity: 1000, Costs: Costs{Timeout: 1000}}, 0, 1000 * time.Second}, // dearer than the floor saves up
		} {
			b := newBudget(t, &c.o)
			dear := b.costs[ClassTimeout]
			for b.take(1) == nil { // empties it
			}
			for range c.answers - 1 {
				b.deposit()
			}
			if c.wait > 0 {
				time.Sleep(c.wait - time.Millisecond)
			}
			if err := b.take(dear); err == nil {
				t.Errorf("%+v: too early", c)
				continue
			} else if err.Budget != "server" || err.Level*unit >= float64(dear) || err.Cost*unit != float64(dear) {
				t.Errorf("%+v: %v", c, err)
			}
			b.deposit()
			if c.wait > 0 {
				time.Sleep(time.Millisecond)
			}
			if err := b.take(dear); err != nil {
				t.Errorf("%+v: %v", c, err)
			}
		}
	})
}

// The clock in the word begins anew after two years, and goroutines may have read it in another order.
func TestBudgetClock(t *testing.T) {
	b := newBudget(t, &BudgetOptions{Floor: 10})
	for _, c := range []struct{ paid, now, want, at uint64 }{
		{1000, 1000, 5, 1000},
		{1000, 1001, 15, 1001},
		{1000, 999, 5, 1000},
		{clockMask - 1, 1, 35, 1},
		{1, clockMask, 5, 1},
		{0, clockBackward, b.reserve, clockBackward},
	} {
		if level, at := b.level(c.paid<<levelBits|5, c.now); level != c.want || at != c.at {
			t.Errorf("paid up to %d, at %d: %d up to %d, want %d up to %d", c.paid, c.now, level, at, c.want, c.at)
		}
	}
	if maxCapacity*unit > levelMask {
		t.Error("the largest level does not fit the word")
	}
}
