package backendtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/concord-go/concord/lease"
)

// nasty are names that an encoding could mix up: each must be a key (or a resource) of its own.
func nasty() []string {
	x512 := strings.Repeat("x", 512)
	return []string{
		"a", "A", "a/", "a/b", "/a", "/", "//", "a//b", ".", "..", "a/../b",
		"{x}a", "{x}b", "{x}", "{}", "{}a", "{", "}", "}{", "{x", "x}", "{{x}}", "{x}{y}", "{y}{x}",
		":", "a:b", "a::b", "::", "a:", ":a", "l:a", "q:a", "cfg",
		"\x00", "a\x00", "a\x00b", "\x00a", "\x01",
		"%", "%2F", "a%2Fb", "a%2fb", "a%252Fb", "%%", "%00",
		"\xff", "\xff\xfe", "\x80", "\xc3", "é", "e\u0301", "\ufffd", "世界",
		" ", "a ", " a", "\t", "\n", "a\r\nb", "*", "?", "[a]", "a*", "\\", "a\\", "\"", "'", "`", "$1", ";",
		"~", "a~1~1", "!lim", "!seat", "+", "a+", "a=", "a,b", "0", "00", "-1", "1e3",
		x512, x512[1:], x512[1:] + "/", x512[1:] + "\x00", "{" + x512[2:] + "}", strings.Repeat("\xff", 512), strings.Repeat("/", 512),
	}
}

func keysAnyBytes(r *rig) {
	names := nasty()
	holders, waiters := make([]lease.Claim, len(names)), make([]lease.Claim, len(names))
	for i, key := range names {
		holders[i], waiters[i] = r.try(key), r.claim(key)
		a := r.acquire(holders[i])
		r.is(fmt.Sprintf("keys with any bytes are independent (%.20q)", key), a.Answer, lease.Granted)
	}
	for i := range names {
		same(r, "each key has a queue of its own", r.wait(waiters[i]).Rank, 0)
	}
	for i, key := range names {
		s := r.inspect(key)
		if len(s.Holders) != 1 || len(s.Waiters) != 1 || !lists(s.Holders, holders[i]) || !lists(s.Waiters, waiters[i]) {
			r.broken(fmt.Sprintf("Inspect shows this key only (%.20q)", key), fmt.Sprintf("%+v", s), "its own holder and waiter")
		}
	}
	for i, key := range names {
		r.release(holders[i], lease.WasHeld)
		r.becomes(fmt.Sprintf("a release grants on its own key (%.20q)", key), waiters[i])
		r.release(waiters[i], lease.WasHeld)
		r.empty("nothing is left after the last release", key)
	}
}

// wrongClaims spoil a claim, each in the named field.
var wrongClaims = []struct {
	field string
	spoil func(*lease.Claim)
}{
	{"key", func(c *lease.Claim) { c.Key = "" }},
	{"key", func(c *lease.Claim) { c.Key = strings.Repeat("k", lease.MaxKey+1) }},
	{"Attempt", func(c *lease.Claim) { c.Attempt = "" }},
	{"Attempt", func(c *lease.Claim) { c.Attempt += "x" }},
	{"TTL", func(c *lease.Claim) { c.TTL = 0 }},
	{"TTL", func(c *lease.Claim) { c.TTL = -long }},
	{"TTL", func(c *lease.Claim) { c.TTL = lease.MinTTL - 1 }},
	{"TTL", func(c *lease.Claim) { c.TTL = lease.MaxTTL + 1 }},
	{"Window", func(c *lease.Claim) { c.Window = -1 }},
	{"Window", func(c *lease.Claim) { c.Window = c.TTL + 1 }},
	{"Delay", func(c *lease.Claim) { c.Delay = -1 }},
	{"Delay", func(c *lease.Claim) { c.Delay = lease.MaxDelay + 1 }},
	{"Weight", func(c *lease.Claim) { c.Weight = 0 }},
	{"Weight", func(c *lease.Claim) { c.Weight = -1 }},
	{"Weight", func(c *lease.Claim) { c.Weight = c.Limit + 1 }},
	{"Weight", func(c *lease.Claim) { c.Limit, c.Weight = 0, lease.MaxWeight+1 }},
	{"Limit", func(c *lease.Claim) { c.Limit = -1 }},
	{"Limit", func(c *lease.Claim) { c.Limit = lease.MaxWeight + 1 }},
	{"LimitEpoch", func(c *lease.Claim) { c.LimitEpoch = -1 }},
	{"Priority", func(c *lease.Claim) { c.Priority = lease.MinPriority - 1 }},
	{"Priority", func(c *lease.Claim) { c.Priority = lease.MaxPriority + 1 }},
	{"Owner", func(c *lease.Claim) { c.Owner = strings.Repeat("o", lease.MaxOwner+1) }},
	{"Meta", func(c *lease.Claim) { c.Meta = make([]byte, lease.MaxMeta+1) }},
}

func badClaims(r *rig) {
	for _, wrong := range wrongClaims {
		c := r.claim("k")
		wrong.spoil(&c)
		ctx, cancel := r.ctx()
		a, err := r.be.Acquire(ctx, c)
		cancel()
		r.invalid("Acquire", err, wrong.field)
		same(r, "a claim out of bounds is not answered", a.Status, lease.Unknown)
		if wrong.field != "key" {
			r.empty("a claim out of bounds leaves nothing ("+wrong.field+")", c.Key)
		}
	}
	c := r.claim("k")
	c.Owner, c.Meta = strings.Repeat("o", lease.MaxOwner), make([]byte, lease.MaxMeta)
	c.TTL = lease.MaxTTL
	r.hold(c)
}

