package claim

import "github.com/concord-go/concord/lease"

// Wish is what an Acquire asks for.
type Wish struct {
	Key        string
	Weight     int64
	Limit      int64
	LimitEpoch int64
	Priority   int
	Announce   bool   // tell observers
	Queue      bool   // wait in line
	Kind       string // what the front calls it; only Hold.Kind tells it
	Owner      string // instead of the Keeper's
	Meta       []byte // with Owner
}

// Lock is the wish to be alone on key.
func Lock(key string, queue bool) Wish { return Wish{Key: key, Weight: 1, Limit: 1, Queue: queue} }

// local reports whether goroutines of a process stand in a line of their own for it, so that the
// process has one waiting claim. Shares of a limit are not alike, so each is a claim of its own.
func (w *Wish) local() bool { return w.Queue && w.Limit == 1 }

// claim makes the wish a claim.
func (k *Keeper) claim(w Wish) lease.Claim {
	c := lease.Claim{
		Key: w.Key, Attempt: lease.NewAttempt(), Queue: w.Queue,
		Weight: w.Weight, Limit: w.Limit, LimitEpoch: w.LimitEpoch,
		Priority: w.Priority, Announce: w.Announce,
		TTL: k.opt.TTL, Window: k.opt.Window, Delay: k.opt.Delay,
		Owner: k.opt.Owner, Meta: k.opt.Meta,
		Alone: k.opt.NoRenew || k.opt.MaxHold > 0,
	}
	if w.Owner != "" {
		c.Owner, c.Meta = w.Owner, w.Meta
	}
	if k.opt.NoRenew {
		c.Window = c.TTL // nobody will widen it
	}
	return c
}
