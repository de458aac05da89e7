package election

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// Term is the number of a leader's time: larger than those of all terms before. It is a fencing
// token.
type Term = fence.Token

// Election is one candidate's part in the election of a name, and also serves those who only look
// on. Its methods may be called by several goroutines. The zero Election is not usable; make one
// with [New]. It must be closed.
type Election struct {
	name      string
	candidate Candidate
	opt       Options
	keeper    *claim.Keeper

	sick atomic.Bool // as it was last reported

	mu       sync.Mutex
	checking chan struct{} // closed when the health check that runs has returned, or nil
	closed   bool          // no more health checks
}

// New returns the Election of name on b, which stays the caller's. name has 1 to 480 bytes of any
// value. Nothing is sent before Run, Campaign, Leader or Observe.
//
// Arguments and options that are out of bounds are reported all at once, each as an
// [*InvalidError]; a priority on an engine without them is refused with [ErrUnsupported].
func New(b lease.Backend, name string, c Candidate, o *Options) (*Election, error) {
	errs := validate(name, &c)
	if b == nil || reflect.ValueOf(b).Kind() == reflect.Pointer && reflect.ValueOf(b).IsNil() {
		errs = append(errs, &InvalidError{Field: "backend", Problem: "must not be nil"})
		return nil, fmt.Errorf("election: new: %w", errors.Join(errs...))
	}
	capable := b.Capabilities()
	if c.Priority != 0 && !capable.Priority {
		errs = append(errs, fmt.Errorf("priority %d: %w", c.Priority, ErrUnsupported))
	}
	opt, err := o.withDefaults(capable)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("election: new: %w", err)
	}
	if opt.Hooks == nil {
		opt.Hooks = LogHooks(nil)
	}
	opt.Hooks = opt.Hooks.filled()
	c.Meta = append([]byte(nil), c.Meta...)
	return &Election{name: name, candidate: c, opt: opt, keeper: claim.New(b, opt.claimOptions(&c, capable))}, nil
}

func (e *Election) backend() lease.Backend { return e.keeper.Backend() }

// Close ends the term of this candidate with the cause [Closed], makes whoever waits return
// [ErrClosed], and returns when everything that was started has ended. If ctx ends before that, the
// error matches ctx's and says what was left. Further calls of Close wait again.
func (e *Election) Close(ctx context.Context) error {
	if err := e.keeper.Close(ctx); err != nil {
		return fmt.Errorf("election: close: %w", err)
	}
	e.mu.Lock()
	e.closed = true
	checked := e.checking
	e.mu.Unlock()
	if checked == nil {
		return nil
	}
	select {
	case <-checked:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("election: close: a health check has not returned: %w", ctx.Err())
	}
}
