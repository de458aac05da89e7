package redisbackend

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

func TestGuardRefusesAndAccepts(t *testing.T) {
	be, h, client := counted(t)
	g, ctx := be.Guard(), within(t, 10*time.Second)
	add := NewGuardedScript("return redis.call('INCRBY', KEYS[1], ARGV[1]) -- the end")
	key := func(name string) string { return be.opt.Prefix + ":" + name }
	top := fence.Token(1<<62 + 2) // beyond what a Lua number holds
	for verb, write := range map[string]func(token fence.Token, key string) error{
		"raise": func(token fence.Token, key string) error { return g.Raise(ctx, key, token) },
		"set":   func(token fence.Token, key string) error { return g.Set(ctx, key, token, token.String(), 0) },
		"hset":  func(token fence.Token, key string) error { return g.HSet(ctx, key, token, "f", token.String()) },
		"run": func(token fence.Token, key string) error {
			_, err := g.Run(ctx, add, []string{key}, token, 1)
			return err
		},
	} {
		k := key(verb)
		for _, step := range []struct {
			token  fence.Token
			fenced bool
		}{{5, false}, {5, false}, {4, true}, {1<<60 + 1, false}, {1<<60 - 1, true}, {top, false}, {top - 1, true}, {top, false}, {9, true}} {
			before, _ := client.Dump(ctx, k).Result()
			mark, _ := be.Fences().Mark(ctx, k)
			err := write(step.token, k)
			if errors.Is(err, fence.ErrFenced) != step.fenced || !step.fenced && err != nil {
				t.Fatalf("%s with token %d: %v", verb, step.token, err)
			}
			after, _ := client.Dump(ctx, k).Result()
			if step.fenced {
				var f *fence.FencedError
				if !errors.As(err, &f) || *f != (fence.FencedError{Resource: k, Token: step.token, Mark: mark}) {
					t.Errorf("%s: %+v", verb, f)
				}
				if before != after {
					t.Errorf("%s: refused, and written", verb)
				}
			}
		}
		h.take()
		if err := write(top, k); err != nil {
			t.Error(err)
		}
		if n, _, _ := h.take(); n != 1 {
			t.Errorf("%s: %d requests", verb, n)
		}
	}
	if got := client.Get(ctx, key("set")).Val(); got != top.String() {
		t.Errorf("set: %q", got)
	}
	if got := client.HGet(ctx, key("hset"), "f").Val(); got != top.String() {
		t.Errorf("hset: %q", got)
	}
	if got := client.Get(ctx, key("run")).Val(); got != "6" {
		t.Errorf("run: %q", got)
	}
}

