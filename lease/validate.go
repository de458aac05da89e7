package lease

import (
	"errors"
	"fmt"
	"time"
)

// Validate reports the fields that are out of bounds, each as an [*InvalidError].
func (c *Claim) Validate() error {
	var p problems
	p.key(c.Key)
	p.attempt(c.Attempt)
	p.ttl(c.TTL)
	p.check(c.Window >= 0 && c.Window <= c.TTL, "Window", "must be 0 to TTL")
	p.check(c.Delay >= 0 && c.Delay <= MaxDelay, "Delay", "must be 0 to %v", MaxDelay)
	p.check(c.Limit >= 0 && c.Limit <= MaxWeight, "Limit", "must be 0 to %d", MaxWeight)
	p.check(c.Weight >= 1 && (c.Weight <= c.Limit || c.Limit == 0) && c.Weight <= MaxWeight, "Weight", "must be 1 to Limit")
	p.check(c.LimitEpoch >= 0, "LimitEpoch", "must not be negative")
	p.check(c.Priority >= MinPriority && c.Priority <= MaxPriority, "Priority", "must be %d to %d", MinPriority, MaxPriority)
	p.check(len(c.Owner) <= MaxOwner, "Owner", "must have at most %d bytes", MaxOwner)
	p.check(len(c.Meta) <= MaxMeta, "Meta", "must have at most %d bytes", MaxMeta)
	return errors.Join(p...)
}

// ValidateAll reports what is wrong with the claims of one AcquireAll: their number, which is 1 to
// [MaxKeys], a claim that is out of bounds, a key or an attempt that stands in two of them, and a
// Queue that is not the same in all.
func ValidateAll(claims []Claim) error {
	if len(claims) == 0 || len(claims) > MaxKeys {
		return &InvalidError{Field: "claims", Problem: fmt.Sprintf("must be 1 to %d", MaxKeys)}
	}
	keys, attempts := make(map[string]bool, len(claims)), make(map[Attempt]bool, len(claims))
	for i := range claims {
		c := &claims[i]
		if err := c.Validate(); err != nil {
			return fmt.Errorf("claim %d: %w", i, err)
		}
		keys[c.Key], attempts[c.Attempt] = true, true
		if c.Queue != claims[0].Queue {
			return &InvalidError{Field: "claims", Problem: "must all have Queue, or none"}
		}
	}
	if len(keys) < len(claims) || len(attempts) < len(claims) {
		return &InvalidError{Field: "claims", Problem: "must have different keys and different attempts"}
	}
	return nil
}

// Validate reports the fields that are out of bounds, each as an [*InvalidError].
func (r *Renewal) Validate() error {
	var p problems
	p.key(r.Key)
	p.attempt(r.Attempt)
	p.ttl(r.TTL)
	p.check(len(r.Meta) <= MaxMeta, "Meta", "must have at most %d bytes", MaxMeta)
	p.check(r.Weight >= 0 && r.Weight <= MaxWeight, "Weight", "must be 0 to %d", MaxWeight)
	return errors.Join(p...)
}

// Validate reports the fields that are out of bounds, each as an [*InvalidError].
func (r *Release) Validate() error {
	var p problems
	p.key(r.Key)
	p.attempt(r.Attempt)
	p.check(r.To == "" || len(r.To) == attemptLen, "To", "must be an attempt or empty")
	return errors.Join(p...)
}

// Validate reports the fields that are out of bounds, each as an [*InvalidError].
func (r *Revocation) Validate() error {
	var p problems
	p.key(r.Key)
	p.check(r.Token != 0, "Token", "must be that of a grant")
	p.check(len(r.Reason) <= MaxReason, "Reason", "must have at most %d bytes", MaxReason)
	p.check(r.Grace >= 0 && r.Grace <= MaxTTL, "Grace", "must be 0 to %v", MaxTTL)
	return errors.Join(p...)
}

// problems collects what is wrong with a request.
type problems []error

func (p *problems) check(ok bool, field, format string, args ...any) {
	if !ok {
		*p = append(*p, &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
}

func (p *problems) key(key string) {
	if err := ValidateKey(key); err != nil {
		*p = append(*p, err)
	}
}

func (p *problems) attempt(a Attempt) {
	p.check(len(a) == attemptLen, "Attempt", "must come from NewAttempt")
}

func (p *problems) ttl(ttl time.Duration) {
	p.check(ttl >= MinTTL && ttl <= MaxTTL, "TTL", "must be %v to %v", MinTTL, MaxTTL)
}

// ValidateKey returns an [*InvalidError] unless key has 1 to [MaxKey] bytes.
func ValidateKey(key string) error {
	if len(key) == 0 || len(key) > MaxKey {
		return &InvalidError{Field: "key", Problem: fmt.Sprintf("must have 1 to %d bytes", MaxKey)}
	}
	return nil
}
