package membership

import (
	"errors"
	"log/slog"
	"time"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// Hooks observe a [Group]. Every func may be nil. They are called outside locks, by several
// goroutines: they must be quick and must not call what they observe.
type Hooks struct {
	// Joined reports that a member of this process is in the group: Wait is how long it took, Again
	// says that it had been lost.
	Joined func(Info)
	// Ended reports the end of a stay: Err is its [*LostError], Held how long it lasted. Unless Final
	// is set, the member joins again.
	Ended func(Info)
	// Renewed reports a renewal in the background, with Err if it failed. Left says how close to
	// the deadline the answer came: the number that predicts a loss.
	Renewed func(Info)
	// Viewed reports a view that a Watch shows: Members is how many it has.
	Viewed func(Info)
	// Failed reports that joining again or reading the members failed and is tried again.
	Failed func(Info)
}

// Info is what hooks are told. Fields that do not apply are zero.
type Info struct {
	ID      string        // of the member
	Again   bool          // Joined: it was there before
	Final   bool          // Ended: it does not join again
	Members int           // Viewed: how many there are
	Wait    time.Duration // how long joining took
	Held    time.Duration // how long it was in the group
	Left    time.Duration // how long before the deadline
	Err     error
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
		Joined:  func(i Info) { each(func(h *Hooks) { h.Joined(i) }) },
		Ended:   func(i Info) { each(func(h *Hooks) { h.Ended(i) }) },
		Renewed: func(i Info) { each(func(h *Hooks) { h.Renewed(i) }) },
		Viewed:  func(i Info) { each(func(h *Hooks) { h.Viewed(i) }) },
		Failed:  func(i Info) { each(func(h *Hooks) { h.Failed(i) }) },
	}
}

// LogHooks returns hooks that write to logger who joins and leaves in good order, as information,
// and what goes wrong, as warnings. nil means [slog.Default] at the time of the event.
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
				to().Warn(msg, "member", i.ID, "error", i.Err)
			}
		}
	}
	return &Hooks{
		Joined: func(i Info) { to().Info("membership: joined", "member", i.ID, "wait", i.Wait, "again", i.Again) },
		Ended: func(i Info) {
			var lost *LostError
			if errors.As(i.Err, &lost) && (lost.Cause == Resigned || lost.Cause == Closed) {
				to().Info("membership: left", "member", i.ID, "held", i.Held, "cause", lost.Cause.String())
				return
			}
			warn("membership: lost")(i)
		},
		Renewed: warn("membership: renewal failed"),
		Failed:  warn("membership: trying again"),
	}
}

// filled returns a copy in which no func is nil.
func (h *Hooks) filled() *Hooks {
	var f Hooks
	if h != nil {
		f = *h
	}
	for _, event := range []*func(Info){&f.Joined, &f.Ended, &f.Renewed, &f.Viewed, &f.Failed} {
		if *event == nil {
			*event = func(Info) {}
		}
	}
	return &f
}

// events translates what the keeper reports in the background. The ends of stays are reported by
// their registrations.
func (h *Hooks) events() claim.Events {
	return claim.Events{
		Begun:    func(*claim.Hold) {},
		Released: func(*claim.Hold) {},
		Renewed: func(c *claim.Hold, left time.Duration, err error) {
			h.Renewed(Info{ID: c.Kind(), Left: left, Err: err})
		},
		Lost:    func(*claim.Hold, *lease.LostError) {},
		Cleaned: func(string, int, error) {},
	}
}