func TestGuardSetExpires(t *testing.T) {
	be, _, client := counted(t)
	ctx, key := within(t, 5*time.Second), be.opt.Prefix+":k"
	if err := be.Guard().Set(ctx, key, 1, []byte("v"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if ttl := client.PTTL(ctx, key).Val(); ttl < 50*time.Second || ttl > time.Minute {
		t.Errorf("lives %v", ttl)
	}
	if err := be.Guard().Set(ctx, key, 1, "v", 0); err != nil || client.PTTL(ctx, key).Val() != -1 {
		t.Errorf("does not live for ever, %v", err)
	}
}

func TestGuardHSetManyFields(t *testing.T) {
	be, _, client := counted(t)
	ctx, key := within(t, 5*time.Second), be.opt.Prefix+":k"
	var fields []any
	for i := range 5000 {
		fields = append(fields, i, i)
	}
	if err := be.Guard().HSet(ctx, key, 1, fields...); err != nil || client.HLen(ctx, key).Val() != 5000 {
		t.Error(err)
	}
}

func TestGuardRunResults(t *testing.T) {
	be, _, client := counted(t)
	ctx, key := within(t, 5*time.Second), be.opt.Prefix+":k"
	for body, want := range map[string]any{
		"return 7":                  int64(7),
		"return 'x'":                "x",
		"return nil":                nil,
		"return false":              nil,
		"":                          nil,
		"return {1, {'a', 'b'}}":    []any{int64(1), []any{"a", "b"}},
		"return #KEYS * 10 + #ARGV": int64(12),
		"return KEYS[1] .. ARGV[2]": key + "b",
		"return {ok = 'FINE'}":      "FINE",
		"return type(mark) .. type(token) .. type(call) .. type(result)": "nilnilnilnil",
	} {
		got, err := be.Guard().Run(ctx, NewGuardedScript(body), []string{key}, 1, "a", "b")
		if strings.Contains(body, "type(") { // undeclared names are errors, and ours are not visible
			if err == nil || !strings.Contains(err.Error(), "nonexistent global") {
				t.Errorf("%s: %v, %v", body, got, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, %v", body, got, err)
		}
	}
	_, err := be.Guard().Run(ctx, NewGuardedScript("return redis.error_reply('MINE is an error')"), []string{key}, 2)
	if err == nil || !redis.HasErrorPrefix(err, "MINE") || errors.Is(err, lease.ErrUnavailable) {
		t.Errorf("an error of the script: %v", err)
	}
	if _, err := be.Guard().Run(ctx, NewGuardedScript("this is not Lua"), []string{key}, 2); err == nil {
		t.Error("no error")
	}
	client.Set(ctx, key, "text", 0)
	if err := be.Guard().HSet(ctx, key, 3, "f", 1); !redis.HasErrorPrefix(err, "WRONGTYPE") {
		t.Errorf("wrong type: %v", err)
	}
}

func TestGuardValidates(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) // nothing is sent
	defer func() { _ = client.Close() }()
	be := open(t, client, &Options{Prefix: "test"})
	g, ctx := be.Guard(), context.Background()
	s := NewGuardedScript("return 1")
	_, noKeys := g.Run(ctx, s, nil, 1)
	_, noScript := g.Run(ctx, nil, []string{"k"}, 1)
	for name, err := range map[string]error{
		"no keys": noKeys, "no script": noScript,
		"odd fields": g.HSet(ctx, "k", 1, "f"), "no fields": g.HSet(ctx, "k", 1), "ttl": g.Set(ctx, "k", 1, "v", -1),
		"}": g.Raise(ctx, "}", 1), "a}b": g.Raise(ctx, "a}b", 1), "{}a": g.Raise(ctx, "{}a", 1), "}{a": g.Raise(ctx, "}{a", 1),
	} {
		var invalid *InvalidError
		if !errors.As(err, &invalid) || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"no token": g.Set(ctx, "k", 0, "v", 0), "top bit": g.Set(ctx, "k", 1<<63+1, "v", 0),
		"no key": g.Raise(ctx, "", 1), "long key": g.Raise(ctx, strings.Repeat("k", fence.MaxResource+1), 1),
	} {
		if !errors.Is(err, fence.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A mark that Fences keeps is the one that Guard looks at, and the key of a guard may be any that
// Redis can place.
func TestGuardAndFencesShareMarks(t *testing.T) {
	be, _, _ := counted(t)
	ctx := within(t, 5*time.Second)
	for _, key := range []string{"k", "{tag}k", "a{", "{{a}", "{a}}", "a:b:{c}", "\x00\xff"} {
		if err := be.Fences().Raise(ctx, key, 10); err != nil {
			t.Fatal(err)
		}
		if err := be.Guard().Raise(ctx, key, 9); !errors.Is(err, fence.ErrFenced) {
			t.Errorf("%q: %v", key, err)
		}
		if err := be.Guard().Raise(ctx, key, 11); err != nil {
			t.Errorf("%q: %v", key, err)
		}
		if mark, err := be.Fences().Mark(ctx, key); mark != 11 || err != nil {
			t.Errorf("%q: mark %d, %v", key, mark, err)
		}
	}
	if err := be.Fences().Raise(ctx, "a}b", 10); err != nil { // needs no slot of its own
		t.Error(err)
	}
}

func TestFenceRetention(t *testing.T) {
	client := connect(t, address(t))
	be := open(t, client, &Options{FenceRetention: time.Hour})
	ctx := within(t, 5*time.Second)
	name, _ := be.names.mark("r")
	for _, token := range []fence.Token{1, 1, 2} {
		client.Persist(ctx, name)
		if err := be.Fences().Raise(ctx, "r", token); err != nil {
			t.Fatal(err)
		}
		if ttl := client.PTTL(ctx, name).Val(); ttl < 59*time.Minute || ttl > time.Hour {
			t.Errorf("lives %v after %d", ttl, token)
		}
	}
	client.Set(ctx, name, "12", 0)
	if err := be.Fences().Raise(ctx, "r", 3); err == nil || errors.Is(err, fence.ErrFenced) {
		t.Errorf("not a mark: %v", err)
	}
	if _, err := be.Fences().Mark(ctx, "r"); !errors.Is(err, errMalformed) {
		t.Errorf("not a mark: %v", err)
	}
}
