package electionfaults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed/suite"
)

// reign is one term as its leader witnessed it. The leader notes the time and then looks whether its
// context lives: if so, it lived at that time. So from began to seen it has certainly led.
type reign struct {
	id          string
	term        election.Term
	began, seen time.Time
	ended       time.Time // when its context had ended; zero before
	drained     time.Time // when its work had ended; zero before
	cause       error
	fenced      int // writes that were refused
}

// chronicle is what the leaders of one election in this process have witnessed. Each of them writes all
// the while to data that are kept outside of the engine and guarded by the term.
type chronicle struct {
	guard *memorybackend.Guard

	mu     sync.Mutex
	reigns []*reign
	writes []election.Term // that were accepted
}

func newChronicle(t testing.TB) *chronicle {
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	suite.Ends(t, be.Close)
	return &chronicle{guard: be.Guard()}
}

// lead is the work of a leader: it writes until its term ends, or for a time if that is not 0, and winds
// up.
func (c *chronicle) lead(ctx context.Context, id string, term election.Term, most, windUp time.Duration) {
	now := time.Now()
	if ctx.Err() != nil {
		return // over before it has begun
	}
	r := &reign{id: id, term: term, began: now, seen: now}
	c.mu.Lock()
	c.reigns = append(c.reigns, r)
	c.mu.Unlock()
	for most == 0 || now.Sub(r.began) < most {
		c.write(r)
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
		now = time.Now()
		if ctx.Err() != nil {
			break
		}
		c.mu.Lock()
		r.seen = now
		c.mu.Unlock()
	}
	c.mu.Lock()
	r.ended, r.cause = now, context.Cause(ctx)
	c.mu.Unlock()
	time.Sleep(windUp)
	c.mu.Lock()
	r.drained = time.Now()
	c.mu.Unlock()
}

// write makes one guarded write.
func (c *chronicle) write(r *reign) {
	err := c.guard.Do(context.Background(), data, r.term, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.writes = append(c.writes, r.term)
		return nil
	})
	if errors.Is(err, fence.ErrFenced) {
		c.mu.Lock()
		r.fenced++
		c.mu.Unlock()
	}
}

// all returns a copy of the reigns, in the order in which they began.
func (c *chronicle) all() []reign {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []reign
	for _, r := range c.reigns {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b reign) int { return a.began.Compare(b.began) })
	return list
}

// last returns the reign with the largest term.
func (c *chronicle) last() (last reign) {
	for _, r := range c.all() {
		if r.term > last.term {
			last = r
		}
	}
	return last
}

// after waits for a leader that began after an instant, and leads.
func (c *chronicle) after(t testing.TB, since time.Time) (found reign) {
	t.Helper()
	suite.Wait(t, "somebody leads", func() bool {
		found = c.last()
		return found.began.After(since) && found.ended.IsZero()
	})
	return found
}

// led waits until somebody leads.
func (c *chronicle) led(t testing.TB) reign {
	t.Helper()
	return c.after(t, time.Time{})
}

// over waits until the term of a reign has ended, and returns it then.
func (c *chronicle) over(t testing.TB, term election.Term) (found reign) {
	t.Helper()
	suite.Wait(t, "the term ends", func() bool {
		for _, r := range c.all() {
			if r.term == term {
				found = r
			}
		}
		return !found.ended.IsZero()
	})
	return found
}

// overlaps returns how many pairs of terms have certainly been led at the same time.
func (c *chronicle) overlaps() (n int) {
	all := c.all()
	for i, a := range all {
		for _, b := range all[i+1:] {
			if !b.began.After(a.seen) {
				n++
			}
		}
	}
	return n
}

// promise is what a set-up promises of the terms of an election. Each holds what the one before it does.
type promise int

const (
	increasing promise = iota // no term is led twice, terms increase, and no late write is accepted
	exclusive                 // and no two terms are led at the same time
	orderly                   // and the work of a term that ended in good order has ended before the next one begins
)

// check fails the test if a promise was broken.
func (c *chronicle) check(t testing.TB, p promise) {
	t.Helper()
	c.mu.Lock()
	writes := slices.Clone(c.writes)
	c.mu.Unlock()
	for _, broken := range p.broken(c.all(), writes) {
		t.Error(broken)
	}
}

// broken says where a promise was broken. The reigns stand in the order in which they began.
func (p promise) broken(reigns []reign, writes []election.Term) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for i, a := range reigns {
		for _, b := range reigns[i+1:] {
			apart := b.began.After(a.seen)
			cause := causeOf(a.cause)
			switch {
			case a.term == b.term:
				say("term %v was led by %s and by %s", a.term, a.id, b.id)
			case a.term > b.term && (apart || p >= exclusive):
				say("term %v began after term %v", b.term, a.term)
			case !apart && p >= exclusive:
				say("%s led term %v until %v after %s began to lead term %v", a.id, a.term, a.seen.Sub(b.began), b.id, b.term)
			case p >= orderly && (cause == election.Resigned || cause == election.Preempted) && b.began.Before(a.drained):
				say("%s began to lead %v before the work of %s had ended", b.id, a.drained.Sub(b.began), a.id)
			}
		}
	}
	if !slices.IsSorted(writes) {
		say("a write of an older term was accepted after one of a newer")
	}
	if len(writes) == 0 {
		say("nobody has led")
	}
	return found
}
