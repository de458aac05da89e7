package lease

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
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
	MinPriority = -512
	MaxPriority = 511
)

// Attempt names one claim: 128 random bits as 22 characters of base64url. It is made once per
// wish, kept through all its re-sends and never reused.
type Attempt string

// NewAttempt returns a fresh random attempt.
func NewAttempt() Attempt {
	var b [16]byte
	rand.Read(b[:])
	var text [22]byte
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

// Validate reports every field that is out of bounds, each as an [*InvalidError].
func (c *Claim) Validate() error {
	var errs []error
	bad := func(ok bool, field, format string, args ...any) {
		if !ok {
			errs = append(errs, &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)})
		}
	}
	if err := ValidateKey(c.Key); err != nil {
		errs = append(errs, err)
	}
	bad(len(c.Attempt) == 22, "Attempt", "must come from NewAttempt")
	bad(c.TTL >= MinTTL && c.TTL <= MaxTTL, "TTL", "must be %v to %v", MinTTL, MaxTTL)
	bad(c.Window >= 0 && c.Window <= c.TTL, "Window", "must be 0 to TTL")
	bad(c.Delay >= 0 && c.Delay <= MaxDelay, "Delay", "must be 0 to %v", MaxDelay)
	bad(c.Limit >= 0 && c.Limit <= MaxWeight, "Limit", "must be 0 to %d", MaxWeight)
	bad(c.Weight >= 1 && (c.Weight <= c.Limit || c.Limit == 0) && c.Weight <= MaxWeight, "Weight", "must be 1 to Limit")
	bad(c.LimitEpoch >= 0, "LimitEpoch", "must not be negative")
	bad(c.Priority >= MinPriority && c.Priority <= MaxPriority, "Priority", "must be %d to %d", MinPriority, MaxPriority)
	bad(len(c.Owner) <= MaxOwner, "Owner", "must have at most %d bytes", MaxOwner)
	bad(len(c.Meta) <= MaxMeta, "Meta", "must have at most %d bytes", MaxMeta)
	return errors.Join(errs...)
}

// ValidateKey returns an [*InvalidError] unless key has 1 to [MaxKey] bytes.
func ValidateKey(key string) error {
	if len(key) == 0 || len(key) > MaxKey {
		return &InvalidError{Field: "key", Problem: fmt.Sprintf("must have 1 to %d bytes", MaxKey)}
	}
	return nil
}