// invalid wants an InvalidError that names the field.
func (r *rig) invalid(verb string, err error, field string) {
	r.Helper()
	var invalid *lease.InvalidError
	if !errors.As(err, &invalid) || !errors.Is(err, lease.ErrInvalid) {
		r.broken(verb+" refuses what is out of bounds with an InvalidError", err, field)
	}
	for _, e := range flatten(err) {
		if errors.As(e, &invalid) && invalid.Field == field {
			return
		}
	}
	r.broken("an InvalidError names the field", err, field)
}

// flatten lists the errors that were joined.
func flatten(err error) []error {
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		var all []error
		for _, inner := range e.Unwrap() {
			all = append(all, flatten(inner)...)
		}
		return all
	case interface{ Unwrap() error }:
		return append(flatten(e.Unwrap()), err)
	}
	return []error{err}
}

func badCalls(r *rig) {
	ctx, cancel := r.ctx()
	defer cancel()
	holder := r.claim("k")
	g := r.hold(holder)
	for _, key := range []string{"", strings.Repeat("k", lease.MaxKey+1)} {
		_, err := r.be.Release(ctx, lease.Release{Key: key, Attempt: holder.Attempt})
		r.invalid("Release", err, "key")
		_, err = r.be.Revoke(ctx, lease.Revocation{Key: key, Token: g.Token, Force: true})
		r.invalid("Revoke", err, "key")
		_, err = r.be.Inspect(ctx, key)
		r.invalid("Inspect", err, "key")
	}
	_, err := r.be.Revoke(ctx, lease.Revocation{Key: "k", Token: g.Token, Reason: strings.Repeat("r", lease.MaxReason+1), Force: true})
	r.invalid("Revoke", err, "Reason")
	r.keeps("a call out of bounds changes nothing", holder, g.Token)
}

func endedContext(r *rig) {
	holder := r.claim("k")
	g := r.hold(holder)
	cancelled, cancel := context.WithTimeout(r.Context(), long)
	cancel()
	past, cancel := context.WithDeadline(r.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{cancelled, past} {
		start := time.Now()
		check := func(verb string, err error) {
			r.Helper()
			if !errors.Is(err, ctx.Err()) {
				r.broken(verb+" with an ended ctx returns its error", err, ctx.Err())
			}
		}
		_, err := r.be.Acquire(ctx, r.claim("other"))
		check("Acquire", err)
		_, err = r.be.Release(ctx, lease.Release{Key: "other", Attempt: holder.Attempt})
		check("Release", err)
		_, err = r.be.Revoke(ctx, lease.Revocation{Key: "other", Token: g.Token})
		check("Revoke", err)
		_, err = r.be.Inspect(ctx, "k")
		check("Inspect", err)
		_, _, err = r.be.Seats(ctx, "k", "")
		check("Seats", err)
		answers := r.be.Renew(ctx, []lease.Renewal{renewal(holder, false), renewal(holder, true)})
		same(r, "Renew gives one answer for each item", len(answers), 2)
		for _, a := range answers {
			check("Renew", a.Err)
		}
		if r.caps.MultiKey {
			all := r.claim("other")
			_, err = r.be.AcquireAll(ctx, []lease.Claim{all})
			check("AcquireAll", err)
		}
		if r.caps.Announce {
			check("Observe", r.be.Observe(ctx, "k", func(lease.Change) {}))
		}
		if took := time.Since(start); took > callTime {
			r.broken("a verb with an ended ctx returns at once", took, "no wait")
		}
	}
	r.keeps("the holder does not notice", holder, g.Token)
}

// missing asks for each part that the engine says it does not have.
func missing(r *rig) {
	wishes := []struct {
		part string
		want func(*lease.Claim)
	}{
		{"Limits", func(c *lease.Claim) { c.Limit = 2 }},
		{"Limits", func(c *lease.Claim) { c.Limit = 0 }},
		{"Priority", func(c *lease.Claim) { c.Priority = 1 }},
		{"Delay", func(c *lease.Claim) { c.Delay = time.Second }},
	}
	ctx, cancel := r.ctx()
	defer cancel()
	refused := func(part string, err error) {
		r.Helper()
		if !errors.Is(err, lease.ErrUnsupported) {
			r.broken("a part that Capabilities lacks is refused: "+part, err, lease.ErrUnsupported)
		}
		r.empty("a refused request changes nothing: "+part, "k")
	}
	all := true
	for _, w := range wishes {
		if !has(r.caps, w.part) {
			c := r.claim("k")
			w.want(&c)
			_, err := r.be.Acquire(ctx, c)
			refused(w.part, err)
			all = false
		}
	}
	if !r.caps.MultiKey {
		_, err := r.be.AcquireAll(ctx, []lease.Claim{r.claim("k")})
		refused("MultiKey", err)
		all = false
	}
	if !r.caps.Announce {
		refused("Announce", r.be.Observe(ctx, "k", func(lease.Change) {}))
		all = false
	}
	if all {
		r.Skip("the engine has every part")
	}
}
