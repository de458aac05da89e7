package etcdbackend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// ranked is a wish with a priority.
func ranked(priority int) lease.Claim {
	c := wish("k")
	c.Priority = priority
	return c
}

func transfer(t testing.TB, be *Backend, c lease.Claim, to lease.Attempt, want lease.Released) {
	t.Helper()
	was, err := be.Leases().Release(within(t, 5*time.Second), lease.Release{Key: c.Key, Attempt: c.Attempt, To: to})
	if err != nil || was != want {
		t.Fatalf("transfer: was %v, %v; want %v", was, err, want)
	}
}

// die ends the lease of a claim, as the servers do when its process has died.
func die(t testing.TB, be *Backend, c lease.Claim) {
	t.Helper()
	be.table.mu.Lock()
	id := be.table.claims[c.Attempt].life.id
	be.table.mu.Unlock()
	if _, err := be.client.Revoke(within(t, 5*time.Second), id); err != nil {
		t.Fatal(err)
	}
}

// The holder dies. The first of the line gives the seat to the best, and after that each holder to
// the next best.
func TestPriorityAfterADeath(t *testing.T) {
	be, _ := processes(t, 5)
	line := []lease.Claim{ranked(1), ranked(0), ranked(5), ranked(-3), ranked(5)}
	var told []<-chan lease.Event
	var last uint64
	for i, c := range line {
		told = append(told, events(t, be[i], c))
		want := lease.Queued
		if i == 0 {
			want = lease.Granted
		}
		last = max(last, acquire(t, be[i], c, want).Token)
	}
	die(t, be[0], line[0])
	for _, i := range []int{2, 4, 1, 3} {
		e := next(t, told[i], lease.EventGranted)
		if e.Token <= last {
			t.Errorf("token %d after %d", e.Token, last)
		}
		last = e.Token
		if a := renew(t, be[i], line[i], false, lease.Granted); a.Token != last {
			t.Errorf("token %d, was told %d", a.Token, last)
		}
		s, err := be[1].Leases().Inspect(within(t, 5*time.Second), "k")
		if err != nil || len(s.Holders) != 1 || s.Holders[0].Attempt != line[i].Attempt || s.Holders[0].Token != last {
			t.Errorf("%+v, %v", s, err)
		}
		release(t, be[i], line[i], lease.WasHeld)
	}
}

// Those who wait by age alone hear of the first priority before the way gets free, also when the
// holder has not heard of it and frees the way itself.
func TestPriorityBeforeARelease(t *testing.T) {
	for range 20 {
		be, _ := processes(t, 3)
		holder, waiter, best := wish("k"), wish("k"), ranked(1)
		toldWaiter, toldBest := events(t, be[1], waiter), events(t, be[2], best)
		acquire(t, be[0], holder, lease.Granted)
		acquire(t, be[1], waiter, lease.Queued)
		acquire(t, be[2], best, lease.Queued)
		release(t, be[0], holder, lease.WasHeld)
		becomes(t, be[2], best)
		if a := ask(t, be[1], waiter, true); a.Status != lease.Queued || a.Rank != 0 {
			t.Fatalf("%+v", a)
		}
		ungranted(t, toldWaiter)
		release(t, be[2], best, lease.WasHeld)
		next(t, toldWaiter, lease.EventGranted)
		_ = toldBest
	}
}

// The successor dies while the leader hands over to it: the next in line gets the seat.
func TestSuccessorDiesInTheHandOver(t *testing.T) {
	for _, priority := range []int{0, 7} {
		be, relays := processes(t, 3)
		holder, heir, other := ranked(priority), ranked(priority), ranked(0)
		acquire(t, be[0], holder, lease.Granted)
		acquire(t, be[1], heir, lease.Queued)
		told := events(t, be[2], other)
		acquire(t, be[2], other, lease.Queued)
		sent := 0
		relays[0].onEach(func(_ context.Context, execute func()) error {
			if sent++; sent == 2 { // what was read says that it lives
				die(t, be[1], heir)
			}
			execute()
			return nil
		})
		transfer(t, be[0], holder, heir.Attempt, lease.WasHeld)
		relays[0].onEach(nil)
		next(t, told, lease.EventGranted)
		renew(t, be[1], heir, true, lease.Unknown)
	}
}

