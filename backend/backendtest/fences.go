package backendtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/fence"
)

// Fences checks the promises of [fence.Marks]. newMarks returns marks on a fresh and empty
// namespace and registers its own clean-up with t; it is called once for each case.
func Fences(t *testing.T, newMarks func(t *testing.T) fence.Marks) {
	cases := []struct {
		name string
		run  func(*marks)
	}{
		{"no mark is zero", fenceZero},
		{"a larger token raises the mark", fenceRaise},
		{"an equal token is accepted", fenceEqual},
		{"a lower token is refused", fenceLower},
		{"an epoch beats every sequence", fenceEpoch},
		{"tokens compare exactly above 2^53", fenceExact},
		{"resources with any bytes are independent", fenceAnyBytes},
		{"a bad argument is refused", fenceBad},
		{"an ended ctx ends the call", fenceContext},
		{"concurrent raises end at the highest", fenceConcurrent},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(&marks{t, newMarks(t)}) })
	}
}

// marks is what a case works with.
type marks struct {
	*testing.T
	fence.Marks
}

// raises wants a token to be accepted, and the mark to be what it says.
func (m *marks) raises(resource string, token, mark fence.Token) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), callTime)
	defer cancel()
	if err := m.Raise(ctx, resource, token); err != nil {
		m.Fatalf("broken promise: a token that is not below the mark is accepted\n\tgot:  Raise(%.20q, %s): %v\n\twant: no error", resource, token, err)
	}
	m.stands(resource, mark)
}

// refuses wants a token to be fenced out by the mark.
func (m *marks) refuses(resource string, token, mark fence.Token) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), callTime)
	defer cancel()
	err := m.Raise(ctx, resource, token)
	want := fence.FencedError{Resource: resource, Token: token, Mark: mark}
	var fenced *fence.FencedError
	if !errors.As(err, &fenced) || !errors.Is(err, fence.ErrFenced) || *fenced != want {
		m.Fatalf("broken promise: a token below the mark is refused\n\tgot:  Raise(%.20q, %s): %v\n\twant: %v", resource, token, err, &want)
	}
	m.stands(resource, mark)
}

// stands compares the mark of a resource.
func (m *marks) stands(resource string, want fence.Token) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), callTime)
	defer cancel()
	got, err := m.Mark(ctx, resource)
	if err != nil || got != want {
		m.Fatalf("broken promise: the mark is the highest token raised\n\tgot:  Mark(%.20q) = %s, %v\n\twant: %s", resource, got, err, want)
	}
}

func fenceZero(m *marks) {
	m.stands("r", 0)
	m.stands("r", 0)
	m.raises("r", 1, 1)
}

func fenceRaise(m *marks) {
	for _, token := range []fence.Token{1, 2, 9, 10, 99, 100, 1 << 31, 1<<32 + 1, fence.MaxSequence} {
		m.raises("r", token, token)
	}
}

func fenceEqual(m *marks) {
	for range 3 {
		m.raises("r", 42, 42)
	}
}

func fenceLower(m *marks) {
	m.raises("r", 100, 100)
	for _, token := range []fence.Token{99, 9, 1} { // as texts 99 and 9 would be larger
		m.refuses("r", token, 100)
	}
	m.raises("r", 100, 100)
}

func fenceEpoch(m *marks) {
	old, fresh := fence.Token(fence.MaxSequence), fence.Token(1<<53|1)
	m.raises("r", old, old)
	m.raises("r", fresh, fresh)
	m.refuses("r", old, fresh)
	last := fence.Token(fence.MaxEpoch<<53 | fence.MaxSequence)
	m.raises("r", last, last)
	m.refuses("r", fresh, last)
}

// fenceExact: a double cannot tell these neighbours apart.
func fenceExact(m *marks) {
	for i, high := range []fence.Token{1<<53 + 2, 2<<53 | 4, 512<<53 | 1<<52, fence.MaxEpoch<<53 | fence.MaxSequence} {
		resource := fmt.Sprint("r", i)
		m.raises(resource, high-1, high-1)
		m.raises(resource, high, high)
		m.refuses(resource, high-1, high)
	}
}

