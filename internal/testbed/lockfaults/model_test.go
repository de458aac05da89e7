package lockfaults

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/concord-go/concord/fence"
)

// The model is a fenced lock: at most one holder, and each later grant has a larger token. What
// clients saw is turned into operations on it, each of which took effect at one instant between
// its call and its return.
//
// An acquire with unknown outcome adds no operation. Either it was never granted, or it was, and
// was cleaned up again; nothing tells the two apart, except a refusal or a revocation that names a
// token which no client got. Such a token must still have its place between the others.
type action int

const (
	acquired   action = iota // under token
	released                 // the lease with token was held until then
	ended                    // by release or lapse, or had ended before
	gone                     // the lease with token had ended before
	refused                  // a try found the lease with token
	revoked                  // the lease with token was ended
	notRevoked               // there was no lease with token
)

func (a action) String() string {
	return [...]string{"acquired", "released", "ended", "gone", "refused", "revoked", "not revoked"}[a]
}

type operation struct {
	action action
	token  fence.Token
	known  bool // token was got by a client
}

// free is the holder of a free lock.
const free fence.Token = 0

type fencedLock struct {
	last   fence.Token // the largest that is known of
	holder fence.Token
}

// step returns the state after an operation, and whether it is possible at all.
func (s fencedLock) step(o operation) (bool, fencedLock) {
	if !o.known && o.action != notRevoked {
		// Seen by others only: it was granted and ended unseen, between two known grants.
		return s.holder == free && o.token >= s.last, fencedLock{last: max(s.last, o.token)}
	}
	switch o.action {
	case acquired:
		return s.holder == free && o.token > s.last, fencedLock{last: o.token, holder: o.token}
	case released, revoked:
		return s.holder == o.token, fencedLock{last: s.last}
	case ended:
		if s.holder == o.token {
			s.holder = free
		}
		return true, s
	case refused:
		return s.holder == o.token, s
	case gone, notRevoked:
		return s.holder != o.token, s
	}
	return false, s
}

var model = porcupine.Model{
	Init: func() any { return fencedLock{} },
	Step: func(state, input, _ any) (bool, any) { return state.(fencedLock).step(input.(operation)) },
	DescribeOperation: func(input, _ any) string {
		o := input.(operation)
		return fmt.Sprint(o.action, " ", o.token)
	},
}

const (
	open = math.MaxInt64 / 2 // the return of what nobody saw the end of

	maxClients    = 8
	maxOperations = 2000 // of one key; more take too long to check
	checkTime     = 20 * time.Second
)

// check compares the history of one key with the model.
func check(history []porcupine.Operation) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model, history, checkTime)
}

// took is an operation by client with the instants of its call and return.
func took(client int, call, ret int64, o operation) porcupine.Operation {
	return porcupine.Operation{ClientId: client, Input: o, Call: call, Return: ret}
}

// sound is a history in which clients take turns. Calls and returns overlap, as they do with
// waiting clients: everybody asks at the beginning of the turn before.
func sound(turns int) []porcupine.Operation {
	var h []porcupine.Operation
	for i := range turns {
		token, at := fence.Token(100+10*i), int64(i)*100
		h = append(h,
			took(i%maxClients, at-100, at+10, operation{acquired, token, true}),
			took((i+1)%maxClients, at+20, at+30, operation{refused, token, true}),
			took(i%maxClients, at+50, at+60, operation{released, token, true}),
		)
	}
	return h
}

func TestCheckerRefusesDoctoredHistories(t *testing.T) {
	const turns, at = 300, 3 * 150 // at is an acquire in the middle
	if r := check(sound(turns)); r != porcupine.Ok {
		t.Fatalf("a sound history is %v", r)
	}
	for name, doctor := range map[string]func(h []porcupine.Operation){
		"two holders at once":        func(h []porcupine.Operation) { h[at].Call, h[at].Return = h[at-1].Call-30, h[at-1].Call-20 },
		"two holders for ever":       func(h []porcupine.Operation) { h[at-1].Input = operation{gone, h[at-1].Input.(operation).token, true} },
		"an equal token":             func(h []porcupine.Operation) { retoken(h[at:at+3], h[at-3].Input.(operation).token) },
		"a token that goes back":     func(h []porcupine.Operation) { retoken(h[at:at+3], h[at-3].Input.(operation).token-5) },
		"a refusal by a free lock":   func(h []porcupine.Operation) { h[at+1].Call, h[at+1].Return = h[at+2].Return+1, h[at+3].Return-1 },
		"a refusal by an old holder": func(h []porcupine.Operation) { h[at+1].Input = h[at-2].Input },
		"a late grant with old token": func(h []porcupine.Operation) {
			h[at+1].Input = operation{refused, h[at].Input.(operation).token - 15, false}
		},
		"a release of a lost lock": func(h []porcupine.Operation) {
			h[at+1].Input = operation{revoked, h[at].Input.(operation).token, true}
		},
		"a revocation that did nothing": func(h []porcupine.Operation) {
			h[at+1].Input = operation{revoked, h[at].Input.(operation).token, true}
			h[at+2].Input = operation{ended, h[at].Input.(operation).token, true}
			h[at+2].Call += 500
			h[at+2].Return += 500
			h[at+4].Call, h[at+4].Return = h[at+1].Return+1, h[at+2].Return // refused by the next one
			h[at+4].Input = operation{refused, h[at].Input.(operation).token, true}
		},
	} {
		h := slices.Clone(sound(turns))
		doctor(h)
		if r := check(h); r != porcupine.Illegal {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// retoken gives the operations of one lease another token.
func retoken(h []porcupine.Operation, token fence.Token) {
	for i := range h {
		h[i].Input = operation{h[i].Input.(operation).action, token, true}
	}
}