// The answer to a hand-over is lost: the successor has the seat, and the repetition takes nothing
// from it.
func TestLostHandOver(t *testing.T) {
	be, relays := processes(t, 2)
	holder, heir := wish("k"), wish("k")
	told := events(t, be[1], heir)
	acquire(t, be[0], holder, lease.Granted)
	acquire(t, be[1], heir, lease.Queued)
	sent := 0
	relays[0].on(func(commit func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error) {
		r, err := commit()
		if sent++; sent == 2 && err == nil {
			return nil, context.DeadlineExceeded
		}
		return r, err
	})
	_, err := be[0].Leases().Release(within(t, time.Second), lease.Release{Key: "k", Attempt: holder.Attempt, To: heir.Attempt})
	if !errors.Is(err, lease.ErrUnavailable) {
		t.Fatalf("lost hand-over: %v", err)
	}
	e := next(t, told, lease.EventGranted)
	eventually(t, "the release is repeated", func() bool {
		be[0].janitor.mu.Lock()
		defer be[0].janitor.mu.Unlock()
		return len(be[0].janitor.todo) == 0
	})
	if a := renew(t, be[1], heir, false, lease.Granted); a.Token != e.Token {
		t.Errorf("token %d, was told %d", a.Token, e.Token)
	}
	transfer(t, be[0], holder, heir.Attempt, lease.WasNothing)
	if again := acquire(t, be[1], heir, lease.Granted); again.Token != e.Token {
		t.Errorf("asked again, it has %d and was told %d", again.Token, e.Token)
	}
	release(t, be[1], heir, lease.WasHeld)
}

// The successor has no watch while the seat is handed to it, and learns it by asking.
func TestHandOverWithoutAWatch(t *testing.T) {
	be, relays := processes(t, 2)
	holder, heir := wish("k"), wish("k")
	acquire(t, be[0], holder, lease.Granted)
	acquire(t, be[1], heir, lease.Queued)
	t.Cleanup(relays[1].cut())
	eventually(t, "the watch is known to be lost", func() bool { return !be[1].hub.healthy() })
	transfer(t, be[0], holder, heir.Attempt, lease.WasHeld)
	renew(t, be[1], heir, true, lease.Granted)
	release(t, be[1], heir, lease.WasHeld)
}

// A claim that waited while the seat was handed past it gets a token above that of the claim that went
// first, although it is older: also when that one dies, and when nobody has told it.
func TestTokensAfterATransfer(t *testing.T) {
	for _, watched := range []bool{true, false} {
		be, relays := processes(t, 3)
		holder, passed, heir := wish("k"), wish("k"), wish("k")
		told, won := events(t, be[1], passed), events(t, be[2], heir)
		acquire(t, be[0], holder, lease.Granted)
		acquire(t, be[1], passed, lease.Queued)
		acquire(t, be[2], heir, lease.Queued)
		mend := func() {}
		if !watched {
			mend = relays[1].cut()
			eventually(t, "the watch is known to be lost", func() bool { return !be[1].hub.healthy() })
		}
		transfer(t, be[0], holder, heir.Attempt, lease.WasHeld)
		e := next(t, won, lease.EventGranted)
		die(t, be[2], heir)
		if !watched {
			compact(t, relays[1].Client)
		}
		mend()
		becomes(t, be[1], passed)
		if a := renew(t, be[1], passed, false, lease.Granted); a.Token <= e.Token {
			t.Errorf("watched %v: token %d after %d", watched, a.Token, e.Token)
		}
		ungrantedBelow(t, told, e.Token)
	}
}

func ungrantedBelow(t *testing.T, told <-chan lease.Event, token uint64) {
	t.Helper()
	for len(told) > 0 {
		if e := <-told; e.Kind == lease.EventGranted && e.Token <= token {
			t.Errorf("told of token %d after %d", e.Token, token)
		}
	}
}