func fenceAnyBytes(m *marks) {
	names := nasty()
	for i, name := range names {
		m.stands(name, 0)
		m.raises(name, fence.Token(1000+i), fence.Token(1000+i))
	}
	for i, name := range names {
		m.stands(name, fence.Token(1000+i))
		m.refuses(name, fence.Token(999+i), fence.Token(1000+i))
	}
}

func fenceBad(m *marks) {
	ctx, cancel := context.WithTimeout(m.Context(), callTime)
	defer cancel()
	invalid := func(what, field string, err error) {
		m.Helper()
		var e *fence.InvalidError
		if !errors.As(err, &e) || !errors.Is(err, fence.ErrInvalid) || e.Field != field {
			m.Fatalf("broken promise: %s is refused with an InvalidError\n\tgot:  %v\n\twant: one that names %s", what, err, field)
		}
	}
	for _, token := range []fence.Token{0, 1 << 53, 5 << 53, 1 << 63, 1<<63 | 1} {
		invalid("a token that no lock issues", "token", m.Raise(ctx, "r", token))
		m.stands("r", 0)
	}
	for _, resource := range []string{"", strings.Repeat("r", fence.MaxResource+1)} {
		invalid("a resource out of bounds", "resource", m.Raise(ctx, resource, 1))
		_, err := m.Mark(ctx, resource)
		invalid("a resource out of bounds", "resource", err)
	}
}

func fenceContext(m *marks) {
	m.raises("r", 1, 1)
	cancelled, cancel := context.WithCancel(m.Context())
	cancel()
	past, cancel := context.WithDeadline(m.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{cancelled, past} {
		start := time.Now()
		if err := m.Raise(ctx, "r", 2); !errors.Is(err, ctx.Err()) {
			m.Fatalf("broken promise: Raise with an ended ctx returns its error\n\tgot:  %v\n\twant: %v", err, ctx.Err())
		}
		if _, err := m.Mark(ctx, "r"); !errors.Is(err, ctx.Err()) {
			m.Fatalf("broken promise: Mark with an ended ctx returns its error\n\tgot:  %v\n\twant: %v", err, ctx.Err())
		}
		if took := time.Since(start); took > callTime {
			m.Fatalf("broken promise: a call with an ended ctx returns at once\n\tgot:  %v", took)
		}
	}
	call, cancel := context.WithTimeout(m.Context(), callTime)
	defer cancel()
	if mark, err := m.Mark(call, "r"); err != nil || mark != 1 && mark != 2 {
		m.Fatalf("broken promise: after an error the mark is what it was or the token\n\tgot:  %v, %v\n\twant: 1 or 2", mark, err)
	}
}

// fenceConcurrent lets clients raise in rounds, all at once in each. What a client has learnt of
// the mark, by a success or by a refusal, it never sees less of again, and the highest one wins.
func fenceConcurrent(m *marks) {
	const rounds, clients = 50, 8
	ctx, cancel := context.WithTimeout(m.Context(), 3*callTime)
	defer cancel()
	for round := range rounds {
		top := fence.Token((round + 1) * clients)
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				token := top - fence.Token(i)
				learnt := token
				err := m.Raise(ctx, "r", token)
				var fenced *fence.FencedError
				switch {
				case err == nil:
				case errors.As(err, &fenced) && fenced.Token == token && fenced.Mark > token && fenced.Mark <= top:
					learnt = fenced.Mark
				default:
					m.Errorf("broken promise: a Raise succeeds or names the mark in its way\n\tgot:  Raise(%s): %v\n\twant: a mark up to %s", token, err, top)
					return
				}
				if mark, err := m.Mark(ctx, "r"); err != nil || mark < learnt {
					m.Errorf("broken promise: a mark never falls\n\tgot:  %s, %v\n\twant: at least %s", mark, err, learnt)
				}
			})
		}
		all.Wait()
		m.stands("r", top)
	}
}
