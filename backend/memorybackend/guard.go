package memorybackend

import (
	"context"

	"github.com/concord-go/concord/fence"
)

// Guard is the model of fenced resources in this process. Each resource has a mark, the highest
// token it has seen, and refuses to work for a lower one. Resources are independent of each other.
//
// A Guard comes from [Backend.Guard] and may be used by several goroutines. The zero value is not
// usable. The faults of [Control] do not touch it: it stands for the resource, not for the engine.
type Guard struct{ b *Backend }

// Do raises the mark of resource to token, runs fn, and returns what fn returns. Nobody else
// works on the resource and no mark is raised while fn runs, so fn may read and write in any order.
//
// A token below the mark is refused with a [*fence.FencedError], an argument that no lock produces
// with a [*fence.InvalidError]; fn is not run then. Do waits for its turn until ctx ends; ctx does
// not interrupt fn. A token equal to the mark is accepted: one holder makes many writes. If fn
// panics the resource is free again, with the mark raised.
//
// Inside fn, do not call Do or Raise for the same resource: it waits for itself until ctx ends.
func (g *Guard) Do(ctx context.Context, resource string, token fence.Token, fn func() error) error {
	leave, err := g.enter(ctx, resource, token)
	if err != nil {
		return err
	}
	defer leave()
	return fn()
}

// Raise lifts the mark of resource to token, as [fence.Marks] says.
func (g *Guard) Raise(ctx context.Context, resource string, token fence.Token) error {
	return g.Do(ctx, resource, token, func() error { return nil })
}

func (g *Guard) enter(ctx context.Context, resource string, token fence.Token) (leave func(), err error) {
	if err := fence.Validate(resource, token); err != nil {
		return nil, err
	}
	return g.b.resources.enter(ctx, resource, token)
}
