package ratelimit

import "time"

// Source says who made a [Decision].
type Source uint8

// The sources.
const (
	FromEngine    Source = iota + 1 // the engine
	FromAllowance                   // what this process had taken ahead
	FromDenial                      // an earlier refusal that holds still
	FromFallback                    // nobody: the engine did not answer, and Limit.Down decided
)

// String returns the name of the source in lower case.
func (s Source) String() string {
	names := [...]string{"", "engine", "allowance", "denial", "fallback"}
	if int(s) < len(names) && s > 0 {
		return names[s]
	}
	return "unknown"
}

// Decision says whether a call may go on. It is a value: a refusal is an answer and no error.
type Decision struct {
	Allowed    bool          // the call may go on, after Wait if that was asked for
	Limit      string        // refused: the limit that makes one wait longest; allowed: the one with the least left
	Shadow     string        // a shadow limit that would have refused, or ""
	Remaining  int64         // units of Limit left now
	RetryAfter time.Duration // refused: when the same call could be allowed, if nobody else calls
	NextAfter  time.Duration // allowed, and nothing left: when a unit of Limit is left again, if nobody calls
	ResetAfter time.Duration // when all of Limit is there again, if nobody calls
	Wait       time.Duration // reserved: how long to wait before going on
	Source     Source        // who decided
	Slack      int64         // units that may have been let through beyond the limits, as bounded now; 0 for exact engines
}
