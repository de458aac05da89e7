package lease

import (
	"crypto/rand"
	"encoding/base64"
	"time"
)

// Limits that every engine keeps. A request beyond one of them is an [*InvalidError].
const (
	MaxKey      = 512       // bytes of a key; any bytes, at least one
	MaxOwner    = 128       // bytes of an owner's name
	MaxMeta     = 4 << 10   // bytes of metadata
	MaxReason   = 256       // bytes of the reason of a revocation
	MaxQueue    = 8192      // waiting claims per key
	MaxKeys     = 64        // keys of one AcquireAll
	MaxWeight   = 1<<31 - 1 // weight and limit
	MinTTL      = 100 * time.Millisecond
	MaxTTL      = 24 * time.Hour
	MaxDelay    = 60 * time.Second // lock-delay
	MaxNotice   = 6 * time.Second  // until an observer is told of a lapse
	MinPriority = -512
	MaxPriority = 511
)

// attemptLen is the length of an attempt: 16 bytes in base64url.
const attemptLen = 22

// Attempt names one claim: 128 random bits as 22 characters of base64url. It is made once per
// wish, kept through all its re-sends and never reused.
type Attempt string

// NewAttempt returns a fresh random attempt.
func NewAttempt() Attempt {
	var b [16]byte
	rand.Read(b[:])
	var text [attemptLen]byte
	base64.RawURLEncoding.Encode(text[:], b[:])
	return Attempt(text[:])
}

// Claim is one party's wish for a key, as sent by Acquire. The zero values of the optional fields
// mean an ordinary lock.
type Claim struct {
	Key     string        // what is claimed
	Attempt Attempt       // names this claim
	TTL     time.Duration // life of a seat without renewal, and of a waiting claim unheard of
	Window  time.Duration // first life of a seat granted while its owner was not asking; 0 = TTL
	Delay   time.Duration // lock-delay: how long the seat blocks others after an unclean end
	Queue   bool          // wait in line; without it a claim that does not fit is answered Held

	Weight     int64 // share of the limit; at least 1
	Limit      int64 // 1 = exclusive, 0 = no limit
	LimitEpoch int64 // a higher one than the key's changes its limit
	Priority   int   // larger goes first

	Owner    string // who asks, for people to read
	Meta     []byte // what others may read of this claim
	Announce bool   // tell observers of the key about every change
	Alone    bool   // will not be renewed together with others (engines that share renewals)
}
