package backendtest

import (
	"fmt"
	"slices"

	"github.com/concord-go/concord/lease"
)

// modelKey is the rule of the protocol over two slices, without time: a claim is granted when the
// weights of the seats and of all who wait ahead of it, plus its own, are at most the limit.
type modelKey struct {
	limit  int64
	seats  []modelClaim
	queue  []modelClaim // by priority, then by age
	grants []modelGrant // all there ever were, in order
}

type modelClaim struct {
	id       int
	weight   int64
	priority int
	grant    int // seated: its place in grants
}

// modelGrant carries the engine's token, zero until an answer tells it.
type modelGrant struct {
	id    int
	token uint64
}

func byID(id int) func(modelClaim) bool { return func(c modelClaim) bool { return c.id == id } }

func (m *modelKey) rank(id int) int { return slices.IndexFunc(m.queue, byID(id)) }

// status is what a renewal must answer.
func (m *modelKey) status(id int) lease.Status {
	switch {
	case slices.ContainsFunc(m.seats, byID(id)):
		return lease.Granted
	case m.rank(id) >= 0:
		return lease.Queued
	}
	return lease.Unknown
}

// acquire is what an Acquire does and must answer.
func (m *modelKey) acquire(c modelClaim, queue bool) lease.Status {
	if now := m.status(c.id); now != lease.Unknown {
		return now
	}
	if !queue && (len(m.queue) > 0 || m.used()+c.weight > m.limit) {
		return lease.Held
	}
	at := slices.IndexFunc(m.queue, func(other modelClaim) bool { return other.priority < c.priority })
	if at < 0 {
		at = len(m.queue)
	}
	m.queue = slices.Insert(m.queue, at, c)
	m.advance()
	return m.status(c.id)
}

// release ends a claim, seated or waiting, and grants to the waiter named to first, if there is one.
func (m *modelKey) release(id, to int) {
	m.seats = slices.DeleteFunc(m.seats, byID(id))
	m.queue = slices.DeleteFunc(m.queue, byID(id))
	if at := m.rank(to); at >= 0 {
		chosen := m.queue[at]
		m.queue = slices.Insert(slices.Delete(m.queue, at, at+1), 0, chosen)
	}
	m.advance()
}

func (m *modelKey) used() int64 {
	var sum int64
	for _, c := range m.seats {
		sum += c.weight
	}
	return sum
}

func (m *modelKey) advance() {
	for len(m.queue) > 0 && m.used()+m.queue[0].weight <= m.limit {
		c := m.queue[0]
		c.grant = len(m.grants)
		m.grants = append(m.grants, modelGrant{id: c.id})
		m.seats = append(m.seats, c)
		m.queue = m.queue[1:]
	}
}

// learn notes the token of a seat and says what is wrong with it, if anything.
func (m *modelKey) learn(id int, token uint64) string {
	at := m.seats[slices.IndexFunc(m.seats, byID(id))].grant
	for i, g := range m.grants {
		switch {
		case g.token == 0:
		case i < at && g.token >= token:
			return fmt.Sprintf("grant %d has token %d, the earlier grant %d has %d", at, token, i, g.token)
		case i == at && g.token != token:
			return fmt.Sprintf("the token of a grant changed from %d to %d", g.token, token)
		case i > at && g.token <= token:
			return fmt.Sprintf("grant %d has token %d, the later grant %d has %d", at, token, i, g.token)
		}
	}
	m.grants[at].token = token
	return ""
}

// token is that of the last grant of a claim, also when it has ended; zero if it is not known.
func (m *modelKey) token(id int) uint64 {
	for _, g := range slices.Backward(m.grants) {
		if g.id == id {
			return g.token
		}
	}
	return 0
}
