package concordgrpc

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/membership"
)

// InvalidError names the argument or option that was refused and its limit. It matches
// [membership.ErrInvalid].
type InvalidError = membership.InvalidError

// problems collects what is wrong with arguments and options.
type problems []error

func (p *problems) check(ok bool, field, format string, args ...any) {
	if !ok {
		*p = append(*p, &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
}

// err returns all problems under the name of what was to be done, or nil.
func (p problems) err(op string) error {
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("concordgrpc: %s: %w", op, errors.Join(p...))
}

// withStatus gives an error a status, which errors of calls have.
func withStatus(code codes.Code, err error) error {
	return &statusError{err, status.New(code, err.Error())}
}

type statusError struct {
	error
	status *status.Status
}

func (e *statusError) Unwrap() error              { return e.error }
func (e *statusError) GRPCStatus() *status.Status { return e.status }
