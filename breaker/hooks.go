package breaker

import (
	"context"
	"time"
)

// Hooks observe a [Breaker] or [Group]. Every func may be nil, and costs nothing then. They are called
// outside locks, by several goroutines, on the path of calls: they must be quick. They may call what
// they observe.
type Hooks struct {
	// Changed reports a change of the state: From, State, Reason, Counts, OpenFor and Number are set. With
	// the reason Forced it reports that an operator has set the Mode: FromMode is set, and From is State
	// if that has not changed.
	//
	// Changes may be told in another order than that in which they came, and none is left out. So who adds
	// one for each State and takes one off for each From counts the breakers in each state, and with
	// Forced those in each Mode by FromMode.
	Changed func(Info)
	// Rejected reports a call that was not let through. In the mode ObserveOnly it was, and would not
	// have been. State, Reason and Err are set.
	Rejected func(context.Context, Info)
	// Ended reports the end of a call that was let through: Outcome, Took, Slow, Probe and Err are set.
	Ended func(context.Context, Info)
	// Untracked reports that a [Group] is full and lets calls for a new key through without a breaker.
	// It is called once, until there was room again.
	Untracked func(Info)
}

// Info is what hooks are told. Fields that do not apply are zero.
type Info struct {
	Name     string // of the breaker, or of its group
	Key      string // of the breaker in its group
	State    State
	From     State // Changed
	Mode     Mode
	FromMode Mode // Changed with the reason Forced
	Reason   Reason
	Number   uint64        // Changed: rises with each change; two may be told in either order
	Counts   Counts        // Changed: what was judged
	OpenFor  time.Duration // Changed: how long it will be open
	Outcome  Outcome       // Ended
	Took     time.Duration // Ended: how long the call took, if Options.SlowAfter is set
	Slow     bool          // Ended: the call took longer than Options.SlowAfter
	Probe    bool          // Ended: the call was let through to try
	Err      error
}

// JoinHooks returns hooks that call each of the given ones in order. nil entries are skipped.
func JoinHooks(hooks ...*Hooks) *Hooks {
	joined := &Hooks{}
	for _, h := range hooks {
		if h == nil {
			continue
		}
		joined.Changed = both(joined.Changed, h.Changed)
		joined.Rejected = bothCalls(joined.Rejected, h.Rejected)
		joined.Ended = bothCalls(joined.Ended, h.Ended)
		joined.Untracked = both(joined.Untracked, h.Untracked)
	}
	return joined
}

func both(a, b func(Info)) func(Info) {
	if a == nil || b == nil {
		return either(a, b)
	}
	return func(i Info) { a(i); b(i) }
}

func bothCalls(a, b func(context.Context, Info)) func(context.Context, Info) {
	if a == nil || b == nil {
		return either(a, b)
	}
	return func(ctx context.Context, i Info) { a(ctx, i); b(ctx, i) }
}

// either returns the one that is there, so that what nobody observes stays free.
func either[F func(Info) | func(context.Context, Info)](a, b F) F {
	if a == nil {
		return b
	}
	return a
}

func (b *Breaker) info() Info {
	return Info{Name: b.name, Key: b.key, State: b.State(), Mode: b.Mode()}
}

// changed tells of a change of the own engine. n is what was judged.
func (b *Breaker) changed(from, to *phase, n Counts) {
	if b.hooks.Changed == nil {
		return
	}
	i := Info{
		Name: b.name, Key: b.key, Mode: b.Mode(),
		From: from.state, State: to.state, Reason: to.why, Number: to.number, Counts: n,
	}
	if to.state == Open {
		i.OpenFor = time.Duration(to.until - to.since)
	}
	b.hooks.Changed(i)
}

// otherChanged tells of a change of another engine. It goes on from the last one that was told, because
// what the engine says it has changed from may have been reset in between.
func (b *Breaker) otherChanged(_, to State) {
	from := State(b.told.Swap(uint32(to)))
	if b.hooks.Changed != nil {
		b.hooks.Changed(Info{Name: b.name, Key: b.key, Mode: b.Mode(), From: from, State: to})
	}
}
