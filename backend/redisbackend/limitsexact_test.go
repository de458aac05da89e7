package redisbackend

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/ratelimit"
)

// The scripts by a clock that the test sets: a second key says what it is.
var (
	luaSetClock     = "local now = tonumber(KEYS[2])\n"
	clockedBucket   = newScript(luaSetClock + luaLimitBucket)
	clockedLimit    = newScript(luaSetClock + luaLimit)
	clockedVariants = map[*script]*script{scriptLimitBucket: clockedBucket, scriptLimit: clockedLimit}
)

// clocked asks by a clock of one's own.
func clocked(t *testing.T, client *redis.Client, q *question, now int64) (code int64, text string) {
	t.Helper()
	q.args[2] = 2
	args := append(append(append([]any{}, q.args[:4]...), strconv.FormatInt(now, 10)), q.args[4:]...)
	args[0], args[1] = argEval, clockedVariants[q.script].source
	reply, err := client.Do(context.Background(), args...).Slice()
	if err != nil {
		t.Fatal(err)
	}
	if reply[1] != now {
		t.Fatalf("the script's time is %v, want %d", reply[1], now)
	}
	return reply[0].(int64), reply[2].(string)
}

// wide returns a number of up to that many bits: small ones as often as large ones.
func wide(r *rand.Rand, bits int) int64 { return 1 + r.Int64N(1<<r.IntN(bits+1)) }

// shape is a random list of algorithms.
func shape(r *rand.Rand) []ratelimit.Algorithm {
	list := make([]ratelimit.Algorithm, 1)
	if r.IntN(2) == 0 {
		list = make([]ratelimit.Algorithm, 1+r.IntN(ratelimit.MaxLimits))
	}
	for i := range list {
		list[i] = ratelimit.Algorithm(r.IntN(4))
	}
	return list
}

// randomPolicy is any of a shape that NewPolicy accepts, up to its bounds.
func randomPolicy(r *rand.Rand, shape []ratelimit.Algorithm) *ratelimit.Policy {
	for {
		limits := make([]ratelimit.Limit, len(shape))
		for i := range limits {
			l := &limits[i]
			l.Name, l.Shadow, l.Algorithm = strconv.Itoa(i), r.IntN(4) == 0, shape[i]
			l.N = min(wide(r, 40), ratelimit.MaxUnits)
			l.Per = time.Duration(min(wide(r, 44), 366*24*3600e6)) * time.Microsecond
			if l.Algorithm == ratelimit.TokenBucket {
				l.Burst = min(wide(r, 40), ratelimit.MaxUnits)
			}
			switch r.IntN(8) {
			case 0: // the bounds themselves
				l.N, l.Per = ratelimit.MaxUnits, 366*24*time.Hour
			case 1, 2, 3: // so small that each unit and microsecond matters
				l.N, l.Per = 1+r.Int64N(6), time.Duration(1+r.Int64N(40))*time.Microsecond
				l.Burst = min(l.Burst, 1+r.Int64N(6))
			case 4: // so large that a sliding window counts in milliseconds, of which each matters
				l.N, l.Per = ratelimit.MaxUnits-r.Int64N(1e11), time.Duration(4+r.Int64N(7))*time.Millisecond
			}
		}
		if p, err := ratelimit.NewPolicy(limits...); err == nil {
			return p
		}
	}
}

