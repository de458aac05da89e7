package breaker

import "context"

// Outcome says what the end of a call tells about what was called.
type Outcome uint8

// The outcomes.
const (
	Success Outcome = iota // it works
	Failure                // it does not
	Ignored                // nothing: the call is not counted, and its probe slot is free again
)

// String returns the name of the outcome.
func (o Outcome) String() string { return name(o, "success", "failure", "ignored") }

// outcome judges the end of a call. A caller who has cancelled says nothing about what it called,
// whatever error came of it: clients wrap the cancellation in errors of their own. A caller whose
// time ran out has waited, and that is a failure.
func (b *Breaker) outcome(ctx context.Context, err error) Outcome {
	if err != nil && ctx.Err() == context.Canceled {
		return Ignored
	}
	if b.opt.Classify != nil {
		return b.opt.Classify(err)
	}
	if err != nil {
		return Failure
	}
	return Success
}

// name returns the name of a constant that counts from 0.
func name[T ~uint8](i T, names ...string) string {
	if int(i) < len(names) {
		return names[i]
	}
	return "unknown"
}
