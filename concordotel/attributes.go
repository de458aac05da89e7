package concordotel

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
	"github.com/concord-go/concord/membership"
	"github.com/concord-go/concord/ratelimit"
)

// The attributes. Each has few values, which are those below, the kinds of package lock, the causes
// of a loss, the sources of a decision, the classes of package retry, the states, modes and reasons of
// package breaker, and names that the program has given.
const (
	nameKey        = attribute.Key("concord.name")
	outcomeKey     = attribute.Key("concord.outcome")
	operationKey   = attribute.Key("concord.operation")
	kindKey        = attribute.Key("concord.lock.kind")
	tryKey         = attribute.Key("concord.lock.try")
	keysKey        = attribute.Key("concord.lock.keys") // of spans only
	lockEndKey     = attribute.Key("concord.lock.end")
	electionEndKey = attribute.Key("concord.election.end")
	healthyKey     = attribute.Key("concord.election.healthy")
	stayEndKey     = attribute.Key("concord.membership.end")
	againKey       = attribute.Key("concord.membership.again")
	sourceKey      = attribute.Key("concord.ratelimit.source")
	limitKey       = attribute.Key("concord.ratelimit.limit")
	callEndKey     = attribute.Key("concord.retry.end")
	classKey       = attribute.Key("concord.retry.class")
	attemptKey     = attribute.Key("concord.retry.attempt") // of events only
	hedgedKey      = attribute.Key("concord.retry.hedged")  // of events only
	stateKey       = attribute.Key("concord.breaker.state")
	fromKey        = attribute.Key("concord.breaker.from")
	toKey          = attribute.Key("concord.breaker.to")
	modeKey        = attribute.Key("concord.breaker.mode")
	reasonKey      = attribute.Key("concord.breaker.reason")
	probeKey       = attribute.Key("concord.breaker.probe")
	slowKey        = attribute.Key("concord.breaker.slow")
	keyKey         = attribute.Key("concord.breaker.key")
)

// The values where there is nothing to name, and where it was not known in advance.
const (
	nothing = "none"
	other   = "other"
)

// labels are the attributes that are added to those of each measurement and span.
type labels []attribute.KeyValue

func (l labels) with(attributes ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(attributes, l...)...))
}

func (l labels) on(attributes ...attribute.KeyValue) trace.SpanStartEventOption {
	return trace.WithAttributes(append(attributes, l...)...)
}

// record and add return the attributes as options that are kept: what happens with every call shall
// cost no memory.
func (l labels) record(attributes ...attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{l.with(attributes...)}
}

func (l labels) add(attributes ...attribute.KeyValue) []metric.AddOption {
	return []metric.AddOption{l.with(attributes...)}
}

// note puts an event on the span of ctx, if anybody records it.
func (l labels) note(ctx context.Context, event string, attributes ...attribute.KeyValue) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent(event, l.on(attributes...))
	}
}

// snake makes the value of an attribute of a name that is for people.
var snake = strings.NewReplacer(" ", "_", "-", "_").Replace

// outcome is how an operation ended.
type outcome string

const (
	granted     outcome = "granted"
	held        outcome = "held"
	queueFull   outcome = "queue_full"
	conflict    outcome = "conflict"
	duplicate   outcome = "duplicate"
	tooMany     outcome = "too_many"
	released    outcome = "released"
	notHeld     outcome = "not_held"
	renewed     outcome = "renewed"
	confirmed   outcome = "confirmed"
	drained     outcome = "drained"
	late        outcome = "late"
	raised      outcome = "raised"
	fencedOut   outcome = "fenced_out"
	allowed     outcome = "allowed"
	refused     outcome = "refused"
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
	{ratelimit.ErrUncertain, uncertain},
	{lock.ErrUnavailable, unavailable},
	{ratelimit.ErrUnavailable, unavailable},
	{lock.ErrHeld, held},
	{lock.ErrQueueFull, queueFull},
	{lock.ErrConflict, conflict},
	{membership.ErrConflict, conflict},
	{membership.ErrDuplicate, duplicate},
	{membership.ErrTooMany, tooMany},
	{lock.ErrNotHeld, notHeld},
	{lock.ErrClosed, closed},
	{ratelimit.ErrClosed, closed},
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

// either returns good if err is nil, and bad whatever else it is.
func either(err error, good, bad outcome) outcome {
	if err == nil {
		return good
	}
	return bad
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

// end is how a lease, a term or a stay ended: released, or the cause of its loss.
func end(key attribute.Key, err error) attribute.KeyValue {
	var lost *lock.LostError
	switch {
	case err == nil:
		return key.String(string(released))
	case errors.As(err, &lost):
		return key.String(snake(lost.Cause.String()))
	}
	return key.String(string(failed))
}
