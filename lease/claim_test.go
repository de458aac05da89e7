package lease_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/concord-go/concord/lease"
)

func TestNewAttempt(t *testing.T) {
	seen := make(map[lease.Attempt]bool)
	for range 10_000 {
		a := lease.NewAttempt()
		if len(a) != 22 || strings.ContainsAny(string(a), " ~/+=") || seen[a] {
			t.Fatalf("attempt %q", a)
		}
		seen[a] = true
	}
}

func TestClaimValidate(t *testing.T) {
	valid := lease.Claim{Key: "k", Attempt: lease.NewAttempt(), TTL: time.Second, Weight: 1, Limit: 1}
	if err := valid.Validate(); err != nil {
		t.Fatalf("a plain lock: %v", err)
	}
	for field, change := range map[string]func(*lease.Claim){
		"key":        func(c *lease.Claim) { c.Key = strings.Repeat("k", lease.MaxKey+1) },
		"Attempt":    func(c *lease.Claim) { c.Attempt = "mine" },
		"TTL":        func(c *lease.Claim) { c.TTL = lease.MinTTL - 1 },
		"Window":     func(c *lease.Claim) { c.Window = c.TTL + 1 },
		"Delay":      func(c *lease.Claim) { c.Delay = lease.MaxDelay + 1 },
		"Limit":      func(c *lease.Claim) { c.Limit = -1 },
		"Weight":     func(c *lease.Claim) { c.Weight = 2 },
		"LimitEpoch": func(c *lease.Claim) { c.LimitEpoch = -1 },
		"Priority":   func(c *lease.Claim) { c.Priority = lease.MaxPriority + 1 },
		"Owner":      func(c *lease.Claim) { c.Owner = strings.Repeat("o", lease.MaxOwner+1) },
		"Meta":       func(c *lease.Claim) { c.Meta = make([]byte, lease.MaxMeta+1) },
	} {
		c := valid
		change(&c)
		err := c.Validate()
		var invalid *lease.InvalidError
		if !errors.As(err, &invalid) || !errors.Is(err, lease.ErrInvalid) || invalid.Field != field {
			t.Errorf("bad %s: %v", field, err)
		}
	}
	err := (&lease.Claim{}).Validate()
	for _, field := range []string{"key", "Attempt", "TTL", "Weight"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s: all problems at once", err, field)
		}
	}
}

func TestValidateAll(t *testing.T) {
	claim := func(key string, queue bool) lease.Claim {
		return lease.Claim{Key: key, Attempt: lease.NewAttempt(), TTL: time.Second, Weight: 1, Limit: 1, Queue: queue}
	}
	a := claim("a", true)
	twin := claim("b", true)
	twin.Attempt = a.Attempt
	many := make([]lease.Claim, lease.MaxKeys+1)
	for i := range many {
		many[i] = claim(fmt.Sprint(i), false)
	}
	for name, bad := range map[string][]lease.Claim{
		"none": nil, "too many": many, "bad claim": {a, {}}, "key twice": {a, claim("a", true)},
		"attempt twice": {a, twin}, "mixed": {a, claim("b", false)},
	} {
		if err := lease.ValidateAll(bad); !errors.Is(err, lease.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, good := range [][]lease.Claim{{a}, {a, claim("b", true)}, many[1:]} {
		if err := lease.ValidateAll(good); err != nil {
			t.Errorf("%d claims: %v", len(good), err)
		}
	}
}

func TestNames(t *testing.T) {
	for s, want := range map[interface{ String() string }]string{
		lease.Granted: "granted", lease.Gone: "gone", lease.Status(99): "invalid",
		lease.Expired: "expired", lease.Closed: "closed", lease.Cause(0): "unknown", lease.Cause(99): "unknown",
	} {
		if s.String() != want {
			t.Errorf("%d is called %q, want %q", s, s, want)
		}
	}
}
