package redisbackend

import (
	"context"
	_ "embed"
	"slices"
	"strings"
	"time"

	"github.com/concord-go/concord/fence"
)

var (
	//go:embed lua/set.lua
	luaSet string
	//go:embed lua/hset.lua
	luaHSet string
	//go:embed lua/run.lua
	luaRun string

	scriptSet  = newScript(luaRaise + luaSet)
	scriptHSet = newScript(luaRaise + luaHSet)
)

// Guard writes to the caller's own keys under the token of a lock. Check and write are one step on
// the server: a write whose token is below the mark of its key is refused with a
// [*fence.FencedError] and changes nothing. Otherwise the mark is raised to the token first.
//
// A new holder calls [Guard.Raise] before it reads what it is going to change. From then on no
// earlier holder can write.
//
// Key names are the caller's, as they are; the prefix of the backend is not put before them. Each
// has a mark of its own, in the same slot, which is the one that [Backend.Fences] keeps for a
// resource of that name. No mark can be put into the slot of a key that holds "}" outside of a
// hash tag, such as "a}b" or "{}a"; such keys are an [*InvalidError].
//
// What a guard does not do: a write that bypasses it is not stopped. A write that is sent twice
// is applied twice, since one token makes many writes. After an error other than a refusal or an
// invalid argument the mark may have been raised and the write may have been made.
//
// All methods may be called by several goroutines. They return when ctx ends; the write may then
// still be made. Errors that may pass match lease.ErrUnavailable; nothing is sent again. The zero
// value is not usable.
type Guard struct{ b *Backend }

// Raise lifts the mark of key to token and touches nothing else. An equal mark is success too.
func (g *Guard) Raise(ctx context.Context, key string, token fence.Token) error {
	_, err := g.write(ctx, "guarded raise", scriptRaise, token, []string{key}, false, nil)
	return err
}

// Set is the command SET under a guard. The value is encoded as go-redis encodes arguments. A ttl
// of 0 means for ever; a negative one is an [*InvalidError].
func (g *Guard) Set(ctx context.Context, key string, token fence.Token, value any, ttl time.Duration) error {
	const verb = "guarded set"
	if ttl < 0 {
		return fail(ctx, verb, &InvalidError{Field: "ttl", Problem: "must not be negative"})
	}
	_, err := g.write(ctx, verb, scriptSet, token, []string{key}, true, []any{value, millis(ttl)})
	return err
}

// HSet is the command HSET under a guard. Fields are names and values in turn, at least one pair,
// encoded as go-redis encodes arguments; anything else is an [*InvalidError].
func (g *Guard) HSet(ctx context.Context, key string, token fence.Token, fields ...any) error {
	const verb = "guarded hset"
	if len(fields) == 0 || len(fields)%2 != 0 {
		return fail(ctx, verb, &InvalidError{Field: "fields", Problem: "must be pairs of a name and a value, at least one"})
	}
	_, err := g.write(ctx, verb, scriptHSet, token, []string{key}, true, fields)
	return err
}

// GuardedScript is a Lua script for [Guard.Run]. It is immutable and may be shared.
type GuardedScript struct{ s *script }

// NewGuardedScript prepares a script in the form that EVAL takes. It sees KEYS and ARGV as passed
// to Run, and may return whatever a script may. A shebang line is not possible.
func NewGuardedScript(lua string) *GuardedScript {
	head, tail, _ := strings.Cut(luaRun, "--body\n")
	return &GuardedScript{newScript(luaRaise + head + lua + "\n" + tail)}
}

// Run runs the script in the same step as the check, and returns its result as go-redis decodes
// it: nil, int64, string, []any. The mark is that of keys[0], which must be given; all keys must
// lie in one slot. If the script fails half-way, what it has written stays.
func (g *Guard) Run(ctx context.Context, script *GuardedScript, keys []string, token fence.Token, args ...any) (any, error) {
	const verb = "guarded run"
	switch {
	case script == nil:
		return nil, fail(ctx, verb, &InvalidError{Field: "script", Problem: "must not be nil"})
	case len(keys) == 0:
		return nil, fail(ctx, verb, &InvalidError{Field: "keys", Problem: "must have at least one"})
	}
	return g.write(ctx, verb, script.s, token, keys, true, args)
}

// write passes the mark of keys[0] and, if the script takes them, the keys.
func (g *Guard) write(ctx context.Context, verb string, s *script, token fence.Token, keys []string, pass bool, args []any) (any, error) {
	if err := fence.Validate(keys[0], token); err != nil {
		return nil, fail(ctx, verb, err)
	}
	name, ok := g.b.names.mark(keys[0])
	if !ok {
		return nil, fail(ctx, verb, &InvalidError{Field: "key", Problem: `must not hold "}" outside of a hash tag: no mark can lie in its slot`})
	}
	all := []string{name}
	if pass {
		all = append(all, keys...)
	}
	resource, own := keys[0], ownArgs(args)
	return await(ctx, g.b, verb, func() (any, error) {
		return g.b.marks.write(ctx, verb, s, resource, token, all, own)
	})
}

// ownArgs copies what a call that was left alone would otherwise read from its caller's buffers.
func ownArgs(args []any) []any {
	own := slices.Clone(args)
	for i, a := range own {
		if b, ok := a.([]byte); ok {
			own[i] = slices.Clone(b)
		}
	}
	return own
}
