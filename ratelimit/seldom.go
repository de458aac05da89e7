package ratelimit

import (
	"sync/atomic"
	"time"
)

// seldom lets through what comes not more than once a second.
type seldom struct{ last atomic.Pointer[time.Time] }

func (s *seldom) now() bool {
	now, last := time.Now(), s.last.Load()
	return (last == nil || now.Sub(*last) >= time.Second) && s.last.CompareAndSwap(last, &now)
}
