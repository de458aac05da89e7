package redisbackend

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

// ErrInvalid is matched by every [*InvalidError].
var ErrInvalid = errors.New("redisbackend: invalid argument")

// InvalidError reports an argument or option that was refused before anything was sent. It
// matches [ErrInvalid].
type InvalidError struct {
	Field   string // the argument or option
	Problem string // what it must be, with the limit
}

// Error names the field and the limit.
func (e *InvalidError) Error() string { return "redisbackend: " + e.Field + " " + e.Problem }

// Is matches [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// errMalformed is a reply that no version of our scripts gives.
var errMalformed = errors.New("malformed reply")

func malformed(reply any) error { return fmt.Errorf("%w: %.200q", errMalformed, fmt.Sprint(reply)) }

// errDiffers is a decision of the server that is not the one of [ratelimit.Policy.Decide]: a bug.
var errDiffers = errors.New("internal error: the script decided otherwise than the policy")

// errOvertaken is an op of a batch that was not executed, while a later one on its key was.
var errOvertaken = errors.New("not executed: the script or the key has just moved, and a later call for the key went first")

// errUnsettled is a state that others changed each time before it could be migrated.
var errUnsettled = errors.New("not executed: the state was changed again and again while its policy was changed over")

// errMoved ends a subscription that the server has cancelled.
var errMoved = errors.New("subscription cancelled: the slot has moved to another node")

// errStale is an acquire that the server refused twice because its deadline had passed on the
// server's clock.
var errStale = errors.New("request arrived after its deadline")

// notCluster is the answer of a single server to a question about its cluster.
const notCluster = "This instance has cluster support disabled"

// noTime is the answer of a server that has none of the commands we need.
const noTime = "unknown command 'time'"

// Errors of a client of the wrong kind.
var (
	errIsCluster  = errors.New("the server is a node of a cluster, which needs a cluster client (redis.NewClusterClient)")
	errNotCluster = errors.New("the server is not a node of a cluster and needs an ordinary client (redis.NewClient)")
	errNoData     = errors.New("the server keeps no data (a Sentinel is for redis.NewFailoverClient)")
	errNoPrimary  = errors.New("no Sentinel knows a primary of the name that the client was given")
)

// explain says what is wrong when the client does not fit the server. That Sentinels do not know a
// name comes as an absent value inside another error, and must not be taken for one of ours.
func (b *Backend) explain(err error) error {
	switch {
	case b.cluster == nil && (redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK")):
		return fmt.Errorf("%w: %w", errIsCluster, err)
	case b.cluster != nil && redis.HasErrorPrefix(err, notCluster):
		return fmt.Errorf("%w: %w", errNotCluster, err)
	case redis.HasErrorPrefix(err, noTime):
		return fmt.Errorf("%w: %w", errNoData, err)
	case isNil(err) && err.Error() != redis.Nil.Error():
		return fmt.Errorf("%w: %s", errNoPrimary, err.Error())
	}
	return err
}

// serverError is an error that the server reported inside a reply.
type serverError string

func (e serverError) Error() string { return string(e) }

// RedisError marks it as one of redis.Error.
func (serverError) RedisError() {}

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

func (e *opError) Error() string { return "redisbackend: " + e.verb + ": " + e.err.Error() }

func (e *opError) Unwrap() error { return e.err }

// Is matches the conditions of the packages whose ports they are: unavailable when asking again may help,
// and closed.
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

func isNil(err error) bool { return errors.Is(err, redis.Nil) }

// codes are the answers by which a server says that it cannot serve now.
var codes = []string{
	"LOADING ", "READONLY ", "NOREPLICAS ", "MISCONF ", "CLUSTERDOWN ", "TRYAGAIN ", "BUSY ", "OOM ",
	"MASTERDOWN ", "MOVED ", "ASK ", "ERR max number of clients reached",
}

// temporary says whether asking again may help. Of the server's errors only those of the table
// may pass. Everything else comes from the way there (network, pool, ctx), unless it is the
// library's last word.
func temporary(err error) bool {
	var server redis.Error
	if errors.Is(err, errIsCluster) || errors.Is(err, errNoPrimary) {
		return false
	}
	if errors.As(err, &server) {
		for _, code := range codes {
			if strings.HasPrefix(server.Error(), code) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.Is(err, redis.ErrClosed), errors.Is(err, lease.ErrClosed), errors.Is(err, errMalformed), errors.Is(err, errDiffers),
		errors.Is(err, lease.ErrUnsupported), errors.Is(err, lease.ErrInvalid), errors.Is(err, ErrInvalid):
		return false
	}
	return !strings.HasPrefix(err.Error(), "redis: can't ") // cannot encode an argument or parse a reply
}
