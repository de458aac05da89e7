package redisbackend

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/lease"
)

const att = "AAAAAAAAAAAAAAAAAAAAAA"

func TestReplies(t *testing.T) {
	ask := &lease.Ask{Reason: "a b\x00", Grace: 30 * time.Millisecond}
	for text, want := range map[string]lease.Answer{
		"G 1 0 7 20":            {Status: lease.Granted, Token: 7, Left: 20 * time.Millisecond},
		"A 1 0 7 20 30 a b\x00": {Status: lease.Granted, Token: 7, Left: 20 * time.Millisecond, Asked: ask},
		"Q 1 0 3 500":           {Status: lease.Queued, Rank: 3, Next: 500 * time.Millisecond},
		"F 1 0":                 {Status: lease.Full},
		"C 1 0 5":               {Status: lease.Conflict, Limit: 5},
		"X 1 0":                 {Status: lease.Gone},
		"U 1 0":                 {Status: lease.Unknown},
		"H 1 0 " + att + " r 1 900 800 0 -3 1500 7 ch 4:2:me m": {Status: lease.Held, Holder: lease.Party{Attempt: att,
			Owner: "me", Meta: []byte(" m"), Token: 7, Weight: 1, Priority: -3, Left: 500 * time.Millisecond, Asked: true}},
		"H 1 0 " + att + " h 1 900 800 0 0 500 7 ch ": {Status: lease.Held,
			Holder: lease.Party{Attempt: att, Token: 7, Weight: 1}},
	} {
		r, err := parseReply(text)
		if err != nil || r.now != 1000 || !reflect.DeepEqual(r.Answer, want) { //nolint:govet // no answer here holds an error
			t.Errorf("%q: %+v, %v", text, r, err)
		}
	}
}

var nonsense = []any{
	nil, int64(1), "", " ", "G", "G 1 0", "G 1 0 7", "G 1 0 7 20 1", "G 1 0 0 20", "G x 0 7 20", "G 1 0 9007199254740992 20",
	"G 1 0 -7 20", "G 99999999999999999 0 7 20", "G 1 1000000 7 20", "G 1 7 20", "A 1 0 7 20", "A 1 0 7 20 x", "Q 1 0 3", "Q 1 0 -1 0", "Z 1000",
	"H", "H 1 0 short h 1 1 1 0 0 1 1 c ", "H 1 0 " + att + " h 1 1 1 0 x 1 1 c ", "H 1 0 " + att + " h 1 1 1 0 0 1 1 c 0:9:x",
	"H 1 0 " + att + " z 1 1 1 0 0 1 1 c ", "H 1 0 " + att + " h 1 1 1 0 0 1 1 c nonsense", "F 1 0 1", "X", "S 1 0 1",
	[]any{}, []any{"1", "x"}, []any{"1 0", "1", "x"}, []any{"1", "1", "1"}, []any{int64(1), "1", "1"}, []any{"1 0", "1", "1", att},
	[]any{"1 0", "1", "1", att, "h", ""}, map[any]any{},
}

// A reply that makes no sense is a final error of every verb, never a panic.
func TestMalformedReplies(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { _ = client.Close() }()
	h := &hook{}
	client.AddHook(h)
	be := open(t, client, &Options{Prefix: "test"})
	be.sites[0].clock.reset(time.Now(), time.Now().UnixMilli())
	ctx, l, c := context.Background(), be.Leases(), claim("k")
	for _, reply := range nonsense {
		h.set(func(_ context.Context, cmd redis.Cmder, _ func() error) error {
			cmd.(command).SetVal(reply)
			return nil
		})
		_, acquire := l.Acquire(ctx, c)
		_, release := l.Release(ctx, lease.Release{Key: "k", Attempt: c.Attempt})
		_, revoke := l.Revoke(ctx, lease.Revocation{Key: "k", Token: 1})
		_, inspect := l.Inspect(ctx, "k")
		renew := l.Renew(ctx, []lease.Renewal{{Key: "k", Attempt: c.Attempt, TTL: c.TTL}, {Key: "k", Attempt: c.Attempt, TTL: c.TTL, Waiting: true}})
		_, mark := be.Fences().Mark(ctx, "r")
		_, run := be.Guard().Run(ctx, NewGuardedScript("return 1"), []string{"k"}, 1)
		clock := be.readTime(ctx, &be.sites[0])
		for verb, err := range map[string]error{
			"acquire": acquire, "release": release, "revoke": revoke, "inspect": inspect, "renew": renew[0].Err,
			"renew waiting": renew[1].Err, "mark": mark, "raise": be.Fences().Raise(ctx, "r", 1), "run": run, "time": clock,
		} {
			if !errors.Is(err, errMalformed) || errors.Is(err, lease.ErrUnavailable) {
				t.Errorf("%s answered %#v: %v", verb, reply, err)
			}
		}
	}
}

func TestMessages(t *testing.T) {
	for text, want := range map[string]message{
		"G " + att + " 7 3000 1000":         {kind: lease.EventGranted, attempt: att, token: 7, end: 3000, now: 1000},
		"A " + att + " 7 3000 1000 \x00 a ": {kind: lease.EventAsked, attempt: att, token: 7, end: 3000, now: 1000, reason: "\x00 a "},
		"A " + att + " 7 3000 1000 ":        {kind: lease.EventAsked, attempt: att, token: 7, end: 3000, now: 1000},
		"R " + att + " 7 1000 why\n":        {kind: lease.EventRevoked, attempt: att, token: 7, now: 1000, reason: "why\n"},
	} {
		if m, ok := parseMessage(text); !ok || m != want {
			t.Errorf("%q: %+v, %t", text, m, ok)
		}
	}
	for _, text := range []string{"", "G", "G x 7 1 1", "G " + att + " 0 1 1", "G " + att + " 7 1 1 1", "Z " + att + " 7 1"} {
		if m, ok := parseMessage(text); ok {
			t.Errorf("%q is read as %+v", text, m)
		}
	}
}

func FuzzReplies(f *testing.F) {
	for _, v := range nonsense {
		if s, ok := v.(string); ok {
			f.Add(s)
		}
	}
	f.Add("H 1 0 " + att + " r 1 900 800 0 -3 1500 7 ch 4:2:me m")
	f.Add("A " + att + " 7 3000 1000 why")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := parseReply(s); err == nil && (r.Left < 0 || r.Next < 0 || r.Rank < 0 || r.Holder.Left < 0 || r.now < 0) {
			t.Errorf("%q: %+v", s, r)
		}
		if m, ok := parseMessage(s); ok && (m.token == 0 || m.end < 0 || m.now < 0 || len(m.attempt) != 22) {
			t.Errorf("%q: %+v", s, m)
		}
		_, _, _, _ = parseReleased(s)
		_, _, _, _ = parseSeats([]any{"1 0", s, att, s, s})
		_, _, _, _ = parseLook([]any{"1 0", s, s})
		_, _, _ = parseFound(s)
		_, _, _ = parseState([]any{"1 0", "1", "1", att, s, s})
		_, _ = parseMark(s)
		_, _ = parseReplies([]any{s, s}, 2)
		_, _ = parseTime([]any{s, s})
		if c, _, ok := parseChange(s); ok && (c.Party.Token == 0 || c.Kind == 0) {
			t.Errorf("%q: %+v", s, c)
		}
	})
}