// The seat is handed past a claim that is older than its successor: where there was a priority that has
// gone again, and where the one who hands it over was chosen himself. Nobody is granted beside the
// successor.
func TestHandedPast(t *testing.T) {
	be, _ := processes(t, 4)
	holder, ranks, passed, heir := wish("k"), ranked(1), wish("k"), wish("k")
	acquire(t, be[0], holder, lease.Granted)
	acquire(t, be[3], ranks, lease.Queued)
	eventually(t, "the holder has heard of it", func() bool {
		be[0].table.mu.Lock()
		defer be[0].table.mu.Unlock()
		return be[0].table.claims[holder.Attempt].ahead.sorted
	})
	release(t, be[3], ranks, lease.WasWaiting)
	for range 3 {
		told, won := events(t, be[1], passed), events(t, be[2], heir)
		acquire(t, be[1], passed, lease.Queued)
		acquire(t, be[2], heir, lease.Queued)
		transfer(t, be[0], holder, heir.Attempt, lease.WasHeld)
		g := next(t, won, lease.EventGranted)
		renew(t, be[1], passed, true, lease.Queued)
		ungranted(t, told)

		// Now the one who was chosen hands it on, past a claim that has seen him.
		late, last := wish("k"), wish("k")
		toldLate, wonLast := events(t, be[3], late), events(t, be[0], last)
		acquire(t, be[3], late, lease.Queued)
		acquire(t, be[0], last, lease.Queued)
		transfer(t, be[2], heir, last.Attempt, lease.WasHeld)
		if e := next(t, wonLast, lease.EventGranted); e.Token <= g.Token {
			t.Errorf("token %d after %d", e.Token, g.Token)
		}
		renew(t, be[1], passed, true, lease.Queued)
		renew(t, be[3], late, true, lease.Queued)
		ungranted(t, toldLate)
		ungranted(t, told)
		release(t, be[1], passed, lease.WasWaiting)
		release(t, be[3], late, lease.WasWaiting)
		holder, passed, heir = last, wish("k"), wish("k")
	}
	release(t, be[0], holder, lease.WasHeld)
}

// A seat key goes with its claim to a longer lease, also when it was made without the claim's knowledge.
func TestSeatKeyMoves(t *testing.T) {
	be, _ := processes(t, 1)
	c := ranked(2)
	g := acquire(t, be[0], c, lease.Granted)
	c.TTL = 60 * time.Second
	if a := renew(t, be[0], c, false, lease.Granted); a.Token != g.Token || a.Left < 50*time.Second {
		t.Errorf("%+v", a)
	}
	r, err := be[0].client.Txn(within(t, time.Second)).Then(clientv3.OpGet(be[0].names.line("k"), clientv3.WithPrefix())).Commit()
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range r.Responses[0].GetResponseRange().Kvs {
		if l := be[0].lives.find(clientv3.LeaseID(kv.Lease)); l == nil || l.ttl != c.TTL {
			t.Errorf("%s is on another lease", kv.Key)
		}
	}
	release(t, be[0], c, lease.WasHeld)
}