// family is a policy and others that look after the same keys: some in processes that were not told of a
// change, some that came into force by one.
func family(t *testing.T, r *rand.Rand) []*ratelimit.Policy {
	t.Helper()
	kind := shape(r)
	list := []*ratelimit.Policy{randomPolicy(r, kind)}
	if r.IntN(2) == 0 {
		return list
	}
	list = append(list, randomPolicy(r, kind))
	l, err := ratelimit.New(&limits{b: &Backend{}}, list[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	for version := range int64(3) {
		if err := l.SetPolicy(randomPolicy(r, kind), ratelimit.Migration(r.IntN(3)), 1+version); err != nil {
			t.Fatal(err)
		}
		list = append(list, l.Policy())
	}
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return list
}

// largest is the largest n that an op may have.
func largest(p *ratelimit.Policy) int64 {
	n := int64(ratelimit.MaxUnits)
	for _, l := range p.Limits() {
		if l.Algorithm == ratelimit.TokenBucket {
			n = min(n, l.Burst)
		} else {
			n = min(n, l.N)
		}
	}
	return n
}

// randomState is one that may be found at an instant, after others have counted by other policies and the
// clock has stepped.
func randomState(r *rand.Rand, p *ratelimit.Policy, now int64) []int64 {
	state := []int64{p.Version()}
	for _, rule := range p.Rules() {
		switch rule.Algorithm {
		case ratelimit.TokenBucket:
			state = append(state, now-r.Int64N(10)+r.Int64N(3+3*rule.Burst.Whole), r.Int64N(2*rule.Den))
		case ratelimit.StrictWindow:
			state = append(state, max(0, now/rule.Unit+r.Int64N(30)-15))
		default:
			state = append(state, max(0, now-now%rule.Per+(r.Int64N(5)-2)*rule.Per+r.Int64N(2)*r.Int64N(rule.Per)))
		}
		for len(state) < nextWord(p, rule.At) {
			state = append(state, r.Int64N(2)*r.Int64N(1+2*rule.N/(1+r.Int64N(12))))
		}
	}
	return state
}

// nextWord is where the words of a rule end.
func nextWord(p *ratelimit.Policy, at int) int {
	for _, rule := range p.Rules() {
		if rule.At > at {
			return rule.At
		}
	}
	return p.Words()
}

// gap is a step of a clock: mostly forward, as far as matters to one of the limits, sometimes back.
func gap(r *rand.Rand, p *ratelimit.Policy) int64 {
	rule := p.Rules()[r.IntN(len(p.Rules()))]
	scale := rule.Per
	if rule.Algorithm == ratelimit.TokenBucket {
		scale = rule.Burst.Whole
	}
	step := r.Int64N(1 + scale/(1+r.Int64N(20)))
	switch r.IntN(12) {
	case 0:
		return -step
	case 1:
		return -3 * step
	case 2:
		return 2*scale + step
	}
	return step
}

// The scripts say what Policy.Decide says, and write the state that it makes, bit for bit: under any
// policy up to the bounds, for any list of ops, whatever the clock does. A reply of a state before that
// is not the one written last is a difference as well.
func TestScriptsDecideAsThePolicy(t *testing.T) {
	client := connect(t, address(t))
	names := newNames(freshPrefix(t, client))
	// Keys live by the server's own clock, so ours must be ahead. Up to 2^51, see lua/limit.lua.
	early, late := time.Now().Add(24*time.Hour).UnixMicro(), int64(1<<51)
	seeds, ops := 1500, 25
	if testing.Short() {
		seeds = 200
	}
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 42))
		policies := family(t, r)
		now := early + r.Int64N(late-early)
		var stored []int64 // nil: nothing
		for range ops {
			p := policies[r.IntN(len(policies))]
			op := &ratelimit.Op{Key: strconv.FormatUint(seed, 10), Policy: p}
			now = min(max(early, now+gap(r, p)), late)
			op.Kind = ratelimit.OpTake
			if r.IntN(2) == 0 {
				op.Kind = ratelimit.OpTake + ratelimit.OpKind(r.IntN(5))
			}
			most := largest(p)
			if op.N = 1 + r.Int64N(most); r.IntN(2) == 0 {
				op.N = min(most, 1+r.Int64N(3))
			}
			if op.MaxWait = 0; r.IntN(3) == 0 {
				op.MaxWait = time.Duration(r.Int64N(int64(ratelimit.MaxWait/time.Microsecond))) * time.Microsecond
			}
			q := newQuestion(names, op)
			if r.IntN(3) == 0 {
				stored = randomState(r, p, now)
				if err := client.Set(context.Background(), q.name, writeWords(stored), 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if r.IntN(2) == 0 { // what just fits, or just does not
				state := append([]int64(nil), stored...)
				if stored == nil {
					state = make([]int64, p.Words())
				}
				fits := p.Decide(state, now, &ratelimit.Op{Kind: ratelimit.OpPeek, Policy: p, N: 1}).Remaining
				op.N = min(max(1, fits+r.Int64N(2)), most)
				q = newQuestion(names, op)
			}
			code, text := clocked(t, client, q, now)

			before := make([]int64, p.Words())
			copy(before, stored)
			migrated := len(stored) > 0 && stored[0] < p.Version() && op.Kind != ratelimit.OpReset
			if migrated {
				if _, done, err := q.answer([]any{code, now, text}); done || err != nil {
					t.Fatalf("seed %d: a state of version %d under version %d: %d, %v", seed, stored[0], p.Version(), code, err)
				}
				p.Migrate(before, now)
				stored = before
				code, text = clocked(t, client, q, now)
			}
			if want := ""; op.Kind != ratelimit.OpReset {
				if stored != nil {
					want = writeWords(stored)
				}
				if text != want {
					t.Fatalf("seed %d: the state before was %q, want %q", seed, text, want)
				}
			}
			after := append([]int64(nil), before...)
			d := p.Decide(after, now, op)
			if d.Allowed != (code == 1) {
				t.Fatalf("seed %d: %+v\n%+v on %v at %d: the script says %d, the policy %+v", seed, p.Limits(), op, before, now, code, d)
			}
			written := d.Allowed && op.Kind == ratelimit.OpTake || op.Kind == ratelimit.OpGive || op.Kind == ratelimit.OpCharge || migrated
			got, err := client.Get(context.Background(), q.name).Result()
			switch {
			case op.Kind == ratelimit.OpReset, written && err != nil:
				if err == nil || op.Kind != ratelimit.OpReset && counts(p, after, now) {
					t.Fatalf("seed %d: %+v\n%+v left %q, want %v", seed, p.Limits(), op, got, after)
				}
				stored = nil
			case written && allShadow(p) && got == writeWords(before):
			case written:
				if err != nil || got != writeWords(after) {
					t.Fatalf("seed %d: %+v\n%+v on %v at %d wrote %q, want %v", seed, p.Limits(), op, before, now, got, after)
				}
				stored = after
				lives := client.PExpireTime(context.Background(), q.name).Val().Microseconds()
				if over := lives - now - d.ResetAfter.Microseconds(); over < 0 || over > 1000 && len(p.Rules()) == 1 && !ahead(p, after, now) {
					t.Fatalf("seed %d: %+v: the state lives %dµs beyond its end", seed, p.Limits(), over)
				}
			}
		}
	}
}

// ahead reports whether the window of a policy's only limit lies in the future of a clock that went back:
// then it lives longer than ResetAfter, which is by the clock that stands still.
func ahead(p *ratelimit.Policy, state []int64, now int64) bool {
	switch r := p.Rules()[0]; r.Algorithm {
	case ratelimit.TokenBucket:
		return false
	case ratelimit.StrictWindow:
		return state[1]*r.Unit > now
	}
	return state[1] > now
}

// counts reports whether anything in a state matters at an instant.
func counts(p *ratelimit.Policy, state []int64, now int64) bool {
	empty := make([]int64, p.Words())
	for _, n := range []int64{1, largest(p)} {
		op := &ratelimit.Op{Kind: ratelimit.OpPeek, Policy: p, N: n}
		a := p.Decide(append([]int64(nil), state...), now, op)
		b := p.Decide(append([]int64(nil), empty...), now, op)
		if a != b {
			return true
		}
	}
	return false
}

// allShadow reports whether a take may be allowed and count nothing.
func allShadow(p *ratelimit.Policy) bool {
	for _, l := range p.Limits() {
		if !l.Shadow {
			return false
		}
	}
	return true
}

// Texts that are no state of this policy count as none, for the scripts and for Go.
func TestUnreadableStates(t *testing.T) {
	client := connect(t, address(t))
	be := open(t, client, nil)
	for _, limits := range [][]ratelimit.Limit{
		{{Name: "a", N: 5, Per: time.Hour}},
		{{Name: "a", N: 5, Per: time.Hour}, {Name: "b", N: 5, Per: time.Hour, Algorithm: ratelimit.StrictWindow}},
	} {
		p, err := ratelimit.NewPolicy(limits...)
		if err != nil {
			t.Fatal(err)
		}
		op := ratelimit.Op{Kind: ratelimit.OpTake, Key: "k", Policy: p, N: 1}
		words := "0" + strings.Repeat(" 0", p.Words()-1)
		for _, text := range []string{"", "x", "1", words + " 0", words[2:], "-" + words, " " + words, strings.Replace(words, " ", "  ", 1),
			"9007199254740992" + words[1:], words + strings.Repeat("9", 400), words[:len(words)-1] + "1e3", words + "\n"} {
			if err := client.Set(context.Background(), be.names.limit(p.Shape(), "k"), text, 0).Err(); err != nil {
				t.Fatal(err)
			}
			if d := decide(t, be, op); !d.Allowed || d.Remaining != 4 {
				t.Errorf("on %.40q: %+v", text, d)
			}
		}
	}
}

// decide asks for one op, which must be answered.
func decide(t *testing.T, be *Backend, op ratelimit.Op) ratelimit.Decision {
	t.Helper()
	var out [1]ratelimit.Outcome
	be.Limits().Apply(within(t, 5*time.Second), []ratelimit.Op{op}, out[:])
	if out[0].Err != nil {
		t.Fatal(out[0].Err)
	}
	return out[0].Decision
}
