package breaker

// Mode says who decides.
type Mode uint8

// The modes.
const (
	// Automatic: the breaker decides.
	Automatic Mode = iota
	// ObserveOnly: the breaker decides and tells, and every call is let through. Those that it would have
	// rejected are not counted, so it moves as it would in earnest.
	ObserveOnly
	// ForcedOpen: no call is let through.
	ForcedOpen
	// ForcedClosed: every call is let through, and none is counted.
	ForcedClosed
)

// String returns the name of the mode.
func (m Mode) String() string {
	return name(m, "automatic", "observe only", "forced open", "forced closed")
}

// Mode returns who decides at present.
func (b *Breaker) Mode() Mode { return Mode(b.mode.Load()) }

// ForceOpen rejects every call until Reset, ForceClose or ObserveOnly.
func (b *Breaker) ForceOpen() { b.force(ForcedOpen) }

// ForceClose lets every call through and counts none until Reset, ForceOpen or ObserveOnly.
func (b *Breaker) ForceClose() { b.force(ForcedClosed) }

// ObserveOnly lets every call through, and goes on deciding and telling, closed and with nothing
// remembered, until Reset, ForceOpen or ForceClose.
func (b *Breaker) ObserveOnly() { b.force(ObserveOnly) }

// Reset lets the breaker decide, closed and with nothing remembered, whatever it was. The outcomes of
// calls that are under way change nothing any more.
func (b *Breaker) Reset() { b.force(Automatic) }

// force sets the mode. The engine begins anew first, so that no call meets what it had decided before.
func (b *Breaker) force(m Mode) {
	if b.fixed {
		return
	}
	i := Info{Name: b.name, Key: b.key, Mode: m, Reason: Forced}
	if m == Automatic || m == ObserveOnly {
		i.From, i.State, i.Number = b.restart()
	} else {
		i.State, i.Number = b.standing()
		i.From = i.State
	}
	i.FromMode = Mode(b.mode.Swap(uint32(m)))
	if b.hooks.Changed != nil {
		b.hooks.Changed(i)
	}
}

// restart makes the engine begin anew. From is the very state that this has ended, so that no change
// comes in between.
func (b *Breaker) restart() (from, to State, number uint64) {
	if b.own == nil {
		b.other.Reset()
		return State(b.told.Swap(uint32(Closed))), Closed, 0
	}
	ended, now := b.own.reset()
	return ended.state, now.state, now.number
}

// standing is the state as it is, and the number of its change.
func (b *Breaker) standing() (State, uint64) {
	if b.own == nil {
		return b.other.State(), 0
	}
	ph := b.own.phase.Load()
	return ph.state, ph.number
}
