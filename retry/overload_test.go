package retry_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/retry"
)

// overload is a trouble of a while at a server that is otherwise able to serve its load: it takes
// requests in their order, from a queue, and serves each, also those that nobody waits for any more.
type overload struct {
	second time.Duration // how long a second lasts, of all that follows

	capacity int // requests a second
	dip      int // the same in the trouble
	load     int // calls a second
	queue    int // requests that find no place are refused
	clients  int // that share the load, each with a Retrier
	patience int // seconds that an attempt may take
	before   int // seconds
	trouble  int
	after    int
}

var usualOverload = overload{
	second: time.Second, capacity: 1000, dip: 300, load: 850, queue: 5000, clients: 1, patience: 1, before: 5, trouble: 10, after: 50,
}

// story is what happened, second by second.
type story struct {
	o    overload
	mu   sync.Mutex
	sent []int // requests
	good []int // calls that succeeded, by when they began
}

// inBubble plays it in virtual time.
func (o overload) inBubble(t *testing.T, options retry.Options) (s *story) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { s = o.play(t, options) })
	return s
}

// play lets the clients of o call, each with a Retrier of the given options.
func (o overload) play(tb testing.TB, options retry.Options) *story {
	tb.Helper()
	seconds := o.before + o.trouble + o.after
	s := &story{o: o, sent: make([]int, seconds+60), good: make([]int, seconds)}
	options.AttemptTimeout = time.Duration(o.patience) * o.second
	clients := make([]*retry.Retrier, o.clients)
	for i := range clients {
		clients[i] = newRetrier(tb, &options)
	}
	start := time.Now()
	second := func() int { return int(time.Since(start) / o.second) }

	type request struct {
		came   time.Time
		served chan struct{}
	}
	queue := make(chan request, o.queue)
	var server, calls sync.WaitGroup
	server.Go(func() {
		ready := start
		for r := range queue {
			rate := o.capacity
			if now := second(); now >= o.before && now < o.before+o.trouble {
				rate = o.dip
			}
			if ready.Before(r.came) {
				ready = r.came
			}
			ready = ready.Add(o.second / time.Duration(rate))
			time.Sleep(time.Until(ready))
			close(r.served)
		}
	})
	ask := func(ctx context.Context, _ retry.Attempt) (int, error) {
		s.add(s.sent, second())
		r := request{time.Now(), make(chan struct{})}
		select {
		case queue <- r:
		default:
			return 0, errors.New("queue full")
		}
		select {
		case <-r.served:
			return 0, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	for call := range seconds * o.load {
		time.Sleep(time.Until(start.Add(time.Duration(call) * o.second / time.Duration(o.load))))
		calls.Go(func() {
			if _, err := retry.Do(tb.Context(), clients[call%o.clients], ask); err == nil {
				s.add(s.good, call/o.load)
			}
		})
	}
	calls.Wait()
	close(queue)
	server.Wait()
	return s
}

func (s *story) add(to []int, second int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to[min(second, len(to)-1)]++
}

// peak is the most requests in a second, as a multiple of the calls.
func (s *story) peak() float64 { return float64(slices.Max(s.sent)) / float64(s.o.load) }

// goodput is the share of calls that succeeded among those of the last seconds.
func (s *story) goodput(last int) float64 {
	sum := 0
	for _, n := range s.good[len(s.good)-last:] {
		sum += n
	}
	return float64(sum) / float64(last*s.o.load)
}

// recovers wants the server to be well in the end, and the load never to have been much above that of
// the calls.
func (s *story) recovers() error {
	if good := s.goodput(10); good < 0.99 {
		return errors.New("still in trouble")
	}
	if s.peak() > 1.2 {
		return errors.New("too much load")
	}
	return nil
}

// With defaults a trouble ends; without a budget the same one does not, though its delays are jittered.
func TestOverload(t *testing.T) {
	with := usualOverload.inBubble(t, retry.Options{})
	t.Logf("with budget: peak %.2f, %.1f %% good in the end", with.peak(), 100*with.goodput(10))
	if err := with.recovers(); err != nil {
		t.Error(err)
	}
	without := usualOverload.inBubble(t, retry.Options{NoBudget: true})
	t.Logf("without: peak %.2f, %.1f %% good in the end", without.peak(), 100*without.goodput(10))
	if err := without.recovers(); err == nil {
		t.Error("without a budget it recovered too, so this test shows nothing")
	}
	if without.goodput(10) > 0.1 {
		t.Errorf("%.1f %% good in the end without a budget", 100*without.goodput(10))
	}
}

// The same trouble with the load spread over small clients, each with a full budget of its own: what they
// have saved goes out in one second, and then the load is bounded as that of one client is.
func TestOverloadByAFleet(t *testing.T) {
	o := usualOverload
	o.clients = 85
	s := o.inBubble(t, retry.Options{})
	t.Logf("peak %.2f, %.1f %% good in the end", s.peak(), 100*s.goodput(10))
	if good := s.goodput(10); good < 0.99 {
		t.Errorf("%.1f %% good in the end", 100*good)
	}
	sum, calls := 0, (o.trouble+10)*o.load
	for _, n := range s.sent[o.before : o.before+o.trouble+10] {
		sum += n
	}
	if float64(sum) > 1.2*float64(calls) {
		t.Errorf("%d requests for %d calls", sum, calls)
	}
	saved := o.clients * retry.DefaultCapacity / 2 // a timeout costs two
	if peak := slices.Max(s.sent); float64(peak) > 1.2*float64(o.load+saved) {
		t.Errorf("%d requests in a second, %d of them saved", peak, saved)
	}
}

// BenchmarkOverload plays a tenth of the load in real time, five times as fast, and tells how much load
// there was at most and what share of the calls succeeded in the end. It takes 13 s for each policy.
func BenchmarkOverload(b *testing.B) {
	o := usualOverload
	o.capacity, o.dip, o.load, o.queue = o.capacity/10, o.dip/10, o.load/10, o.queue/10
	o.second = 200 * time.Millisecond
	small, err := retry.NewBudget("server", &retry.BudgetOptions{Capacity: 2})
	if err != nil {
		b.Fatal(err)
	}
	backoff := retry.FullJitter(o.second/10, 10*o.second)
	for _, c := range []struct {
		name    string
		options retry.Options
	}{
		{"with-budget", retry.Options{Backoff: backoff, Budget: small}},
		{"without", retry.Options{Backoff: backoff, NoBudget: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var peak, good float64
			for range b.N {
				s := o.play(b, c.options)
				peak, good = max(peak, s.peak()), s.goodput(10)
			}
			b.ReportMetric(peak, "peak-load")
			b.ReportMetric(100*good, "good-%")
		})
	}
}
