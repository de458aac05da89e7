package redisbackend

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

// maxMillis bounds every server time (ms since 1970) and duration that is read: the year 2255, as
// for tokens. Within it no sum in this package overflows.
const (
	maxSeconds = fence.MaxSequence / 1_000_000
	maxMillis  = maxSeconds * 1000
)

// text reads the space-separated fields of a reply or message from the left. The first field that
// is not as expected sets bad, and it stays set.
type text struct {
	rest string
	bad  bool
}

// word takes the next field, which must not be empty.
func (t *text) word() string {
	w, rest, _ := strings.Cut(t.rest, " ")
	t.rest = rest
	t.bad = t.bad || w == ""
	return w
}

// number takes a decimal number from 0 to limit.
func (t *text) number(limit uint64) uint64 {
	n, err := strconv.ParseUint(t.word(), 10, 64)
	if err != nil || n > limit {
		t.bad = true
		return 0
	}
	return n
}

// stamp takes the server time of a reply, in seconds and microseconds, as milliseconds.
func (t *text) stamp() int64 {
	return int64(t.number(maxSeconds)*1000 + t.number(999_999)/1000)
}

// at takes a server time in milliseconds.
func (t *text) at() int64 { return int64(t.number(maxMillis)) }

// span takes a duration in milliseconds.
func (t *text) span() time.Duration { return time.Duration(t.number(maxMillis)) * time.Millisecond }

// token takes the number of a grant.
func (t *text) token() uint64 {
	n := t.number(fence.MaxSequence)
	t.bad = t.bad || n == 0
	return n
}

// attempt takes the name of a claim.
func (t *text) attempt() lease.Attempt {
	w := t.word()
	t.bad = t.bad || len(w) != 22
	return lease.Attempt(w)
}

// priority takes a number that may be negative.
func (t *text) priority() int {
	n, err := strconv.Atoi(t.word())
	t.bad = t.bad || err != nil
	return n
}

// end reports whether all was as expected and nothing is left.
func (t *text) end() bool { return !t.bad && t.rest == "" }

// reply is the answer to acquire and to one item of a renewal.
type reply struct {
	lease.Answer
	now   int64 // server time, ms
	stale bool  // the request came too late and was not executed
}

// parseReply reads the forms listed in lua/acquire.lua.
func parseReply(v any) (reply, error) {
	var r reply
	s, ok := v.(string)
	t := text{rest: s}
	kind := t.word()
	r.now = t.stamp()
	switch kind {
	case "G", "A":
		r.Status, r.Token, r.Left = lease.Granted, t.token(), t.span()
		if kind == "A" {
			r.Asked = &lease.Ask{Grace: t.span(), Reason: t.rest}
			t.rest = ""
		}
	case "Q":
		r.Status, r.Rank, r.Next = lease.Queued, int(t.number(lease.MaxWeight)), t.span()
	case "H":
		r.Status = lease.Held
		r.Holder = t.party(r.now)
	case "F":
		r.Status = lease.Full
	case "C":
		r.Status, r.Limit = lease.Conflict, int64(t.number(lease.MaxWeight))
	case "X":
		r.Status = lease.Gone
	case "U":
		r.Status = lease.Unknown
	case "S":
		r.stale = true
	default:
		t.bad = true
	}
	if !ok || !t.end() {
		return reply{}, malformed(v)
	}
	return r, nil
}

// party takes a whole claim: attempt, record and blob.
func (t *text) party(now int64) lease.Party {
	p := lease.Party{Attempt: t.attempt()}
	t.record(&p, now)
	t.blob(&p)
	return p
}

// record takes the nine fields of a record, see lua/steps.lua, and returns its state.
func (t *text) record(p *lease.Party, now int64) (state string) {
	state = t.word()
	t.bad = t.bad || (state != "q" && state != "h" && state != "r")
	p.Weight = int64(t.number(lease.MaxWeight))
	t.span() // ttl
	t.span() // window
	t.span() // delay
	p.Priority = t.priority()
	p.Left = time.Duration(max(0, t.at()-now)) * time.Millisecond
	p.Token = t.number(fence.MaxSequence)
	t.word() // proc
	p.Asked = state == "r"
	return state
}

// blob takes all that is left: owner and metadata, or nothing.
func (t *text) blob(p *lease.Party) {
	blob := t.rest
	t.rest = ""
	if blob == "" {
		return
	}
	_, blob, ok1 := strings.Cut(blob, ":") // number of the metadata
	size, blob, ok2 := strings.Cut(blob, ":")
	n, err := strconv.Atoi(size)
	if !ok1 || !ok2 || err != nil || n < 0 || n > len(blob) {
		t.bad = true
		return
	}
	p.Owner, p.Meta = blob[:n], []byte(blob[n:])
}

// makeBlob is what party reads. Most claims of a lock have neither owner nor metadata and need none.
func makeBlob(owner string, meta []byte) any {
	if owner == "" && len(meta) == 0 {
		return argNone
	}
	return "0:" + strconv.Itoa(len(owner)) + ":" + owner + string(meta)
}

