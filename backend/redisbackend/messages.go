package redisbackend

import (
	"math"

	"github.com/concord-go/concord/lease"
)

// message is what is published to the channel of a backend object:
//
//	G att token end now               the waiting claim was seated
//	A att token deadline now reason   the holder is asked to leave
//	R att token now reason            the seat was ended from outside
//
// The reason is everything to the end and may hold any bytes.
type message struct {
	kind    lease.EventKind
	attempt lease.Attempt
	token   uint64
	end     int64 // Granted: of the validity; Asked: of the grace
	now     int64 // when it was sent
	reason  string
}

func parseMessage(s string) (m message, ok bool) {
	t := text{rest: s}
	kind := t.word()
	m.attempt, m.token = t.attempt(), t.token()
	switch kind {
	case "G":
		m.kind, m.end, m.now = lease.EventGranted, t.at(), t.at()
	case "A":
		m.kind, m.end, m.now = lease.EventAsked, t.at(), t.at()
		m.reason, t.rest = t.rest, ""
	case "R":
		m.kind, m.now = lease.EventRevoked, t.at()
		m.reason, t.rest = t.rest, ""
	default:
		t.bad = true
	}
	return m, t.end()
}

// parseChange reads a change of an announced key and its number:
//
//	S token number att weight priority blob   a claim was granted
//	M token number att weight priority blob   its metadata was replaced
//	E token number                            its seat ended
func parseChange(s string) (c lease.Change, number uint64, ok bool) {
	t := text{rest: s}
	switch t.word() {
	case "S":
		c.Kind = lease.ChangeSeated
	case "M":
		c.Kind = lease.ChangeMeta
	case "E":
		c.Kind = lease.ChangeEnded
	default:
		t.bad = true
	}
	p := &c.Party
	p.Token, number = t.token(), t.number(math.MaxInt64)
	t.bad = t.bad || number == 0
	if c.Kind != lease.ChangeEnded {
		p.Attempt, p.Weight, p.Priority = t.attempt(), int64(t.number(lease.MaxWeight)), t.priority()
		t.blob(p)
	}
	return c, number, t.end()
}
