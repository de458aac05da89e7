package redisbackend

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

// Who leaves while it waits for its turn is not counted, and nobody else notices.
func TestCallerLeavesTheQueue(t *testing.T) {
	c, g := held(t, connect(t, address(t)))
	p := hourly(t, ratelimit.TokenBucket, 100)
	first := c.queue(within(t, 20*time.Second), 0, take(p, "k", 1))
	ctx, cancel := context.WithCancel(within(t, 20*time.Second))
	second := c.queue(ctx, 1, take(p, "k", 20), take(p, "k", 30))
	third := c.queue(within(t, 20*time.Second), 3, take(p, "k", 2))
	cancel()
	for _, o := range <-second {
		if !errors.Is(o.Err, errLeft) || !errors.Is(o.Err, context.Canceled) || !errors.Is(o.Err, ratelimit.ErrUnavailable) {
			t.Errorf("left: %+v", o)
		}
	}
	if n := c.queued(); n != 2 {
		t.Errorf("%d wait", n)
	}
	g.open()
	for i, d := range []<-chan []ratelimit.Outcome{first, third} {
		if o := what(t, d); o.Err != nil || o.Decision.Remaining != []int64{99, 97}[i] {
			t.Errorf("stayed: %+v", o)
		}
	}
	left(t, c.be, p, "k", 97)
}

// Who has left by the time of its turn is not sent, noticed or not.
func TestNobodyIsSentWhoHasLeft(t *testing.T) {
	b := &Backend{}
	s := &lanes{l: &limits{b: b}, busy: map[pipeliner]*lane{}}
	node := connect(t, "127.0.0.1:1")
	var way *lane
	for range maxFlights {
		way, _, _ = s.enter(context.Background(), node, nil)
	}
	p := hourly(t, ratelimit.TokenBucket, 10)
	op := take(p, "k", 1)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, c, err := s.enter(ended, node, []asked{{question: newQuestion(newNames("p"), &op)}})
	if c == nil || err != nil {
		t.Fatalf("%+v, %v", c, err)
	}
	for range maxFlights {
		s.land(way)
	}
	b.calls.Wait()
	<-c.done
	if err := c.ops[0].out.Err; !errors.Is(err, errLeft) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if len(s.busy) != 0 || way.queued != 0 || way.flights != 0 {
		t.Errorf("left: %+v", way)
	}
}

// Who leaves while its request is under way may have been counted, and does not take the others of the
// request with it.
func TestCallerLeavesARequest(t *testing.T) {
	c, g := held(t, connect(t, address(t)))
	p := hourly(t, ratelimit.TokenBucket, 100)
	ctx, cancel := context.WithCancel(within(t, 20*time.Second))
	ops := []ratelimit.Op{take(p, "k", 1)}
	cancelled := c.queue(ctx, 0, ops...)
	stays := c.queue(within(t, 20*time.Second), 1, take(p, "k", 4))
	g.pass <- struct{}{}
	if n := <-g.arrive; n != 2 {
		t.Fatalf("%d commands", n)
	}
	cancel()
	if o := what(t, cancelled); !errors.Is(o.Err, context.Canceled) || errors.Is(o.Err, errLeft) || !errors.Is(o.Err, ratelimit.ErrUnavailable) {
		t.Errorf("cancelled: %+v", o)
	}
	clear(ops) // it is the caller's again
	g.open()
	if o := what(t, stays); o.Err != nil || o.Decision.Remaining != 95 {
		t.Errorf("stayed: %+v", o)
	}
	left(t, c.be, p, "k", 95)
}

// Whenever callers leave: what was answered is counted, what is said not to have been executed is not, and
// the rest may be.
func TestCallersComeAndGo(t *testing.T) {
	c := &calls{t: t, be: open(t, nil, sharing)}
	const units = 1_000_000
	p := hourly(t, ratelimit.FixedWindow, units)
	var answered, unknown, gone atomic.Int64
	for g := range 64 {
		c.all.Go(func() {
			r := rand.New(rand.NewPCG(42, uint64(g)))
			for range 100 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(2000))*time.Microsecond)
				ops := []ratelimit.Op{take(p, "k", 1), take(p, "k", 1)}
				var out [2]ratelimit.Outcome
				c.be.Limits().Apply(ctx, ops[:1+r.IntN(2)], out[:])
				cancel()
				for _, o := range out {
					switch {
					case o.Decision.Allowed:
						answered.Add(1)
					case errors.Is(o.Err, errLeft):
						gone.Add(1)
					case errors.Is(o.Err, ratelimit.ErrUnavailable):
						unknown.Add(1)
					case o != ratelimit.Outcome{}:
						t.Errorf("%+v", o)
					}
				}
			}
		})
	}
	c.all.Wait()
	eventually(t, "nothing is under way", func() bool { return c.queued() == 0 && c.flights() == 0 })
	used := units - decide(t, c.be, peek(p, "k")).Remaining
	if a, u := answered.Load(), unknown.Load(); used < a || used > a+u {
		t.Errorf("%d are counted, %d were answered, %d not, and %d left in time", used, a, u, gone.Load())
	}
}

