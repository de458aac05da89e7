package retry

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
)

// Attempt is one execution of the function of a call. It is a value; the zero value is of no use.
type Attempt struct {
	// Number counts from 1. Hedges count too.
	Number int

	ctx    context.Context // of the call: the key is looked up only when it is asked for
	hi, lo uint64
}

// Key names the call, in all its attempts: a server that gets it each time can tell a repetition
// from a second wish. It is what [WithKey] put into the context of the call, or else 128 random bits as 22
// characters of base64url.
//
// It is a method and not a field because a text costs memory, which a call that needs no key shall
// not pay.
func (a Attempt) Key() string {
	if key, ok := a.ctx.Value(keyOfCall{}).(string); ok {
		return key
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], a.hi)
	binary.BigEndian.PutUint64(id[8:], a.lo)
	return base64.RawURLEncoding.EncodeToString(id[:])
}

type (
	keyOfCall       struct{}
	numberOfAttempt struct{}
)

// WithKey gives the calls under ctx a key from outside, such as the one that came with a request or
// that of an outer call: retry.WithKey(ctx, a.Key()). It is meant for one operation: two different calls of
// the same operation under one key look like a repetition to the server.
func WithKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyOfCall{}, key)
}

// AttemptFrom returns which attempt of an outer call ctx belongs to. It travels in the context from the
// second attempt on, so 1 also stands for a context of no call at all.
func AttemptFrom(ctx context.Context) int {
	if number, ok := ctx.Value(numberOfAttempt{}).(int); ok {
		return number
	}
	return 1
}

// WithAttempt says which attempt of an outer call ctx belongs to: for servers that are told so by
// their clients. A number below 1 counts as 1.
func WithAttempt(ctx context.Context, number int) context.Context {
	return context.WithValue(ctx, numberOfAttempt{}, max(1, number))
}

// randomKey returns the 128 bits that a call has for its key: so many that no two calls share them. They
// are no secret.
func randomKey() (hi, lo uint64) { return rand.Uint64(), rand.Uint64() }

// sampled picks the calls of Do whose first attempt is timed: one of 64, as reading the clock twice
// costs more than all the rest of a call that goes well.
func (a Attempt) sampled() bool { return a.lo%64 == 0 }
