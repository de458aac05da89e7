package redisbackend

import (
	"context"
	_ "embed"
	"strings"

	"github.com/concord-go/concord/fence"
)

var (
	//go:embed lua/raise.lua
	luaRaise string

	scriptRaise = newScript(luaRaise + "return {1}\n")
)

// marks is the port of package fence. A mark is a string of 20 digits.
type marks struct {
	b         *Backend
	retention any // ms, 0 = for ever
}

var _ fence.Marks = (*marks)(nil)

func newMarks(b *Backend) *marks { return &marks{b: b, retention: millis(b.opt.FenceRetention)} }

// Raise implements [fence.Marks].
func (m *marks) Raise(ctx context.Context, resource string, token fence.Token) error {
	const verb = "raise"
	if err := fence.Validate(resource, token); err != nil {
		return fail(ctx, verb, err)
	}
	name, _ := m.b.names.mark(resource)
	_, err := await(ctx, m.b, verb, func() (any, error) {
		return m.write(ctx, verb, scriptRaise, resource, token, []string{name}, nil)
	})
	return err
}

// Mark implements [fence.Marks].
func (m *marks) Mark(ctx context.Context, resource string) (fence.Token, error) {
	const verb = "mark"
	if err := fence.ValidateResource(resource); err != nil {
		return 0, fail(ctx, verb, err)
	}
	name, _ := m.b.names.mark(resource)
	return await(ctx, m.b, verb, func() (fence.Token, error) {
		v, err := m.b.do(ctx, "get", name)
		if isNil(err) {
			return 0, nil
		}
		var mark fence.Token
		if err == nil {
			mark, err = parseMark(v)
		}
		if err != nil {
			return 0, fail(ctx, verb, err)
		}
		return mark, nil
	})
}

// write runs a script that begins with the fragment raise and returns what follows its mark.
// keys[0] is the name of the mark.
func (m *marks) write(ctx context.Context, verb string, s *script, resource string, token fence.Token, keys []string, args []any) (any, error) {
	all := make([]any, 3, 5+len(keys)+len(args))
	all[2] = len(keys)
	for _, k := range keys {
		all = append(all, k)
	}
	all = append(all, token.Padded(), m.retention)
	v, _, err := m.b.eval(ctx, s, append(all, args...))
	if err != nil {
		return nil, fail(ctx, verb, err)
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, fail(ctx, verb, malformed(v))
	}
	switch list[0] {
	case int64(1):
		switch len(list) {
		case 1:
			return nil, nil
		case 2:
			return list[1], nil
		}
	case int64(0):
		if len(list) == 2 {
			mark, err := parseMark(list[1])
			if err != nil {
				return nil, fail(ctx, verb, err)
			}
			return nil, fail(ctx, verb, &fence.FencedError{Resource: resource, Token: token, Mark: mark})
		}
	}
	return nil, fail(ctx, verb, malformed(v))
}

func parseMark(v any) (fence.Token, error) {
	s, _ := v.(string)
	if len(s) != 20 {
		return 0, malformed(v)
	}
	t, err := fence.ParseToken(strings.TrimLeft(s, "0"))
	if err != nil {
		return 0, malformed(v)
	}
	return t, nil
}

// await runs a call and stops waiting for it when ctx ends, which go-redis does not do by itself
// when ctx is cancelled, nor at its deadline unless told to. Close waits for calls left alone, and
// they may still take effect: call must not share memory with its caller.
func await[T any](ctx context.Context, b *Backend, verb string, call func() (T, error)) (T, error) {
	var none T
	if err := b.begin(ctx, verb); err != nil {
		return none, err
	}
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		defer b.calls.Done()
		v, err := call()
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		return none, fail(ctx, verb, ctx.Err())
	}
}

// begin counts a call that Close must wait for.
func (b *Backend) begin(ctx context.Context, verb string) error {
	b.closing.Lock()
	defer b.closing.Unlock()
	if err := b.ready(ctx, verb); err != nil {
		return err
	}
	b.calls.Add(1)
	return nil
}