// The end of a call that went alone is not that of those behind it.
func TestCallersOutliveTheOneAhead(t *testing.T) {
	o := clientOptions(ownServer(t))
	o.ReadTimeout = 10 * time.Second // so that deadlines come first
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	c := &calls{t: t, be: open(t, client, sharing)}
	p := hourly(t, ratelimit.TokenBucket, 100)
	decide(t, c.be, take(p, "warm", 1))
	if err := client.Do(context.Background(), "client", "pause", 60_000, "write").Err(); err != nil {
		t.Fatal(err)
	}
	short, stop := context.WithTimeout(context.Background(), 2*time.Second)
	defer stop()
	var ahead []<-chan []ratelimit.Outcome
	for i := range maxFlights {
		ahead = append(ahead, c.call(short, take(p, "k", 1)))
		eventually(t, "it is under way", func() bool { return c.flights() == i+1 })
	}
	behind := c.queue(within(t, 20*time.Second), 0, take(p, "k", 1))
	brief := c.queue(short, 1, take(p, "k", 1))
	for _, d := range append(ahead, brief) {
		if o := what(t, d); !errors.Is(o.Err, ratelimit.ErrUnavailable) {
			t.Errorf("slow server: %+v", o)
		}
	}
	eventually(t, "the one behind is under way", func() bool { return c.queued() == 0 })
	if err := client.Do(context.Background(), "client", "unpause").Err(); err != nil {
		t.Fatal(err)
	}
	if o := what(t, behind); o.Err != nil || !o.Decision.Allowed {
		t.Errorf("behind: %+v", o)
	}
	if n := decide(t, c.be, peek(p, "k")).Remaining; n < 98-maxFlights || n > 99 {
		t.Errorf("%d left", n)
	}
	eventually(t, "nothing is under way", func() bool { return c.flights() == 0 })
}

// Close waits for the requests under way, and those who wait for their turn hear of it.
func TestCloseWithSharedLimits(t *testing.T) {
	c, g := held(t, connect(t, address(t)))
	p := hourly(t, ratelimit.TokenBucket, 100)
	sent := c.queue(within(t, 20*time.Second), 0, take(p, "k", 1))
	g.pass <- struct{}{}
	if n := <-g.arrive; n != 1 {
		t.Fatalf("%d commands", n)
	}
	waits := c.queue(within(t, 20*time.Second), 0, take(p, "k", 1))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := c.be.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
	g.open()
	if err := c.be.Close(within(t, 20*time.Second)); err != nil {
		t.Errorf("close: %v", err)
	}
	if o := what(t, sent); o.Err != nil || o.Decision.Remaining != 99 {
		t.Errorf("sent: %+v", o)
	}
	if o := what(t, waits); !errors.Is(o.Err, ratelimit.ErrClosed) || !errors.Is(o.Err, lease.ErrClosed) {
		t.Errorf("waited: %+v", o)
	}
	c.all.Wait()
	if n := c.flights(); n != 0 {
		t.Errorf("%d under way", n)
	}
}

// Calls whose answers are lost may have been counted, once, and are not sent again.
func TestLostAnswersOfSharedLimits(t *testing.T) {
	var lose atomic.Bool
	var sent atomic.Int64
	client := lossyClient(t, &lose, &sent)
	c, g := held(t, client)
	p := hourly(t, ratelimit.TokenBucket, 1000)
	const callers = 30
	var done []<-chan []ratelimit.Outcome
	for i := range callers {
		done = append(done, c.queue(within(t, 20*time.Second), i, take(p, "k", 1)))
	}
	lose.Store(true)
	sent.Store(0)
	g.open()
	for _, d := range done {
		if o := what(t, d); !errors.Is(o.Err, ratelimit.ErrUnavailable) || !errors.Is(o.Err, io.EOF) {
			t.Errorf("lost answer: %+v", o)
		}
	}
	c.all.Wait()
	if n := sent.Load(); n != maxFlights+1 {
		t.Errorf("sent %d times", n)
	}
	lose.Store(false)
	eventually(t, "what was sent arrives", func() bool { return decide(t, c.be, peek(p, "k")).Remaining == 1000-callers })
}
