package concordhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/concord-go/concord/fence"
)

// Fence refuses requests of holders that have lost their lock. Its methods may be called by several
// goroutines; all its handlers share their turns (FenceOptions.Serialize). The zero value is not
// usable; [NewFence] makes one. It has nothing to close.
type Fence struct {
	marks    fence.Marks
	resource func(*http.Request) (string, error)
	trust    func(*http.Request) bool
	opt      FenceOptions
	turns    turns
}

// NewFence returns a Fence that keeps its marks in marks, which should fail together with the data
// of the resources. resource tells which resource a request is about: the same name for all requests
// that change the same thing. trust tells which peers may send tokens; see [TrustAddresses] and
// [TrustNames]. All problems are reported at once, each as a [*fence.InvalidError].
func NewFence(marks fence.Marks, resource func(*http.Request) (string, error), trust func(*http.Request) bool, o *FenceOptions) (*Fence, error) {
	opt, err := o.withDefaults()
	errs := []error{err}
	need := func(ok bool, field string) {
		if !ok {
			errs = append(errs, &fence.InvalidError{Field: field, Problem: "must not be nil"})
		}
	}
	need(marks != nil, "marks")
	need(resource != nil, "resource")
	need(trust != nil, "trust")
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("concordhttp: new fence: %w", err)
	}
	return &Fence{marks: marks, resource: resource, trust: trust, opt: opt, turns: turns{all: make(map[string]*turn)}}, nil
}

// Handler returns a handler that raises the mark of the request's resource to the request's token and
// then runs next, which gets both with [TokenFrom]. If the mark is higher, or the token is not as it
// must be, next does not run; the package comment has the answers.
func (f *Fence) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.serve(w, r, f.opt.Optional, f.named, next)
	})
}

// RaiseHandler returns a handler that raises a mark and does nothing else, for [Raise]: POST, to any
// path the program gives it. The resource is the one that the request names. It answers 204 with
// the token.
func (f *Fence) RaiseHandler() http.Handler {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, token, ok := TokenFrom(r.Context()); ok {
			w.Header().Set(HeaderToken, token.String())
			w.WriteHeader(http.StatusNoContent)
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "a mark is raised with POST", http.StatusMethodNotAllowed)
			return
		}
		f.serve(w, r, false, func(*http.Request, claim) error { return nil }, answer)
	})
}

// named checks that the token is one of the resource that the request is about.
func (f *Fence) named(r *http.Request, c claim) error {
	resource, err := f.resource(r)
	if err != nil {
		return err
	}
	if resource != c.resource {
		return &fence.InvalidError{Field: HeaderResource, Problem: fmt.Sprintf("must be the resource of the request, %q", resource)}
	}
	return nil
}

// serve decides about a request and runs next, or refuses.
func (f *Fence) serve(w http.ResponseWriter, r *http.Request, optional bool, check func(*http.Request, claim) error, next http.Handler) {
	start := time.Now()
	i, leave := f.admit(r, optional, check)
	defer leave() // also when next panics
	i.Peer, i.Took = r.RemoteAddr, time.Since(start)
	f.opt.Hooks.Decided(r.Context(), i)
	switch i.Outcome {
	case Unfenced:
	case Passed:
		r = r.WithContext(context.WithValue(r.Context(), incoming{}, claim{i.Resource, i.Token}))
	default:
		refuse(w, i, f.opt.RetryAfter)
		return
	}
	next.ServeHTTP(w, r)
}

// admit raises the mark for r. The caller has its turn until it calls leave.
func (f *Fence) admit(r *http.Request, optional bool, check func(*http.Request, claim) error) (i Info, leave func()) {
	none := func() {}
	switch {
	case !carries(r.Header) && optional:
		return Info{Outcome: Unfenced}, none
	case !carries(r.Header):
		return Info{Outcome: Missing}, none
	case !f.trust(r): // before anything that the peer has sent is looked at
		return Info{Outcome: Untrusted}, none
	}
	c, err := read(r.Header)
	if err == nil {
		err = check(r, c)
	}
	i = Info{Outcome: Malformed, Resource: c.resource, Token: c.token, Err: err}
	if err != nil {
		return i, none
	}
	leave, i.Err = f.raise(r.Context(), c)
	var fenced *fence.FencedError
	switch {
	case i.Err == nil:
		i.Outcome = Passed
		return i, leave
	case errors.As(i.Err, &fenced):
		i.Outcome, i.Mark = FencedOut, fenced.Mark
	case !errors.Is(i.Err, fence.ErrInvalid): // that would be Malformed
		i.Outcome = Unavailable
	}
	return i, none
}

// raise waits for the turn, if there are turns, and raises the mark.
func (f *Fence) raise(ctx context.Context, c claim) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, f.opt.Timeout)
	defer cancel()
	leave = func() {}
	if f.opt.Serialize {
		if leave, err = f.turns.take(ctx, c.resource); err != nil {
			return nil, err
		}
	}
	if err := f.marks.Raise(ctx, c.resource, c.token); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}