// parseState reads the reply of inspect.
func parseState(v any) (s lease.State, now int64, err error) {
	words, ok := parseWords(v)
	if !ok || len(words) < 3 || len(words)%3 != 0 {
		return lease.State{}, 0, malformed(v)
	}
	head := text{rest: words[0] + " " + words[1] + " " + words[2]}
	now = head.stamp()
	limit := int64(head.number(lease.MaxWeight))
	s.Waiting = int(head.number(lease.MaxWeight))
	s.Holders, s.Waiters, ok = parseClaims(words[3:], now)
	if !ok || !head.end() {
		return lease.State{}, 0, malformed(v)
	}
	slices.SortFunc(s.Holders, func(a, b lease.Party) int { return cmp.Compare(a.Token, b.Token) })
	if len(s.Holders)+len(s.Waiters) > 0 {
		s.Limit = limit
	}
	return s, now, nil
}

// parseSeats reads the reply of seats. next is "" after the last part.
func parseSeats(v any) (part []lease.Party, next string, now int64, err error) {
	words, ok := parseWords(v)
	if !ok || len(words)%3 != 2 {
		return nil, "", 0, malformed(v)
	}
	head := text{rest: words[0] + " " + words[1]}
	now = head.stamp()
	cursor := head.number(math.MaxUint64)
	part, _, ok = parseClaims(words[2:], now)
	if !ok || !head.end() {
		return nil, "", 0, malformed(v)
	}
	if cursor > 0 {
		next = strconv.FormatUint(cursor, 10)
	}
	return part, next, now, nil
}

// parseLook reads the reply of look. ends is negative if nobody is seated.
func parseLook(v any) (number uint64, ends time.Duration, now int64, err error) {
	words, ok := parseWords(v)
	if !ok || len(words) != 3 {
		return 0, 0, 0, malformed(v)
	}
	t := text{rest: words[0] + " " + words[1]}
	now, number = t.stamp(), t.number(math.MaxInt64)
	ends = -1
	if words[2] != "-1" {
		t.rest = words[2]
		ends = t.span()
	}
	if !t.end() {
		return 0, 0, 0, malformed(v)
	}
	return number, ends, now, nil
}

// parseWords takes a reply for a list of texts.
func parseWords(v any) (words []string, ok bool) {
	list, ok := v.([]any)
	words = make([]string, len(list))
	for i, e := range list {
		s, isText := e.(string)
		words[i], ok = s, ok && isText
	}
	return words, ok
}

// parseClaims reads claims, each an attempt, a record and a blob, and leaves out what has ended.
func parseClaims(words []string, now int64) (seated, waiting []lease.Party, ok bool) {
	ok = true
	for ; len(words) >= 3; words = words[3:] {
		if words[1] == "" {
			continue // in the queue without a record: evicted or skipped
		}
		p := lease.Party{Attempt: lease.Attempt(words[0])}
		t, blob := text{rest: words[1]}, text{rest: words[2]}
		state := t.record(&p, now)
		blob.blob(&p)
		ok = ok && t.end() && blob.end()
		switch {
		case p.Left == 0: // has ended
		case state == "q":
			waiting = append(waiting, p)
		default:
			seated = append(seated, p)
		}
	}
	return seated, waiting, ok
}

// parseReleased reads the reply of release. tombstone is the server's error if it could not be
// written.
func parseReleased(v any) (was lease.Released, now int64, tombstone string, err error) {
	s, isText := v.(string)
	t := text{rest: s}
	switch t.word() {
	case "H":
		was = lease.WasHeld
	case "L":
		was = lease.WasLapsed
	case "W":
		was = lease.WasWaiting
	case "N":
		was = lease.WasNothing
	default:
		t.bad = true
	}
	now = t.stamp()
	tombstone, failed := strings.CutPrefix(t.rest, "!")
	if !isText || t.bad || (tombstone != "" && !failed) {
		return 0, 0, "", malformed(v)
	}
	return was, now, tombstone, nil
}

// parseFound reads the reply of revoke.
func parseFound(v any) (found bool, now int64, err error) {
	s, ok := v.(string)
	t := text{rest: s}
	kind := t.word()
	now = t.stamp()
	if !ok || !t.end() || (kind != "Y" && kind != "N") {
		return false, 0, malformed(v)
	}
	return kind == "Y", now, nil
}

// parseReplies reads the answers to acquire_all: at least one and at most n.
func parseReplies(v any, n int) ([]reply, error) {
	list, _ := v.([]any)
	if len(list) == 0 || len(list) > n {
		return nil, malformed(v)
	}
	replies := make([]reply, len(list))
	for i, e := range list {
		var err error
		if replies[i], err = parseReply(e); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

// parseTime reads the answer to TIME as milliseconds since 1970.
func parseTime(v any) (int64, error) {
	parts, _ := v.([]any)
	if len(parts) != 2 {
		return 0, malformed(v)
	}
	sec, ok1 := parts[0].(string)
	micro, ok2 := parts[1].(string)
	t := text{rest: sec + " " + micro}
	now := t.stamp()
	if !ok1 || !ok2 || !t.end() {
		return 0, malformed(v)
	}
	return now, nil
}
