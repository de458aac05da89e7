package etcdbackend

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

// ErrInvalid is matched by every [*InvalidError].
var ErrInvalid = errors.New("etcdbackend: invalid argument")

// InvalidError reports an argument or option that was refused before anything was sent. It
// matches [ErrInvalid].
type InvalidError struct {
	Field   string // the argument or option
	Problem string // what it must be, with the limit
}

// Error names the field and the limit.
func (e *InvalidError) Error() string { return "etcdbackend: " + e.Field + " " + e.Problem }

// Is matches [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// errMalformed is a value under our prefix that no version of this package writes.
var errMalformed = errors.New("malformed value")

func malformed(value []byte) error { return fmt.Errorf("%w: %.200q", errMalformed, value) }

// errUnsettled is a claim whose etcd lease ended at every try while it was being made.
var errUnsettled = errors.New("etcd leases end as fast as they are made")

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), lease.ErrUnsupported)
}

// opError is what every method of the ports returns: the failed verb around the error of the
// client library, which errors.As and errors.Is reach.
type opError struct {
	verb        string
	unavailable bool // asking again may help
	err         error
}

func (e *opError) Error() string { return "etcdbackend: " + e.verb + ": " + e.err.Error() }

func (e *opError) Unwrap() error { return e.err }

// Is matches the conditions of the packages whose ports they are: unavailable when asking again may
// help, and closed.
func (e *opError) Is(target error) bool {
	switch target {
	case lease.ErrUnavailable, ratelimit.ErrUnavailable:
		return e.unavailable
	case ratelimit.ErrClosed:
		return errors.Is(e.err, lease.ErrClosed)
	}
	return false
}

// fail is the one place where errors are wrapped and sorted. After the end of ctx the result also
// matches the error of ctx, whatever the client library made of it.
func fail(ctx context.Context, verb string, err error) error {
	if done := ctx.Err(); done != nil && !errors.Is(err, done) {
		err = fmt.Errorf("%w: %w", done, err)
	}
	return &opError{verb: verb, unavailable: temporary(err), err: err}
}

// final are the codes after which asking again does not help. Of the others Unavailable is a
// server without a leader, stopping, or not reached; ResourceExhausted one that has too many
// requests or no space left; Unknown, Internal and Aborted come from the way there.
var final = map[codes.Code]bool{
	codes.InvalidArgument:    true, // a request too large, with too many operations, or with a key twice
	codes.NotFound:           true,
	codes.AlreadyExists:      true,
	codes.PermissionDenied:   true,
	codes.FailedPrecondition: true,
	codes.OutOfRange:         true, // compacted
	codes.Unimplemented:      true,
	codes.DataLoss:           true,
	codes.Unauthenticated:    true,
}

// temporary says whether asking again may help.
func temporary(err error) bool {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.Is(err, lease.ErrClosed), errors.Is(err, errMalformed), errors.Is(err, fence.ErrFenced),
		errors.Is(err, lease.ErrUnsupported), errors.Is(err, lease.ErrInvalid), errors.Is(err, fence.ErrInvalid),
		errors.Is(err, ErrInvalid):
		return false
	}
	code, known := codeOf(err)
	if known && code == codes.Canceled { // not by our ctx: the client was closed
		return false
	}
	return !final[code]
}

// codeOf returns the code of an error of the client, whichever of its two forms it has.
func codeOf(err error) (codes.Code, bool) {
	var server rpctypes.EtcdError
	if errors.As(err, &server) {
		return server.Code(), true
	}
	var transport interface{ GRPCStatus() *status.Status }
	if errors.As(err, &transport) {
		return transport.GRPCStatus().Code(), true
	}
	return codes.Unknown, false
}

// isLeaseGone says that the etcd lease of a request has ended.
func isLeaseGone(err error) bool { return errors.Is(err, rpctypes.ErrLeaseNotFound) }
