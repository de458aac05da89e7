package concordhttp

import (
	"context"

	"github.com/concord-go/concord/fence"
)

// What comes in and what goes out are kept apart: a token that was received is one of a resource of
// this server, and must not go on to another one by itself.
type (
	outgoing struct{}
	incoming struct{}
)

// WithToken returns a context whose requests a [Transport] sends with token. resource is what the
// server calls the thing that the token's lock protects. A second call replaces the first: a request
// has one token.
//
// An invalid resource or token is an error of the request.
func WithToken(ctx context.Context, resource string, token fence.Token) context.Context {
	return context.WithValue(ctx, outgoing{}, claim{resource, token})
}

// TokenFrom returns the resource and the token of a request that has passed a [Fence], and false if
// it had none. A handler gives them to the guard of what it writes.
func TokenFrom(ctx context.Context) (resource string, token fence.Token, ok bool) {
	c, ok := ctx.Value(incoming{}).(claim)
	return c.resource, c.token, ok
}
