package redisbackend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

// A server that has lost its scripts gets them again, and each op is executed once and in its order.
func TestLimitsAfterScriptFlush(t *testing.T) {
	be, h, client := counted(t)
	p := hourly(t, ratelimit.TokenBucket, 100)
	decide(t, be, take(p, "a", 1))
	flush := func() {
		if err := client.ScriptFlush(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
		h.take()
	}
	flush()
	if d := decide(t, be, take(p, "a", 1)); d.Remaining != 98 {
		t.Errorf("%+v", d)
	}
	if scripts, sources, _ := h.take(); scripts != 1 || sources != 1 {
		t.Errorf("%d EVALSHA, %d EVAL", scripts, sources)
	}
	flush()
	var ops []ratelimit.Op
	for i := range 20 {
		ops = append(ops, take(p, fmt.Sprint("k", i%4), 1))
	}
	out := make([]ratelimit.Outcome, len(ops))
	be.Limits().Apply(within(t, 5*time.Second), ops, out)
	for i, o := range out {
		if o.Err != nil || o.Decision.Remaining != 99-int64(i/4) {
			t.Errorf("op %d: %+v", i, o)
		}
	}
}

// An op of a batch that was not executed while a later one on its key was, is not executed out of order.
func TestOvertakenOp(t *testing.T) {
	be, _, client := counted(t)
	p := hourly(t, ratelimit.TokenBucket, 100)
	decide(t, be, take(p, "other", 1)) // loads the script
	var h pipes
	h.instead = func(cmds []redis.Cmder, next func([]redis.Cmder) error) error {
		cmds[0].SetErr(serverError("NOSCRIPT No matching script"))
		cmds[1].SetErr(serverError("NOSCRIPT No matching script"))
		return next(cmds[2:])
	}
	client.AddHook(&h)
	var out [3]ratelimit.Outcome
	be.Limits().Apply(within(t, 5*time.Second), []ratelimit.Op{take(p, "a", 5), take(p, "b", 7), take(p, "a", 1)}, out[:])
	if !errors.Is(out[0].Err, errOvertaken) || !errors.Is(out[0].Err, ratelimit.ErrUnavailable) {
		t.Errorf("overtaken: %+v", out[0])
	}
	if out[1].Err != nil || out[1].Decision.Remaining != 93 || out[2].Err != nil || out[2].Decision.Remaining != 99 {
		t.Errorf("the others: %+v, %+v", out[1], out[2])
	}
	left(t, be, p, "a", 99)
}

// A call whose answer is lost may have been counted, once, and is not sent again.
func TestLostAnswerOfLimit(t *testing.T) {
	var lose atomic.Bool
	var sent atomic.Int64
	client := lossyClient(t, &lose, &sent)
	be := open(t, client, nil)
	p := hourly(t, ratelimit.TokenBucket, 100)
	expect := int64(100)
	for _, n := range []int{1, 3} {
		left(t, be, p, "k", expect)
		decide(t, be, take(p, "other", 1)) // loads the script
		sent.Store(0)
		lose.Store(true)
		ops, out := make([]ratelimit.Op, n), make([]ratelimit.Outcome, n)
		for i := range ops {
			ops[i] = take(p, "k", 1)
		}
		be.Limits().Apply(within(t, 2*time.Second), ops, out)
		for _, o := range out {
			if !errors.Is(o.Err, ratelimit.ErrUnavailable) || !errors.Is(o.Err, io.EOF) {
				t.Errorf("lost answer: %+v", o)
			}
		}
		if sent.Load() != 1 {
			t.Errorf("sent %d times", sent.Load())
		}
		lose.Store(false)
		expect -= int64(n)
		eventually(t, "what was sent arrives", func() bool { return decide(t, be, peek(p, "k")).Remaining == expect })
		left(t, be, p, "k", expect)
	}
}

// A key of the caller that happens to have one of our names is an error, and is not touched.
func TestForeignKeyOfLimit(t *testing.T) {
	be, _, client := counted(t)
	for _, a := range []ratelimit.Algorithm{ratelimit.TokenBucket, ratelimit.StrictWindow} {
		p := hourly(t, a, 10)
		if err := client.HSet(context.Background(), be.names.limit(p.Shape(), "k"), "a", "b").Err(); err != nil {
			t.Fatal(err)
		}
		var out [1]ratelimit.Outcome
		be.Limits().Apply(within(t, 5*time.Second), []ratelimit.Op{take(p, "k", 1)}, out[:])
		if err := out[0].Err; err == nil || errors.Is(err, ratelimit.ErrUnavailable) || !strings.Contains(err.Error(), "WRONGTYPE") {
			t.Errorf("%v: %v", a, err)
		}
	}
}

// Out of memory new states cannot be written, and the limit says that the engine is unavailable; refusals
// and resets go on.
func TestLimitsOutOfMemory(t *testing.T) {
	client := connect(t, ownServer(t, "--maxmemory-policy", "noeviction"))
	be := open(t, client, nil)
	p := hourly(t, ratelimit.TokenBucket, 1)
	decide(t, be, take(p, "k", 1))
	decide(t, be, peek(p, "k"))
	if err := client.ConfigSet(context.Background(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	var out [1]ratelimit.Outcome
	be.Limits().Apply(within(t, 5*time.Second), []ratelimit.Op{take(p, "new", 1)}, out[:])
	if !errors.Is(out[0].Err, ratelimit.ErrUnavailable) {
		t.Errorf("a new state: %+v", out[0])
	}
	if d := decide(t, be, take(p, "k", 1)); d.Allowed {
		t.Errorf("a refusal: %+v", d)
	}
	decide(t, be, ratelimit.Op{Kind: ratelimit.OpReset, Key: "k", Policy: p})
	left(t, be, p, "k", 1)
}

// What was counted is in the append-only file, with its end.
func TestLimitsOutliveARestart(t *testing.T) {
	client := connect(t, ownServer(t, "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"))
	be := open(t, client, nil)
	for _, a := range []ratelimit.Algorithm{ratelimit.TokenBucket, ratelimit.StrictWindow} {
		p := hourly(t, a, 10)
		decide(t, be, take(p, "k", 7))
		name := be.names.limit(p.Shape(), "k")
		end := client.PExpireTime(context.Background(), name).Val()
		if err := client.Do(context.Background(), "debug", "loadaof").Err(); err != nil {
			t.Fatal(err)
		}
		left(t, be, p, "k", 3)
		if got := client.PExpireTime(context.Background(), name).Val(); got != end || end <= 0 {
			t.Errorf("%v: ends at %v, before the restart at %v", a, got, end)
		}
	}
}

// A closed backend and a wrong answer are said in the words of package ratelimit.
func TestErrorsOfLimits(t *testing.T) {
	be, h, _ := counted(t)
	p := hourly(t, ratelimit.TokenBucket, 10)
	for _, reply := range []any{nil, "x", []any{}, []any{int64(3), int64(1), ""}, []any{int64(1), "1", ""}, []any{int64(1), int64(1), "x"},
		[]any{int64(1), int64(1), "1 2"}, []any{int64(1), int64(1), "1 2 3 4"}, []any{int64(1), int64(1), "0 1 "}} {
		h.set(only(scriptLimitBucket, func(_ context.Context, cmd redis.Cmder, _ func() error) error {
			cmd.(command).SetVal(reply)
			return nil
		}))
		var out [1]ratelimit.Outcome
		be.Limits().Apply(within(t, 5*time.Second), []ratelimit.Op{take(p, "k", 1)}, out[:])
		if !errors.Is(out[0].Err, errMalformed) || errors.Is(out[0].Err, ratelimit.ErrUnavailable) {
			t.Errorf("%v: %+v", reply, out[0])
		}
	}
	h.set(only(scriptLimitBucket, func(_ context.Context, cmd redis.Cmder, _ func() error) error {
		cmd.(command).SetVal([]any{int64(0), time.Now().UnixMicro(), ""})
		return nil
	}))
	var out [2]ratelimit.Outcome
	be.Limits().Apply(within(t, 5*time.Second), []ratelimit.Op{take(p, "k", 1)}, out[:1])
	if !errors.Is(out[0].Err, errDiffers) || errors.Is(out[0].Err, ratelimit.ErrUnavailable) {
		t.Errorf("another decision: %+v", out[0])
	}
	if err := be.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	be.Limits().Apply(within(t, 5*time.Second), []ratelimit.Op{take(p, "k", 1), take(p, "k", 1)}, out[:])
	for _, o := range out {
		if !errors.Is(o.Err, ratelimit.ErrClosed) || !errors.Is(o.Err, lease.ErrClosed) {
			t.Errorf("closed: %+v", o)
		}
	}
}
