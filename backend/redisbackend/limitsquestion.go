package redisbackend

import (
	"strconv"
	"strings"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// question is an op as a script takes it.
type question struct {
	op     *ratelimit.Op
	script *script
	args   []any // as eval takes them

	// What args points to.
	name      string
	old, next string // a state of an earlier version, and what replaces it
	numbers   []int64
}

// Arguments that do not change are boxed once.
var (
	argKinds = [...]any{ratelimit.OpTake: "T", ratelimit.OpPeek: "P", ratelimit.OpGive: "G", ratelimit.OpCharge: "C", ratelimit.OpReset: "R"}
	argRules = [...]any{ratelimit.TokenBucket: "a", ratelimit.FixedWindow: "b", ratelimit.SlidingWindow: "c", ratelimit.StrictWindow: "d"}
	argShade = [...]any{ratelimit.TokenBucket: "A", ratelimit.FixedWindow: "B", ratelimit.SlidingWindow: "C", ratelimit.StrictWindow: "D"}
)

func newQuestion(n *names, op *ratelimit.Op) *question {
	q := &question{op: op, name: n.limit(op.Policy.Shape(), op.Key)}
	rules := op.Policy.Rules()
	if r := &rules[0]; op.Kind == ratelimit.OpTake && len(rules) == 1 && r.Algorithm == ratelimit.TokenBucket && !r.Shadow {
		q.begin(scriptLimitBucket, 7, 7)
		q.add(op.Policy.Version(), int64(op.MaxWait/time.Microsecond))
		q.bucket(r)
		return q
	}
	q.whole()
	return q
}

// begin starts the arguments: so many, of which so many are numbers.
func (q *question) begin(s *script, args, numbers int) {
	q.script = s
	q.numbers = make([]int64, 0, numbers)
	q.args = append(make([]any, 0, 4+args), nil, nil, 1, &q.name)
}

// add passes numbers as pointers into one piece of memory, which the library reads as it reads numbers.
func (q *question) add(numbers ...int64) {
	for _, x := range numbers {
		q.numbers = append(q.numbers, x)
		q.args = append(q.args, &q.numbers[len(q.numbers)-1])
	}
}

func (q *question) bucket(r *ratelimit.Rule) {
	cost := r.Cost(min(q.op.N, r.Most))
	if q.op.N > r.Most && (q.op.Kind == ratelimit.OpTake || q.op.Kind == ratelimit.OpPeek) {
		cost.Whole = r.Burst.Whole + int64(2*ratelimit.MaxWait/time.Microsecond) // never fits
	}
	q.add(r.Den, r.Burst.Whole, r.Burst.Frac, cost.Whole, cost.Frac)
}

// whole asks the script that knows everything.
func (q *question) whole() {
	p := q.op.Policy
	rules := p.Rules()
	q.begin(scriptLimit, 7+6*len(rules), 4+5*len(rules))
	q.args = append(q.args, argKinds[q.op.Kind])
	q.add(p.Version(), int64(q.op.MaxWait/time.Microsecond), q.op.N, int64(p.Words()))
	q.args = append(q.args, &q.old, &q.next)
	for i := range rules {
		r := &rules[i]
		if r.Shadow {
			q.args = append(q.args, argShade[r.Algorithm])
		} else {
			q.args = append(q.args, argRules[r.Algorithm])
		}
		switch r.Algorithm {
		case ratelimit.TokenBucket:
			q.bucket(r)
		case ratelimit.FixedWindow:
			q.add(r.N, r.Per)
		case ratelimit.SlidingWindow:
			q.add(r.N, r.Per, r.Unit)
		default:
			q.add(r.N, r.Unit)
		}
	}
}

// answer reads a reply: allowed or refused, the server's clock, and the state before. If it was of an
// earlier version nothing was done, and the question now says what replaces it.
func (q *question) answer(reply any) (d ratelimit.Decision, done bool, err error) {
	list, ok := reply.([]any)
	if !ok || len(list) != 3 {
		return d, false, malformed(reply)
	}
	code, ok1 := list[0].(int64)
	now, ok2 := list[1].(int64)
	text, ok3 := list[2].(string)
	state, ok4 := readWords(text, q.op.Policy.Words())
	if !ok1 || !ok2 || !ok3 || !ok4 || code < 0 || code > 2 {
		return d, false, malformed(reply)
	}
	if code == 2 {
		q.op.Policy.Migrate(state, now)
		q.old, q.next = text, writeWords(state)
		if q.script != scriptLimit {
			q.whole()
		}
		return d, false, nil
	}
	if d = q.op.Policy.Decide(state, now, q.op); d.Allowed != (code == 1) {
		return ratelimit.Decision{}, false, errDiffers
	}
	return d, true, nil
}

// readWords reads the words of a state; no text is that of a key without history.
func readWords(text string, words int) (state []int64, ok bool) {
	state = make([]int64, words)
	if text == "" {
		return state, true
	}
	for i := range state {
		word, rest, more := strings.Cut(text, " ")
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || more != (i < words-1) {
			return nil, false
		}
		state[i], text = n, rest
	}
	return state, true
}

func writeWords(state []int64) string {
	var text []byte
	for i, word := range state {
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, word, 10)
	}
	return string(text)
}
