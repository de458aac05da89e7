package electionfaults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed/suite"
)

// sighting is one event as an observer was told of it.
type sighting struct {
	election.Event
	err error
	at  time.Time
}

// witness is an observer.
type witness struct {
	mu   sync.Mutex
	list []sighting
}

// watch has a candidate, which need not stand, observe until the test ends. It returns when the first
// event has come.
func watch(t testing.TB, p *candidate) *witness {
	t.Helper()
	w := &witness{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var last error
		for event, err := range p.Observe(ctx) {
			last = err
			w.mu.Lock()
			w.list = append(w.list, sighting{event, err, time.Now()})
			w.mu.Unlock()
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("%s: the observation ended with %v", p.id, last)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	suite.Wait(t, "the first event", func() bool { return len(w.told()) > 0 })
	return w
}

func (w *witness) told() []sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]sighting(nil), w.list...)
}

// last returns what was told of the leader last: an Elected, Proclaimed or Vacant.
func (w *witness) last() (last sighting) {
	for _, s := range w.told() {
		if s.err == nil && s.Kind != election.Gap {
			last = s
		}
	}
	return last
}

// doubted returns when, after an instant, the witness was first told that it may have missed something;
// zero if it was not.
func (w *witness) doubted(since time.Time) time.Time {
	for _, s := range w.told() {
		if s.at.After(since) && s.Kind == election.Gap {
			return s.at
		}
	}
	return time.Time{}
}

// learns waits until the witness knows that a term is led, or is over.
func (w *witness) learns(t testing.TB, term election.Term, led bool) sighting {
	t.Helper()
	suite.Wait(t, "the observer learns the truth", func() bool {
		l := w.last()
		return l.Leader.Term == term && (l.Kind != election.Vacant) == led
	})
	return w.last()
}

// check fails the test if the order was broken, and returns the terms and how many gaps there were.
func (w *witness) check(t testing.TB) (terms []election.Term, gaps int) {
	t.Helper()
	list := w.told()
	for _, broken := range disorder(list) {
		t.Error(broken)
	}
	for _, s := range list {
		switch s.Kind {
		case election.Elected:
			terms = append(terms, s.Leader.Term)
		case election.Gap:
			gaps++
		}
	}
	return terms, gaps
}

// disorder says where terms do not increase, or where one follows on another with neither a vacancy nor a
// gap between them.
func disorder(list []sighting) (found []string) {
	led := false
	var term election.Term
	for _, s := range list {
		switch s.Kind {
		case election.Elected:
			if led || s.Leader.Term <= term {
				found = append(found, fmt.Sprintf("told of term %v after term %v, which was over: %t", s.Leader.Term, term, !led))
			}
			led, term = true, s.Leader.Term
		case election.Vacant:
			if s.Leader.Term < term {
				found = append(found, fmt.Sprintf("told that term %v was over after term %v", s.Leader.Term, term))
			}
			led = false
		case election.Gap:
			led = false
		}
	}
	return found
}
