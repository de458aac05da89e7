package concordotel

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
)

// The attributes. Each has few values, which are those below and the kinds and causes of package
// lock.
const (
	kindKey      = attribute.Key("concord.lock.kind")
	tryKey       = attribute.Key("concord.lock.try")
	keysKey      = attribute.Key("concord.lock.keys") // of spans only
	endKey       = attribute.Key("concord.lock.end")
	outcomeKey   = attribute.Key("concord.outcome")
	operationKey = attribute.Key("concord.operation")
)

// outcome is how an operation ended.
type outcome string

const (
	granted     outcome = "granted"
	held        outcome = "held"
	queueFull   outcome = "queue_full"
	conflict    outcome = "conflict"
	released    outcome = "released"
	notHeld     outcome = "not_held"
	renewed     outcome = "renewed"
	confirmed   outcome = "confirmed"
	raised      outcome = "raised"
	fencedOut   outcome = "fenced_out"
	invalid     outcome = "invalid"
	cancelled   outcome = "cancelled"
	closed      outcome = "closed"
	uncertain   outcome = "uncertain"
	unavailable outcome = "unavailable"
	failed      outcome = "failed"
)

// outcomes are in the order in which they are looked for: an acquire that was cancelled over an
// unanswered request is uncertain first.
var outcomes = []struct {
	err error
	is  outcome
}{
	{fence.ErrFenced, fencedOut},
	{lock.ErrUncertain, uncertain},
	{lock.ErrUnavailable, unavailable},
	{lock.ErrHeld, held},
	{lock.ErrQueueFull, queueFull},
	{lock.ErrConflict, conflict},
	{lock.ErrNotHeld, notHeld},
	{lock.ErrClosed, closed},
	{lock.ErrInvalid, invalid},
	{fence.ErrInvalid, invalid},
	{context.Canceled, cancelled},
	{context.DeadlineExceeded, cancelled},
}

// outcomeOf returns what an operation ended in, which is good if err is nil.
func outcomeOf(err error, good outcome) outcome {
	if err == nil {
		return good
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.is
		}
	}
	return failed
}

func (o outcome) attribute() attribute.KeyValue { return outcomeKey.String(string(o)) }

// mark makes the span say so if the operation failed. The text of the error stays out: it names the
// key.
func (o outcome) mark(span trace.Span) {
	span.SetAttributes(o.attribute())
	switch o {
	case uncertain, unavailable, failed:
		span.SetStatus(codes.Error, string(o))
	}
}

// end is how a lease ended: released, or the cause of its loss.
func end(err error) attribute.KeyValue {
	var lost *lock.LostError
	switch {
	case err == nil:
		return endKey.String(string(released))
	case errors.As(err, &lost):
		return endKey.String(strings.ReplaceAll(lost.Cause.String(), " ", "_"))
	}
	return endKey.String(string(failed))
}