// What one process pays, while the others are elsewhere.
func TestTripsOfPriorities(t *testing.T) {
	all, relays := processes(t, 2)
	be, other, r := all[0], all[1], relays[0]
	on := func(key string, priority int) lease.Claim {
		c := ranked(priority)
		c.Key = key
		return c
	}
	first, second, third := on("a", 1), on("a", 2), on("a", 0)
	leader, heir := on("b", 2), on("b", 0)
	plain, low, high := on("c", 0), on("c", 0), on("c", 3)
	best, heard, lowHeard := events(t, other, second), events(t, other, heir), events(t, other, low)
	acquire(t, be, wish("warm"), lease.Granted)
	r.take()
	for _, step := range []struct {
		name string
		run  func()
		want int64
	}{
		{"a priority on a free key", func() { acquire(t, be, first, lease.Granted) }, 1},
		{"nothing", func() { acquire(t, other, second, lease.Queued) }, 0},
		{"no priority behind others that have one", func() { acquire(t, be, third, lease.Queued) }, 1},
		{"to give that up", func() { release(t, be, third, lease.WasWaiting) }, 2},
		{"a release to the best", func() { release(t, be, first, lease.WasHeld); next(t, best, lease.EventGranted) }, 2},
		{"a priority behind others that have one", func() { acquire(t, be, on("a", 1), lease.Queued) }, 2},
		{"to lead alone", func() { acquire(t, be, leader, lease.Granted) }, 1},
		{"nothing", func() { acquire(t, other, heir, lease.Queued) }, 0},
		{"a transfer", func() { transfer(t, be, leader, heir.Attempt, lease.WasHeld); next(t, heard, lease.EventGranted) }, 2},
		{"a lock", func() { acquire(t, be, plain, lease.Granted) }, 1},
		{"nothing", func() { acquire(t, other, low, lease.Queued) }, 0},
		{"a transfer where nobody has a priority", func() { transfer(t, be, plain, low.Attempt, lease.WasHeld) }, 2},
		{"nothing", func() { next(t, lowHeard, lease.EventGranted) }, 0},
		{"the first priority of a line", func() { acquire(t, be, high, lease.Queued) }, 3},
	} {
		step.run()
		if n := r.take(); n.txns != step.want {
			t.Errorf("%s: %+v, want %d transactions", step.name, n, step.want)
		}
	}
}

// Processes with claims of all kinds come, hand over, give up and die. At most one believes that it is
// seated, tokens rise, and somebody gets on.
func TestOneSeatInADisorder(t *testing.T) {
	const parties, keys = 6, 2
	be, _ := processes(t, parties)
	stop := time.Now().Add(6 * time.Second)
	var wg sync.WaitGroup
	var holds [keys]atomic.Int64
	var last [keys]atomic.Uint64
	var grants, ghosts atomic.Int64
	var waiting sync.Map // attempts
	for i, b := range be {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(i)))
			for time.Now().Before(stop) {
				k := rng.IntN(keys)
				c := wish(fmt.Sprint("k", k))
				c.Alone = rng.IntN(4) == 0
				if rng.IntN(2) == 0 {
					c.Priority = rng.IntN(5) - 2
				}
				got := func() bool {
					for give := time.Now().Add(time.Duration(rng.IntN(400)) * time.Millisecond); ; time.Sleep(time.Millisecond) {
						a, err := b.Leases().Acquire(within(t, 5*time.Second), c)
						waiting.Store(k, c.Attempt)
						if err == nil && a.Status == lease.Granted {
							if n := holds[k].Add(1); n != 1 {
								t.Errorf("%d seats", n)
							}
							if before := last[k].Swap(a.Token); before >= a.Token {
								t.Errorf("token %d after %d", a.Token, before)
							}
							grants.Add(1)
							return true
						}
						if err != nil && !errors.Is(err, lease.ErrUnavailable) {
							t.Error(err)
						}
						if time.Now().After(give) {
							return false
						}
					}
				}()
				r := lease.Release{Key: c.Key, Attempt: c.Attempt}
				if got {
					time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
					holds[k].Add(-1)
					if to, ok := waiting.Load(k); ok && rng.IntN(3) == 0 && to != c.Attempt {
						r.To = to.(lease.Attempt)
					}
					if c.Alone && rng.IntN(2) == 0 {
						die(t, b, c)
						ghosts.Add(1)
					}
				}
				for {
					if _, err := b.Leases().Release(within(t, 5*time.Second), r); err == nil {
						break
					} else if !errors.Is(err, lease.ErrUnavailable) {
						t.Error(err)
						break
					}
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d grants, %d deaths", grants.Load(), ghosts.Load())
	if grants.Load() < 50 {
		t.Errorf("%d grants", grants.Load())
	}
	for k := range keys {
		c := wish(fmt.Sprint("k", k))
		acquire(t, be[0], c, lease.Granted)
		release(t, be[0], c, lease.WasHeld)
	}
}
