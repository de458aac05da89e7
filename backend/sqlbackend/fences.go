package sqlbackend

import (
	"context"

	"github.com/concord-go/concord/fence"
)

// marks is the port of package fence. A mark is a row.
type marks struct{ b *Backend }

var _ fence.Marks = (*marks)(nil)

// Raise implements [fence.Marks].
func (m *marks) Raise(ctx context.Context, resource string, token fence.Token) error {
	return m.b.guard.raise(ctx, "raise", resource, token)
}

// Mark implements [fence.Marks].
func (m *marks) Mark(ctx context.Context, resource string) (fence.Token, error) {
	const verb = "mark"
	if err := fence.ValidateResource(resource); err != nil {
		return 0, m.b.fail(ctx, verb, err)
	}
	return await(ctx, m.b, verb, func() (fence.Token, error) {
		n, err := m.b.engine.mark(ctx, m.b.db, resource)
		if err != nil || n == 0 {
			return 0, err
		}
		return tokenOf(n)
	})
}

// raise lifts the mark in one round trip, or refuses.
func (b *Backend) raise(ctx context.Context, q querier, resource string, token fence.Token) error {
	n, err := b.engine.raise(ctx, q, resource, int64(token))
	if err != nil {
		return err
	}
	mark, err := tokenOf(n)
	switch {
	case err != nil:
		return err
	case mark < token:
		return errMalformed
	case mark > token:
		return &fence.FencedError{Resource: resource, Token: token, Mark: mark}
	}
	return nil
}

func tokenOf(n int64) (fence.Token, error) {
	t := fence.Token(n)
	if t.Validate() != nil {
		return 0, errMalformed
	}
	return t, nil
}
