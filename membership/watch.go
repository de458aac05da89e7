package membership

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
	"time"

	"github.com/concord-go/concord/lease"
)

// Watch shows the group, and again after every change: first as it is, then whenever members have
// joined, left, were lost or have updated their description. Changes that come close together make one
// view (Options.Pause), and so do those that come while the loop is busy; none is forgotten.
//
// A change arrives by push, normally in milliseconds. What was missed while the connection was cut is
// noticed within twice [lease.MaxNotice] and read anew. While the engine does not answer, the members
// stay as they were last seen, in a view with Stale set. A member that has died is shown until its TTL
// is over, and for an eighth of it more, at most 1 s, in which it may be followed by others.
//
// An engine that was away for long or has lost its data makes all members vanish, although they are
// well and will join again in a moment. So when more members have vanished within half the TTL than have
// stayed, those that are not back are shown for that time too, and Stale matches [ErrVanished]. Those that leave by
// [Registration.Leave] do not vanish, they are gone at once.
//
// The last element is an error: the end of ctx, [ErrClosed], or a failure that waiting does not mend,
// such as [ErrUnsupported] from an engine that cannot announce. Each loop has a subscription of its
// own.
func (g *Group) Watch(ctx context.Context) iter.Seq2[View, error] {
	return func(yield func(View, error) bool) {
		feed := g.keeper.Feed(ctx, key(g.name), func(err error) { g.opt.Hooks.Failed(Info{Err: g.wrap("watch", err)}) })
		defer feed.Stop()
		w := &watcher{group: g, yield: yield, left: map[string]bool{}}
		for {
			changes, err := feed.Next(w.wake())
			if err == nil {
				err = w.apply(ctx, changes)
			}
			switch {
			case errors.Is(err, errStopped):
				return
			case err != nil:
				yield(View{}, g.wrap("watch", err))
				return
			case w.due() && !w.show(nil):
				return
			}
		}
	}
}

// errStopped means that the loop over a Watch was left.
var errStopped = errors.New("stopped")

// watcher is the state of one loop.
type watcher struct {
	group    *Group
	yield    func(View, error) bool
	seats    roster
	left     map[string]bool // IDs of those that said so since the last view
	present  []Member        // at the last view
	tokens   []uint64        // of their seats
	vanished []vanished      // oldest first
	dirty    bool            // something has changed since the last view
	quiet    time.Time       // no view before
	alarm    time.Time       // when one who has vanished counts otherwise; zero = nobody has
	begun    bool            // it has shown a view
	shown    []Member        // in it: who is present, and maybe who has vanished
	stale    error           // of it
}

// apply takes changes in.
func (w *watcher) apply(ctx context.Context, changes []lease.Change) error {
	w.dirty = w.dirty || len(changes) > 0
	for _, c := range changes {
		switch c.Kind {
		case lease.ChangeSeated, lease.ChangeMeta:
			if bytes.Equal(c.Party.Meta, leaving) {
				w.left[c.Party.Owner] = true
				delete(w.seats, c.Party.Token)
			} else {
				w.seats.add(c.Party)
			}
		case lease.ChangeEnded:
			delete(w.seats, c.Party.Token)
		default:
			if err := w.read(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// due reports whether it is time for a view.
func (w *watcher) due() bool {
	now := time.Now()
	return w.dirty && !now.Before(w.quiet) || !w.alarm.IsZero() && !now.Before(w.alarm)
}

// wake tells when it may be.
func (w *watcher) wake() <-chan time.Time {
	switch {
	case w.dirty:
		return time.After(time.Until(w.quiet))
	case !w.alarm.IsZero():
		return time.After(time.Until(w.alarm))
	}
	return nil
}

// read reads the group until the engine answers.
func (w *watcher) read(ctx context.Context) error {
	g := w.group
	for {
		seats, err := g.list(ctx)
		if err == nil {
			w.seats, w.dirty = seats, true
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, ErrUnavailable) {
			return err
		}
		err = g.wrap("watch", err)
		g.opt.Hooks.Failed(Info{Err: err})
		if w.begun && !w.show(err) {
			return errStopped
		}
		_ = g.keeper.Pause(ctx, min(g.opt.TTL/3, time.Second)) // its end is noticed by list
	}
}

// show yields a view if there is something new in it, and reports whether the loop goes on.
func (w *watcher) show(stale error) bool {
	w.dirty = false
	present := w.seats.members()
	w.vanish(present)
	members, kept := w.withVanished(present)
	if kept {
		stale = cmp.Or(stale, ErrVanished)
	}
	v := compare(w.shown, members)
	v.Stale = stale
	if w.begun && !v.changed() && (w.stale == nil) == (stale == nil) {
		return true
	}
	w.begun, w.shown, w.stale, w.quiet = true, v.Members, stale, time.Now().Add(w.group.opt.Pause)
	w.group.opt.Hooks.Viewed(Info{Members: len(v.Members)})
	return w.yield(v, nil)
}
