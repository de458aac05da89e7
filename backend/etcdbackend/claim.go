package etcdbackend

import (
	"time"

	"github.com/concord-go/concord/lease"
)

type state uint8

const (
	absent  state = iota // not known to be on the server
	waiting              // there, and not granted as far as is known
	granted              // there, and granted; this never turns back
	ended                // was there, and was deleted or lost its lease
)

// claim is what this backend object knows about one of its attempts. The table's mutex guards it.
type claim struct {
	attempt  lease.Attempt
	key      string
	line     string // beginning of the names of the key
	slot     string // names the claim in the line
	seat     string // beginning of the names of the claim
	number   int    // of the slot
	alone    bool
	announce bool // observers are told of it
	priority int
	owner    string
	whole    int64 // weight when it was made
	weight   int64 // may be lowered
	limit    int64
	epoch    int64
	delay    int64 // seconds

	state state
	name  string
	rev   int64 // create revision: the token
	mod   int64 // of the last write we know of
	seq   uint64
	life  *lifeline // what it is on
	other *lifeline // what it may be on instead: a move was sent and not answered
	told  time.Time // from when on it lives, as its owner knows
	trust time.Time // up to when its owner may believe in it
	asked *word     // the holder was asked to leave
	until time.Time // when the grace of that is over

	chair    int64 // revision of its seat key; while it is not known to be of this claim, of the last in its slot
	rings    bool  // a bell of its may hang
	fresh    bool  // what is being applied is the line as it was when the claim came
	passed   bool  // while it waited others may have got a seat key
	at       int64 // revision at which the claim was last read
	ahead    ahead // before it in the line, as far as is known; while waiting
	local    int64 // last revision at which this object deleted another claim of the key
	admitted bool  // its owner was told that it waits: another limit does not turn it away any more
	worked   bool  // its owner may have been told that it is granted
	mixed    bool  // what is in force does not stand in the beginning of the line

	asking    int        // requests that will tell about the claim
	unsure    bool       // one of them was not answered
	releasing bool       // its end is our own doing
	seen      []deletion // while asking: what was deleted from the line meanwhile
}

// there says that the claim is on the server as far as is known.
func (c *claim) there() bool { return c.state == waiting || c.state == granted }

// lives is how long the lease of the claim is certain to live on, whichever it is on.
func (c *claim) lives() time.Duration {
	if c.life == nil {
		return 0
	}
	now := time.Now()
	left := c.life.left(now)
	if c.other != nil {
		left = min(left, c.other.left(now))
	}
	return left
}

// sit grants a waiting claim if it is its turn.
func (c *claim) sit() bool {
	if !c.ready() || c.takesKey() {
		return false
	}
	c.state, c.worked = granted, true
	return true
}

// agrees says that the claim may be granted under the limit in force. One that waited already when
// a later epoch changed it may.
func (c *claim) agrees() bool {
	return c.limit == c.ahead.limit || c.admitted && c.ahead.epoch > c.epoch
}

// outgrown says that a waiting claim cannot be granted any more.
func (c *claim) outgrown() bool {
	return c.state == waiting && !c.ahead.doubt && (!c.agrees() || c.ahead.limit > 0 && c.weight > c.ahead.limit)
}

// shared says that others may hold the key at the same time, or may once it was resized.
func (c *claim) shared() bool { return c.limit != 1 || c.epoch > 0 }

// itself is the claim as a member of its line.
func (c *claim) itself() member {
	return member{name: c.name, slot: c.slot, weight: c.weight, limit: c.limit, epoch: c.epoch, delay: c.delay, priority: c.priority, rev: c.rev}
}

// wish is what the holder was asked, or nil.
func (c *claim) wish() *lease.Ask {
	if c.asked == nil {
		return nil
	}
	return &lease.Ask{Reason: c.asked.reason, Grace: max(0, time.Until(c.until))}
}
