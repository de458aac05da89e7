package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lease"
)

// playFleet runs replicas as goroutines on one memory backend. A goroutine cannot be killed: it is
// frozen instead, until another one leads and has recorded a tick. What it does when it thaws shows
// more than a death.
func playFleet(ctx context.Context, f *fleet, shared *ledger) error {
	be, err := memorybackend.New(nil)
	if err != nil {
		return err
	}
	defer soon(ctx, be.Close)
	ices := make([]ice, f.plan.replicas)
	f.ran = func(n int) {
		for i := range ices {
			if i != n-1 {
				ices[i].thaw()
			}
		}
	}
	f.launch = func(n int) (*member, error) {
		ctx, stop := context.WithCancel(ctx)
		ice := &ices[n-1]
		m := &member{
			done: make(chan struct{}),
			kill: func() bool {
				f.hear(n, "is frozen in the middle of a run")
				ice.freeze()
				return false
			},
			stop: func() {
				stop()
				ice.thaw() // or it would not hear
			},
		}
		ledger := *shared
		ledger.reach = func() { ice.hold(context.WithoutCancel(ctx)) } // also when the term is over: it does not know
		r := &replica{number: n, plan: f.plan, ledger: &ledger, says: func(format string, args ...any) { f.hear(n, fmt.Sprintf(format, args...)) }}
		go func() {
			defer close(m.done)
			defer stop()
			if err := r.serve(ctx, &frozen{be.Leases(), ice}); err != nil {
				f.fail(n, err)
			}
		}()
		return m, nil
	}
	return f.show(ctx)
}

// ice holds a replica while it is frozen. The zero value holds nothing.
type ice struct {
	mu    sync.Mutex
	melts chan struct{} // nil while there is none
}

func (i *ice) freeze() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.melts = make(chan struct{})
}

func (i *ice) thaw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.melts != nil {
		close(i.melts)
		i.melts = nil
	}
}

// hold waits while there is ice, and reports whether there was.
func (i *ice) hold(ctx context.Context) bool {
	i.mu.Lock()
	melts := i.melts
	i.mu.Unlock()
	if melts == nil {
		return false
	}
	select {
	case <-melts:
	case <-ctx.Done():
	}
	return true
}

// frozen is an engine on which a replica that is frozen renews nothing.
type frozen struct {
	lease.Backend
	ice *ice
}

// Renew implements [lease.Backend].
func (f *frozen) Renew(ctx context.Context, items []lease.Renewal) []lease.Answer {
	if !f.ice.hold(ctx) {
		return f.Backend.Renew(ctx, items)
	}
	answers := make([]lease.Answer, len(items))
	for i := range answers {
		answers[i].Err = lease.ErrUnavailable
	}
	return answers
}
