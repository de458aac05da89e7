package election

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// Hooks observe an [Election]. Every func may be nil. They are called outside locks, by several
// goroutines: they must be quick and must not call what they observe.
type Hooks struct {
	// Elected reports that this candidate leads. Wait is set.
	Elected func(Info)
	// Ended reports the end of a term of this candidate: Err is its [*LostError], Held how long it
	// lasted.
	Ended func(Info)
	// Drained reports that the work of a term has ended after the term: Wait is how long it took.
	// Err is set if the term had ended in good order, and its claim ended before the work did: Drain was
	// over, here or on the side of who had asked for the term, or the claim was lost. So the next leader
	// did not wait for it.
	Drained func(Info)
	// Renewed reports a renewal in the background, with Err if it failed. Left says how close to
	// the deadline the answer came: the number that predicts a loss.
	Renewed func(Info)
	// Health reports a change of the candidate's health: Err is nil when it is well again.
	Health func(Info)
	// Failed reports that standing for election or observing it failed and is tried again.
	Failed func(Info)
}

// Info is what hooks are told. Fields that do not apply are zero.
type Info struct {
	Term Term
	Wait time.Duration // how long it stood for election, or drained
	Held time.Duration // how long the term lasted
	Left time.Duration // how long before the deadline
	Err  error
}

// JoinHooks returns hooks that call each of the given ones in order. nil entries are skipped.
func JoinHooks(hooks ...*Hooks) *Hooks {
	var all []Hooks
	for _, h := range hooks {
		if h != nil {
			all = append(all, *h.filled())
		}
	}
	each := func(call func(*Hooks)) {
		for i := range all {
			call(&all[i])
		}
	}
	return &Hooks{
		Elected: func(i Info) { each(func(h *Hooks) { h.Elected(i) }) },
		Ended:   func(i Info) { each(func(h *Hooks) { h.Ended(i) }) },
		Drained: func(i Info) { each(func(h *Hooks) { h.Drained(i) }) },
		Renewed: func(i Info) { each(func(h *Hooks) { h.Renewed(i) }) },
		Health:  func(i Info) { each(func(h *Hooks) { h.Health(i) }) },
		Failed:  func(i Info) { each(func(h *Hooks) { h.Failed(i) }) },
	}
}

// LogHooks returns hooks that write to logger who leads, as information, and what goes wrong, as
// warnings. nil means [slog.Default] at the time of the event.
func LogHooks(logger *slog.Logger) *Hooks {
	to := func() *slog.Logger {
		if logger == nil {
			return slog.Default()
		}
		return logger
	}
	warn := func(msg string) func(Info) {
		return func(i Info) {
			if i.Err != nil {
				to().WarnContext(context.Background(), msg, "term", i.Term, "error", i.Err)
			}
		}
	}
	return &Hooks{
		Elected: func(i Info) { to().Info("election: this candidate leads", "term", i.Term, "wait", i.Wait) },
		Ended: func(i Info) {
			var lost *LostError
			if errors.As(i.Err, &lost) && (lost.Cause == Resigned || lost.Cause == Preempted || lost.Cause == Closed) {
				to().Info("election: the term has ended", "term", i.Term, "held", i.Held, "cause", lost.Cause.String())
				return
			}
			warn("election: the term was lost")(i)
		},
		Drained: warn("election: the work did not end in time"),
		Renewed: warn("election: renewal failed"),
		Health:  warn("election: the candidate is sick"),
		Failed:  warn("election: trying again"),
	}
}

// filled returns a copy in which no func is nil.
func (h *Hooks) filled() *Hooks {
	var f Hooks
	if h != nil {
		f = *h
	}
	for _, event := range []*func(Info){&f.Elected, &f.Ended, &f.Drained, &f.Renewed, &f.Health, &f.Failed} {
		if *event == nil {
			*event = func(Info) {}
		}
	}
	return &f
}

// events translates what the keeper reports in the background. The ends of terms are reported by
// their leaderships.
func (h *Hooks) events() claim.Events {
	return claim.Events{
		Begun:    func(*claim.Hold) {},
		Released: func(*claim.Hold) {},
		Renewed: func(c *claim.Hold, left time.Duration, err error) {
			h.Renewed(Info{Term: c.Token(), Left: left, Err: err})
		},
		Lost:    func(*claim.Hold, *lease.LostError) {},
		Cleaned: func(string, int, error) {},
	}
}
