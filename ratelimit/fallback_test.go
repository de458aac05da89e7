package ratelimit_test

import (
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/ratelimit"
)

// A process has a unit at least of a limit that is shared out, however small its share is.
func TestShareIsAUnitAtLeast(t *testing.T) {
	for _, a := range algorithms {
		o := &ratelimit.Options{Share: 0.01, Hooks: &ratelimit.Hooks{}}
		bubble(t, o, func(t *testing.T, be *memorybackend.Backend, l *ratelimit.Limiter) {
			be.Control().FailNext(1<<20, nil)
			for i := range 3 {
				if d := allow(t, l, 1); d.Allowed != (i == 0) || d.Source != ratelimit.FromFallback || d.Limit != "l" {
					t.Errorf("%v: call %d: %+v", a, i, d)
				}
			}
		}, ratelimit.Limit{Name: "l", N: 3, Per: time.Hour, Algorithm: a, Down: ratelimit.Share})
	}
}
