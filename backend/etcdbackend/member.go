package etcdbackend

import (
	"fmt"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/concord-go/concord/lease"
)

// member is one key in the line of a key, read from its name:
//
//	<slot>~<weight>~<limit>~<ttl>                     a claim
//	^<epoch>~<limit>~<slot>~<weight>~<limit>~<ttl>    a claim of a later epoch than 0
//	<slot>~!                                          a seat key: the claim in the slot has the seat
//
// All that the rule needs stands in the name: ranges need no values, and an event that tells of a
// deletion carries nothing but the name. The ttl is in seconds, and marks follow it: d<seconds> is
// the lock-delay, p<priority+512> a priority other than 0, a says that observers are told of the
// claim, f<revision> that all claims up to that one were seated when this one came, which changed the
// limit or the order, and r is explained here. Marks that are not known are passed over.
//
// A claim that weighs more than 1 is two keys, one of weight 1 and, with the mark r, the rest. A seat
// is lowered by the deletion of its rest.
//
// A claim with a lock-delay has a shade of each of these keys, whose slot ends with "+". It is on a
// lease that lives longer by the delay, and counts when the key itself has gone.
//
// The epoch is padded, so that the claims of the latest one are the last in the order of names. A
// seat key comes before the claim that it is about in that order, and with it among the deletions of
// one revision: who hears that the claim has gone knows already that it had the seat.
type member struct {
	name     string
	slot     string
	weight   int64
	limit    int64
	epoch    int64
	ttl      int64 // seconds, when it was made
	delay    int64 // seconds
	floor    int64
	priority int
	announce bool
	rest     bool
	shade    bool
	chair    bool  // a seat key
	seat     int64 // revision of its seat key, where that was read with it; 0 = it has none
	rev      int64 // create revision: the order of the line, and the token
}

// epochEnd is behind the names of all claims of later epochs than 0.
const epochEnd = "_"

// ofEpoch is the beginning of the names of all claims of an epoch after 0.
func ofEpoch(line string, epoch int64) string { return line + fmt.Sprintf("^%019d~", epoch) }

// ofLimit is the beginning of the names of those that have a certain limit.
func ofLimit(line string, epoch, limit int64) string {
	return ofEpoch(line, epoch) + fmt.Sprintf("%010d~", limit)
}

// seatOf is the beginning of the names of a claim, whatever its weight and ttl.
func seatOf(line, slot string, epoch, limit int64) string {
	if epoch > 0 {
		line = ofLimit(line, epoch, limit)
	}
	return line + slot + "~"
}

// shadeOf is the beginning of the names of the shades of a claim, given that of the claim.
func shadeOf(seat string) string { return strings.TrimSuffix(seat, "~") + "+~" }

// chairOf is the name of the seat key of a claim, given the beginning of the claim's names.
func chairOf(seat string) string { return seat + "!" }

// nameOf is the name of a key of a claim, given the beginning of the claim's names.
func (m *member) nameOf(seat string) string {
	if m.shade {
		seat = shadeOf(seat)
	}
	b := make([]byte, 0, len(seat)+48)
	b = append(b, seat...)
	b = strconv.AppendInt(b, m.weight, 10)
	b = append(b, '~')
	b = strconv.AppendInt(b, m.limit, 10)
	b = append(b, '~')
	b = strconv.AppendInt(b, m.ttl, 10)
	if m.delay > 0 {
		b = strconv.AppendInt(append(b, 'd'), m.delay, 10)
	}
	if m.floor > 0 {
		b = strconv.AppendInt(append(b, 'f'), m.floor, 10)
	}
	if m.priority != 0 {
		b = strconv.AppendInt(append(b, 'p'), int64(m.priority-lease.MinPriority), 10)
	}
	if m.announce {
		b = append(b, 'a')
	}
	if m.rest {
		b = append(b, 'r')
	}
	return string(b)
}

// parts are the keys of a claim of a certain weight and delay, whose first one is like first.
func (m *member) parts(weight int64) []member {
	first := *m
	first.weight, first.rest, first.shade = min(weight, 1), false, false
	list := append(make([]member, 0, 4), first)
	if weight > 1 {
		rest := first
		rest.weight, rest.rest = weight-1, true
		list = append(list, rest)
	}
	if m.delay > 0 {
		for _, m := range list {
			m.shade = true
			list = append(list, m)
		}
	}
	return list
}

// parseMember reads a name. What is not a claim is not ok.
func parseMember(name string, rev int64) (m member, ok bool) {
	m.name, m.rev = name, rev
	_, text := cut(name)
	if text == "" || isBell(text) {
		return member{}, false
	}
	if text[0] == '^' {
		var epoch, twice string
		var ok1, ok2 bool
		epoch, text, ok1 = strings.Cut(text[1:], "~")
		twice, text, ok2 = strings.Cut(text, "~")
		if !ok1 || !ok2 || !number(epoch, &m.epoch) || m.epoch == 0 || len(twice) == 0 {
			return member{}, false
		}
	}
	slot, text, ok1 := strings.Cut(text, "~")
	if text == "!" {
		m.slot, m.limit, m.chair = slot, 1, true
		return m, slot != "" && m.epoch == 0
	}
	weight, text, ok2 := strings.Cut(text, "~")
	limit, text, ok3 := strings.Cut(text, "~")
	m.slot, m.shade = strings.CutSuffix(slot, "+")
	marks, _, _ := strings.Cut(text, "~") // further fields are of later versions
	ok = ok1 && ok2 && ok3 && m.slot != "" &&
		number(weight, &m.weight) && m.weight >= 1 && m.weight <= lease.MaxWeight &&
		number(limit, &m.limit) && m.limit <= lease.MaxWeight && m.parseMarks(marks)
	if !ok {
		return member{}, false
	}
	return m, true
}

// parseMarks reads the last field of a name: the ttl, then letters that may have a number.
func (m *member) parseMarks(text string) bool {
	digits := leadingDigits(text)
	if !number(text[:digits], &m.ttl) {
		return false
	}
	for text = text[digits:]; text != ""; {
		letter := text[0]
		if letter < 'a' || letter > 'z' {
			return false
		}
		digits = leadingDigits(text[1:])
		value, ok := int64(0), true
		if digits > 0 {
			ok = number(text[1:1+digits], &value)
		}
		text = text[1+digits:]
		switch letter {
		case 'd':
			m.delay = value
		case 'f':
			m.floor = value
		case 'p':
			m.priority = int(value) + lease.MinPriority
			ok = ok && digits > 0 && value <= lease.MaxPriority-lease.MinPriority
		case 'a':
			m.announce = true
		case 'r':
			m.rest = true
		}
		if !ok {
			return false
		}
	}
	return true
}

func leadingDigits(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}

// number reads a decimal number without a sign.
func number(s string, n *int64) bool {
	var err error
	*n, err = strconv.ParseInt(s, 10, 64)
	return err == nil && s[0] >= '0' && s[0] <= '9'
}

// ownOf reads the keys of one claim, of any revision but all of the same: the first key and the
// claim as one member of the whole weight.
func ownOf(kvs []*mvccpb.KeyValue) (first *mvccpb.KeyValue, m member) {
	var weight, seat int64
	for _, kv := range kvs {
		p, ok := parseMember(string(kv.Key), kv.CreateRevision)
		switch {
		case !ok || p.shade:
		case p.chair:
			seat = p.rev
		case p.rest:
			weight += p.weight
		default:
			first, m = kv, p
			weight += p.weight
		}
	}
	m.weight, m.seat = weight, seat
	return first, m
}
