package election

import (
	"context"
	"time"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// Campaign stands for election and returns when this candidate leads, or ctx ends. The end of ctx
// after that does not end the term. The caller must Resign; [Election.Run] does it by itself, and
// alone heeds Options.Healthy.
//
// The error matches the error of ctx if it ended first, [ErrDuplicate] if another candidate that is
// alive has this ID, [ErrUncertain] if ctx ended over an unanswered request, [ErrUnavailable] if the
// engine answered nothing for the length of the TTL (2 s to 30 s), [ErrClosed] or [ErrConflict].
func (e *Election) Campaign(ctx context.Context) (*Leadership, error) {
	start := time.Now()
	if err := e.alone(ctx); err != nil {
		return nil, e.wrap("campaign", err)
	}
	challenge, stop := context.WithCancel(ctx)
	challenged := make(chan struct{})
	go func() {
		defer close(challenged)
		e.challenge(challenge)
	}()
	hold, err := e.keeper.Acquire(ctx, claim.Wish{
		Key: key(e.name), Weight: 1, Limit: 1, Queue: true, Priority: e.candidate.Priority, Announce: e.backend().Capabilities().Announce,
	})
	stop()
	<-challenged
	if err != nil {
		return nil, e.wrap("campaign", err)
	}
	l := e.lead(hold)
	e.opt.Hooks.Elected(Info{Term: l.term, Wait: time.Since(start)})
	if err := e.keeper.Go(func() { <-l.ctx.Done(); l.report() }); err != nil { // Close has ended the term
		l.report()
		return nil, e.wrap("campaign", err)
	}
	return l, nil
}

// alone returns when nobody else stands with our ID. A claim that is not renewed is one that an
// earlier process of the same ID has left behind; it ends.
func (e *Election) alone(ctx context.Context) error {
	seen := map[lease.Attempt]time.Duration{}
	for {
		s, err := e.inspect(ctx)
		if err != nil {
			return err
		}
		other, leading := e.namesake(s)
		if other == nil {
			return nil
		}
		if left, known := seen[other.Attempt]; known && other.Left > left {
			addr, _ := decode(other.Meta)
			return &DuplicateError{ID: e.candidate.ID, Addr: addr, Leading: leading, Left: other.Left}
		}
		seen[other.Attempt] = other.Left
		if err := sleep(ctx, min(max(other.Left, 10*time.Millisecond), e.opt.TTL/10)); err != nil {
			return err
		}
	}
}

// namesake returns a claim with our ID.
func (e *Election) namesake(s lease.State) (other *lease.Party, leading bool) {
	for i := range s.Holders {
		if s.Holders[i].Owner == e.candidate.ID {
			return &s.Holders[i], true
		}
	}
	for i := range s.Waiters {
		if s.Waiters[i].Owner == e.candidate.ID {
			return &s.Waiters[i], false
		}
	}
	return nil, false
}

// challenge asks a leader of lower priority to leave, while this candidate is the first in line. It
// looks once for each TTL, and more often until its own claim is seen.
func (e *Election) challenge(ctx context.Context) {
	if !e.backend().Capabilities().Priority {
		return
	}
	var term uint64
	var since time.Time
	soon := 50 * time.Millisecond
	for pause := soon; sleep(ctx, pause) == nil; {
		pause = e.opt.TTL
		s, err := e.inspect(ctx)
		if other, _ := e.namesake(s); other == nil && len(s.Waiters) >= s.Waiting { // it is not in line yet
			soon = min(2*soon, e.opt.TTL)
			pause = soon
		}
		if err != nil || len(s.Holders) == 0 || len(s.Waiters) == 0 || s.Waiters[0].Owner != e.candidate.ID {
			continue
		}
		leader := s.Holders[0]
		if leader.Token != term {
			term, since = leader.Token, time.Now()
		}
		if leader.Priority >= e.candidate.Priority || leader.Asked {
			continue
		}
		if rest := e.opt.MinTerm - time.Since(since); rest > 0 {
			pause = min(pause, rest)
			continue
		}
		_, _ = claim.Ask(ctx, e.keeper, func(ctx context.Context) (bool, error) { // if it fails, it is asked again
			return e.backend().Revoke(ctx, lease.Revocation{
				Key: key(e.name), Token: leader.Token, Reason: preempting + e.candidate.ID, Grace: e.opt.Drain,
			})
		})
	}
}

// sleep waits for d and returns the error of ctx if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
