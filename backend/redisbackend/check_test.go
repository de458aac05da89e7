package redisbackend

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/check"
	"github.com/concord-go/concord/lease"
)

// levels lists the findings about a subject.
func levels(r check.Report, subject string) (list []check.Level) {
	for _, f := range r.Findings {
		if f.Subject == subject {
			list = append(list, f.Level)
		}
	}
	return list
}

func level(t *testing.T, r check.Report, subject string, want check.Level) {
	t.Helper()
	for _, l := range levels(r, subject) {
		if l == want {
			return
		}
	}
	t.Errorf("no %s about %s in\n%s", want, subject, r)
}

func TestCheckGoodServer(t *testing.T) {
	addr := ownServer(t, "--appendonly", "yes")
	o := clientOptions(addr)
	o.DialTimeout = time.Second
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	be := open(t, client, &Options{Prefix: "test", Strict: true})
	for range 2 {
		if err := be.Check(within(t, 5*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := be.Diagnose(within(t, 5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"clock", "version", "mode", "role", "persistence", "eviction", "layout", "commands", "push", "client"} {
		level(t, r, subject, check.LevelOK)
		if !strings.Contains(r.String(), subject) {
			t.Errorf("%s is not in the report:\n%s", subject, r)
		}
	}
	if left := client.Keys(context.Background(), "*:l:*").Val(); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestCheckWarnings(t *testing.T) {
	addr := ownServer(t, "--maxmemory-policy", "volatile-lru")
	client := redis.NewClient(&redis.Options{Addr: addr}) // all defaults
	t.Cleanup(func() { _ = client.Close() })
	var log bytes.Buffer
	opt := &Options{Prefix: "test", Logger: slog.New(slog.NewTextHandler(&log, nil))}
	be := open(t, client, opt)
	if err := be.Check(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"volatile-lru", "append-only", "ContextTimeoutEnabled", "ReadTimeout", "DialerRetries"} {
		if !strings.Contains(log.String(), word) {
			t.Errorf("%s is not logged:\n%s", word, log.String())
		}
	}
	opt.Strict = true
	err := open(t, client, opt).Check(within(t, 5*time.Second))
	var failed *check.Error
	if !errors.As(err, &failed) || len(failed.Findings) < 5 || !strings.Contains(err.Error(), "volatile-lru") {
		t.Errorf("strict: %v", err)
	}
}

func TestCheckLayoutMismatch(t *testing.T) {
	be, _, client := counted(t)
	client.Set(context.Background(), be.names.config(), "buckets=64", 0)
	var failed *check.Error
	if err := be.Check(within(t, 5*time.Second)); !errors.As(err, &failed) || failed.Findings[0].Subject != "layout" {
		t.Errorf("%v", err)
	}
}

func TestCheckReplica(t *testing.T) {
	primary := ownServer(t)
	client := connect(t, primary)
	host, port, _ := strings.Cut(primary, ":")
	replica := ownServer(t, "--replicaof", host, port)
	be := open(t, client, &Options{Prefix: "test"})
	eventually(t, "the replica follows", func() bool {
		r, err := be.Diagnose(within(t, 5*time.Second))
		return err == nil && len(levels(r, "role")) == 1 && levels(r, "role")[0] == check.LevelWarning
	})
	be = open(t, connect(t, replica), &Options{Prefix: "test"})
	var failed *check.Error
	if err := be.Check(within(t, 5*time.Second)); !errors.As(err, &failed) || failed.Findings[0].Subject != "role" {
		t.Errorf("a replica: %v", err)
	}
}

// commands are those that the package doc lists for an ACL user, without INFO and CONFIG.
const commands = "+hello +client +eval +evalsha +exists +time +publish +subscribe +unsubscribe +ping +get +mget +set +del +hget +hmget +hgetall +hscan " +
	"+hset +hdel +hincrby +zadd +zcard +zrange +zrangebyscore +zrevrange +zrank +zrem +zscore +pexpireat"

func TestCheckPermissions(t *testing.T) {
	addr := ownServer(t)
	admin := connect(t, addr)
	for _, c := range []struct {
		name    string
		rules   string
		subject string
		want    check.Level
	}{
		{"all", commands + " +info +config|get &test:*", "push", check.LevelOK},
		{"no-config", commands + " +info &test:*", "eviction", check.LevelOK}, // read from INFO
		{"no-info", commands + " +config|get &test:*", "server", check.LevelWarning},
		{"no-channel", commands + " +info +config|get", "push", check.LevelWarning},
		{"no-publish", commands + " +info +config|get &test:* -publish", "push", check.LevelWarning},
		{"no-script", commands + " +info +config|get &test:* -evalsha", "commands", check.LevelError},
		{"no-hset", commands + " +info +config|get &test:* -hset", "commands", check.LevelError},
		{"no-set", commands + " +info +config|get &test:* -set", "layout", check.LevelError},
		{"no-time", commands + " +info +config|get &test:* -time", "clock", check.LevelError},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []any{"acl", "setuser", c.name, "on", ">secret", "~test:*", "resetchannels"}
			for _, rule := range strings.Fields(c.rules) {
				args = append(args, rule)
			}
			if err := admin.Do(context.Background(), args...).Err(); err != nil {
				t.Fatal(err)
			}
			o := clientOptions(addr)
			o.Username, o.Password = c.name, "secret"
			client := redis.NewClient(o)
			t.Cleanup(func() { _ = client.Close() })
			be := open(t, client, &Options{Prefix: "test"})
			r, err := be.Diagnose(within(t, 5*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			level(t, r, c.subject, c.want)
			if err := be.Check(within(t, 5*time.Second)); (err != nil) != (c.want == check.LevelError) {
				t.Errorf("%v\n%s", err, r)
			}
		})
	}
}

// Without permission to subscribe waiters poll, and it works.
func TestWithoutChannels(t *testing.T) {
	addr := ownServer(t)
	connect(t, addr).Do(context.Background(), "acl", "setuser", "mute", "on", ">secret", "~*", "+@all", "resetchannels")
	o := clientOptions(addr)
	o.Username, o.Password = "mute", "secret"
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	be := open(t, client, &Options{Prefix: "test"})
	holder, waiter := claim("k"), claim("k")
	events(t, be, waiter)
	g := acquire(t, be, holder, lease.Granted)
	acquire(t, be, waiter, lease.Queued)
	r := lease.Revocation{Key: "k", Token: g.Token, Grace: time.Second}
	if found, err := be.Leases().Revoke(within(t, time.Second), r); !found || err != nil {
		t.Error(found, err)
	}
	time.Sleep(50 * time.Millisecond)
	if a := renew(t, be, waiter, true, lease.Queued); a.Pushed {
		t.Error("events cannot get through")
	}
	if a := renew(t, be, holder, false, lease.Granted); a.Asked == nil {
		t.Error("not asked")
	}
	release(t, be, holder, lease.WasHeld)
	renew(t, be, waiter, false, lease.Granted)
}

func TestCheckWithoutServer(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", DialerRetries: 1})
	defer func() { _ = client.Close() }()
	be := open(t, client, &Options{Prefix: "test"})
	if err := be.Check(within(t, 5*time.Second)); !errors.Is(err, lease.ErrUnavailable) {
		t.Error(err)
	}
}
