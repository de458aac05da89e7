package election

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// preempting begins the reason by which a candidate of higher priority asks a leader to leave.
const preempting = "preempted by "

// Leadership is a term that this candidate leads. Leaderships come from [Election.Campaign]; the
// zero Leadership is not usable. Its methods may be called by several goroutines.
type Leadership struct {
	election *Election
	hold     *claim.Hold
	term     Term
	since    time.Time
	ctx      context.Context
	cancel   context.CancelCauseFunc
	once     sync.Once                 // the end of the term is reported
	ended    atomic.Pointer[time.Time] // in good order
}

func (e *Election) lead(hold *claim.Hold) *Leadership {
	l := &Leadership{election: e, hold: hold, term: hold.Token(), since: time.Now()}
	l.ctx, l.cancel = context.WithCancelCause(hold.Context())
	return l
}

// asked returns why a term ends whose leader was asked to leave.
func asked(reason string) Cause {
	if strings.HasPrefix(reason, preempting) {
		return Preempted
	}
	return Revoked
}

// end ends the context of the term, if it has not ended.
func (l *Leadership) end(lost *LostError) {
	now := time.Now() // before anybody learns of it
	l.ended.CompareAndSwap(nil, &now)
	l.cancel(lost)
	l.report()
}

// report tells of the end of the term once.
func (l *Leadership) report() {
	l.once.Do(func() {
		l.election.opt.Hooks.Ended(Info{Term: l.term, Held: time.Since(l.since), Err: context.Cause(l.ctx)})
	})
}

// Term returns the number of the term.
func (l *Leadership) Term() Term { return l.term }

// Context has the values of the context given to Campaign, not its cancellation. It ends when the
// term does; [context.Cause] then returns a [*LostError]. It ends before the engine lets anybody
// else lead, as long as the engine keeps its data and this process runs.
func (l *Leadership) Context() context.Context { return l.ctx }

// Valid reports whether the term will last for need from now, if nobody ends it. It asks no one.
func (l *Leadership) Valid(need time.Duration) bool {
	return l.hold.Valid(need) && l.ctx.Err() == nil
}

// Proclaim replaces the metadata of the leader, at most 3 KiB, for those who look for it.
//
// The error matches [ErrNotHeld] if the term had ended, the error of ctx, or [ErrUnavailable]; then
// it is not known whether it took effect, and it may be called again.
func (l *Leadership) Proclaim(ctx context.Context, meta []byte) error {
	if len(meta) > maxMeta {
		return l.election.wrap("proclaim", &InvalidError{Field: "Meta", Problem: "must have at most 3072 bytes"})
	}
	return l.election.wrap("proclaim", l.hold.Update(ctx, encode(l.election.candidate.Addr, meta)))
}

// Resign ends the term and hands over to the next candidate in line. The work must have ended
// before. It may be called more than once, works with a context that has ended, and returns the
// first result each time: see lock.Lease.Release for the errors.
func (l *Leadership) Resign(ctx context.Context) error {
	l.end(l.resigned(""))
	return l.election.wrap("resign", l.hold.Release(ctx))
}

// TransferTo is Resign in favour of the candidate with the given ID, which must wait among the first 100
// in line, else the error is [ErrNoCandidate] and the term goes on. If it has gone in the same moment,
// the term goes to the next in line.
func (l *Leadership) TransferTo(ctx context.Context, id string) error {
	e := l.election
	heir, err := e.waiting(ctx, id)
	if err != nil {
		return e.wrap("transfer", err)
	}
	l.end(l.resigned("transferred to " + id))
	return e.wrap("transfer", l.hold.ReleaseTo(ctx, heir))
}

func (l *Leadership) resigned(reason string) *LostError {
	return &LostError{Key: l.hold.Key(), Token: l.term, Cause: Resigned, Reason: reason}
}

// waiting returns the attempt of a candidate that waits.
func (e *Election) waiting(ctx context.Context, id string) (lease.Attempt, error) {
	if !e.backend().Capabilities().Transfer {
		return "", ErrUnsupported
	}
	s, err := e.inspect(ctx)
	if err != nil {
		return "", err
	}
	for _, w := range s.Waiters {
		if w.Owner == id {
			return w.Attempt, nil
		}
	}
	return "", ErrNoCandidate
}

func (e *Election) inspect(ctx context.Context) (lease.State, error) {
	return claim.Ask(ctx, e.keeper, func(ctx context.Context) (lease.State, error) {
		return e.backend().Inspect(ctx, key(e.name))
	})
}
