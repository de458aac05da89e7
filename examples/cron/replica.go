package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

const (
	takes = 150 * time.Millisecond // what a run of the example takes
	again = 200 * time.Millisecond // after which a run that failed is repeated
)

// replica stands for election, and runs the schedule when it leads.
type replica struct {
	number int
	plan   *plan
	ledger *ledger
	says   func(format string, args ...any)
}

// serve returns when ctx or the schedule has ended.
func (r *replica) serve(ctx context.Context, leases lease.Backend) error {
	el, err := election.New(leases, r.plan.name, election.Candidate{ID: fmt.Sprint("replica ", r.number)}, &election.Options{
		TTL: r.plan.ttl, Drain: longest,
		Hooks: &election.Hooks{Ended: func(i election.Info) {
			if lost := (*election.LostError)(nil); errors.As(i.Err, &lost) && !leaving(lost) {
				r.says("has lost its term: %v", lost.Cause)
			}
		}},
	})
	if err != nil {
		return err
	}
	defer soon(ctx, el.Close)
	for {
		err := el.Run(ctx, r.lead)
		switch {
		case ctx.Err() != nil:
			return nil // asked to stop
		case !errors.Is(err, fence.ErrFenced):
			return err
		}
	}
}

// lead runs all jobs, each at its own pace, until the term or the schedule has ended. In good order it
// returns when the runs that were under way are recorded, and only then does the next leader begin.
func (r *replica) lead(ctx context.Context, term election.Term) error {
	r.says("leads, term %s", term)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for _, j := range r.plan.jobs {
		wg.Go(func() {
			if err := r.keep(ctx, term, j); err != nil {
				stop(err)
			}
		})
	}
	wg.Wait()
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, fence.ErrFenced):
		return cause
	case cause == nil:
		r.says("finds the schedule over")
	case leaving(cause):
		r.says("hands over")
	}
	return nil
}

// keep runs the ticks of a job. Its error is that a later term has reached the ledger.
func (r *replica) keep(ctx context.Context, term election.Term, j *job) error {
	for ctx.Err() == nil {
		over, err := r.step(ctx, term, j)
		switch {
		case errors.Is(err, fence.ErrFenced):
			return err
		case over:
			return nil
		case err != nil && ctx.Err() == nil:
			r.says("failed, and tries again: %v", err) // what is due is read anew from the ledger
			wait(ctx, again)
		}
	}
	return nil
}

// step waits for the next tick of a job, runs and records it.
func (r *replica) step(ctx context.Context, term election.Term, j *job) (over bool, err error) {
	last, err := r.ledger.last(ctx, j, term)
	if err != nil {
		return false, err
	}
	now := time.Now()
	if now.After(r.plan.end) {
		now = r.plan.end
	}
	tick, left, err := j.due(last, now)
	if err != nil || tick.After(r.plan.end) {
		return err == nil, err
	}
	if wait(ctx, time.Until(tick)); ctx.Err() != nil {
		return false, nil
	}
	output, err := r.run(ctx, j, tick)
	if err != nil {
		return false, err
	}
	// What was run is to be recorded. Whether it may be is for the guard to say, and not for ctx.
	write, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	defer cancel()
	err = r.ledger.record(write, j, term, entry{last: last, tick: tick, left: left, replica: r.number, output: output})
	if errors.Is(err, fence.ErrFenced) {
		r.says("is refused to record %s of %s: a later leader has been there", j.name, clock(tick))
	}
	if err != nil {
		return false, err
	}
	if left > 0 {
		r.says("leaves out %d of %s before %s, by its policy", left, j.name, clock(tick))
	}
	late := ""
	if d := time.Since(tick); d > time.Second {
		late = fmt.Sprintf(", %.1fs late", d.Seconds())
	}
	r.says("%s%s of %s%s", ran, j.name, clock(tick), late)
	return false, nil
}

// run does the work of a tick. It is broken off when the term is lost, and finished when the leader was
// asked to stop.
func (r *replica) run(ctx context.Context, j *job, tick time.Time) (output string, err error) {
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if !leaving(context.Cause(ctx)) {
			cancel()
		}
	})()
	if err := r.ledger.note(work, j, tick, r.number); err != nil {
		return "", err
	}
	r.says("%s%s", begins, j.name)
	if wait(work, takes); work.Err() != nil {
		return "", work.Err()
	}
	return fmt.Sprintf("%s up to %s", j.name, clock(tick)), nil
}

// leaving reports whether a term ended because its leader was to go.
func leaving(cause error) bool {
	var lost *election.LostError
	return errors.As(cause, &lost) && (lost.Cause == election.Resigned || lost.Cause == election.Preempted)
}

func clock(t time.Time) string { return t.Format("15:04:05") }

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
