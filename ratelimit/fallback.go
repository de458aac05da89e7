package ratelimit

import (
	"math"
	"time"
)

const (
	fallbackKeys  = 1 << 16     // keys that a fallback tells apart
	fallbackRetry = time.Second // after which a call that was refused may be tried again
)

// fallback decides while the engine does not answer.
type fallback struct {
	closed string  // a limit that is closed then, or ""
	share  *Policy // this process's part of the limits that are shared out, or nil
	table  *Table  // of share
}

func newFallback(p *Policy, share float64) *fallback {
	f := &fallback{}
	var parts []Limit
	for _, l := range p.limits {
		switch {
		case l.Shadow:
		case l.Down == Closed:
			f.closed = l.Name
		case l.Down == Share:
			parts = append(parts, l.part(share))
		}
	}
	if f.closed != "" || len(parts) == 0 {
		return f
	}
	var err error
	if f.share, err = NewPolicy(parts...); err != nil { // so little that it cannot be counted
		return &fallback{closed: parts[0].Name}
	}
	f.table = NewTable(fallbackKeys)
	return f
}

// part returns a part of a limit, at least one unit.
func (l Limit) part(share float64) Limit {
	of := func(n int64) int64 { return max(1, int64(math.Floor(float64(n)*share))) }
	l.N = of(l.N)
	if l.Algorithm == TokenBucket {
		l.Burst = of(l.Burst)
	}
	return l
}

// decide answers for the engine.
func (f *fallback) decide(op *Op) Decision {
	d := Decision{Allowed: true, Source: FromFallback}
	switch {
	case f.closed != "":
		d.Allowed, d.Limit, d.RetryAfter = false, f.closed, fallbackRetry
	case f.share == nil:
	case op.N > f.share.most:
		d.Allowed, d.Limit, d.RetryAfter = false, f.share.limits[0].Name, fallbackRetry
	default:
		o := *op
		o.Policy = f.share
		d = f.table.Decide(o)
		d.Source = FromFallback
	}
	return d
}
