package election

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

// Leader is who leads.
type Leader struct {
	ID       string // of the candidate
	Addr     string // where it can be reached
	Meta     []byte // of the candidate, or what it has proclaimed
	Priority int    // of the candidate
	Term     Term   // that it leads
}

// Leader tells who leads, [ErrNoLeader] if nobody does. The answer is true at the moment it is given
// and may be false when it arrives: do not decide by it who may write, the term does.
func (e *Election) Leader(ctx context.Context) (Leader, error) {
	s, err := e.inspect(ctx)
	if err == nil && len(s.Holders) == 0 {
		err = ErrNoLeader
	}
	if err != nil {
		return Leader{}, e.wrap("leader", err)
	}
	return e.leader(s.Holders[0]), nil
}

func (e *Election) leader(p lease.Party) Leader {
	addr, meta := decode(p.Meta)
	return Leader{ID: p.Owner, Addr: addr, Meta: meta, Priority: p.Priority, Term: e.term(p.Token)}
}

// term adds the epoch to the engine's number.
func (e *Election) term(token uint64) Term {
	t, err := fence.MakeToken(e.opt.Epoch, token)
	if err != nil {
		return 0
	}
	return t
}

// EventKind tells events apart.
type EventKind uint8

// The kinds of event.
const (
	Elected    EventKind = iota + 1 // Leader leads from now on
	Vacant                          // nobody leads; Leader.Term is the last term, 0 if none is known
	Proclaimed                      // Leader has replaced its metadata
	Gap                             // events may have been missed; what is true now comes next
)

// String returns the name of the kind in lower case.
func (k EventKind) String() string {
	names := [...]string{"", "elected", "vacant", "proclaimed", "gap"}
	if int(k) < len(names) && k > 0 {
		return names[k]
	}
	return "unknown"
}

// Event is what an observer is told.
type Event struct {
	Kind   EventKind // what happened
	Leader Leader    // to whom; only the Term is set in Vacant, nothing in Gap
}

// Observe tells who leads, and then every change, in order: each term that begins, each time
// without a leader, and what leaders proclaim. Where something may have been missed it says Gap and
// then what is true. Terms never go back. It ends when ctx does, with its error, when the Election is
// closed, or with the loop; a failure of the engine comes as a Gap with an error, and it goes on.
//
// It needs an engine that can announce; on others the only element is [ErrUnsupported]. Each loop has
// a subscription of its own.
func (e *Election) Observe(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		feed := e.keeper.Feed(ctx, key(e.name), func(err error) { e.opt.Hooks.Failed(Info{Err: e.wrap("observe", err)}) })
		defer feed.Stop()
		o := &observer{election: e, yield: yield}
		for {
			changes, err := feed.Next(nil)
			if err != nil {
				yield(Event{}, e.wrap("observe", err))
				return
			}
			for _, c := range changes {
				if !o.change(ctx, c) {
					return
				}
			}
		}
	}
}

// observer is the state of one loop.
type observer struct {
	election *Election
	yield    func(Event, error) bool
	begun    bool
	term     uint64 // the largest that was told
	leading  bool   // it has not ended
}

// change tells what follows from one change and reports whether the loop goes on.
func (o *observer) change(ctx context.Context, c lease.Change) bool {
	switch {
	case c.Kind == lease.ChangeGap:
		if o.begun && !o.yield(Event{Kind: Gap}, nil) {
			return false
		}
		return o.look(ctx)
	case c.Party.Token < o.term, c.Party.Token == o.term && !o.leading:
		return true // older than what was told
	case c.Kind == lease.ChangeSeated:
		return c.Party.Token == o.term || o.elected(c.Party)
	case c.Kind == lease.ChangeEnded:
		return o.vacant(c.Party.Token)
	default:
		return o.tell(Proclaimed, c.Party)
	}
}

// look reads what is true, until the engine answers.
func (o *observer) look(ctx context.Context) bool {
	e := o.election
	for {
		s, err := e.inspect(ctx)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, ErrClosed) {
				return true // the end is told by the loop
			}
			if !o.yield(Event{Kind: Gap}, e.wrap("observe", err)) {
				return false
			}
			_ = sleep(ctx, time.Second)
			continue
		}
		o.begun = true
		switch {
		case len(s.Holders) == 0:
			return o.vacant(o.term)
		case s.Holders[0].Token > o.term:
			return o.tell(Elected, s.Holders[0])
		case s.Holders[0].Token == o.term:
			return o.tell(Proclaimed, s.Holders[0]) // its metadata may have changed
		}
		return true
	}
}

func (o *observer) tell(kind EventKind, p lease.Party) bool {
	o.term, o.leading = p.Token, true
	return o.yield(Event{Kind: kind, Leader: o.election.leader(p)}, nil)
}

func (o *observer) elected(p lease.Party) bool {
	if o.leading && !o.vacant(o.term) { // its end is implied
		return false
	}
	return o.tell(Elected, p)
}

func (o *observer) vacant(token uint64) bool {
	o.term, o.leading = max(o.term, token), false
	return o.yield(Event{Kind: Vacant, Leader: Leader{Term: o.election.term(token)}}, nil)
}

// String describes the leader for people to read.
func (l Leader) String() string { return fmt.Sprintf("%q at %q, term %s", l.ID, l.Addr, l.Term) }
