package backendtest_test

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/concord-go/concord/fence"
)

// brokenMarks are guards with one promise broken, each with a case that must notice.
var brokenMarks = map[string]struct {
	noticed string
	make    func(fence.Marks) fence.Marks
}{
	"a mark falls": {"a lower token is refused", func(m fence.Marks) fence.Marks {
		return changedMarks{m, func(ctx context.Context, resource string, token fence.Token) error {
			var err error
			if err = m.Raise(ctx, resource, token); fence.Validate(resource, token) == nil {
				err = nil
			}
			return err
		}}
	}},
	"tokens are doubles": {"tokens compare exactly above 2^53", func(m fence.Marks) fence.Marks {
		return changedMarks{m, func(ctx context.Context, resource string, token fence.Token) error {
			mark, err := m.Mark(ctx, resource)
			if err == nil && float64(mark) == float64(token) && math.Abs(float64(token)) > 1<<53 {
				return nil
			}
			return m.Raise(ctx, resource, token)
		}}
	}},
	"tokens are texts": {"a larger token raises the mark", func(m fence.Marks) fence.Marks {
		return changedMarks{m, func(ctx context.Context, resource string, token fence.Token) error {
			mark, err := m.Mark(ctx, resource)
			if err == nil && mark.String() > token.String() {
				return &fence.FencedError{Resource: resource, Token: token, Mark: mark}
			}
			return m.Raise(ctx, resource, token)
		}}
	}},
	"an equal token is refused": {"an equal token is accepted", func(m fence.Marks) fence.Marks {
		return changedMarks{m, func(ctx context.Context, resource string, token fence.Token) error {
			if mark, err := m.Mark(ctx, resource); err == nil && mark == token {
				return &fence.FencedError{Resource: resource, Token: token, Mark: mark}
			}
			return m.Raise(ctx, resource, token)
		}}
	}},
	"check, then write": {"concurrent raises end at the highest", func(m fence.Marks) fence.Marks {
		return &looseMarks{Marks: m, all: map[string]fence.Token{}}
	}},
}

// changedMarks is a guard with another Raise.
type changedMarks struct {
	fence.Marks
	raise func(context.Context, string, fence.Token) error
}

func (m changedMarks) Raise(ctx context.Context, resource string, token fence.Token) error {
	return m.raise(ctx, resource, token)
}

// looseMarks compares and sets in two steps.
type looseMarks struct {
	fence.Marks
	mu  sync.Mutex
	all map[string]fence.Token
}

func (m *looseMarks) Mark(_ context.Context, resource string) (fence.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all[resource], nil
}

func (m *looseMarks) Raise(ctx context.Context, resource string, token fence.Token) error {
	if mark, _ := m.Mark(ctx, resource); mark > token {
		return &fence.FencedError{Resource: resource, Token: token, Mark: mark}
	}
	time.Sleep(time.Duration(1+(8-token%8)%8) * time.Millisecond) // the lower ones write last
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[resource] = token
	return nil
}
