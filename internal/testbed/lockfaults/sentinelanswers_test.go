package lockfaults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/lock"
)

// subscribers returns the connections of a server that wait for messages of this library.
func subscribers(t *testing.T, r *testbed.Redis) (list []string) {
	t.Helper()
	text, err := r.Command("CLIENT", "LIST", "TYPE", "pubsub")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		list = append(list, line)
	}
	return list
}

// A primary that misses its replicas refuses to write: what is held ends in time, and what is
// asked for fails with the reason.
func TestNotEnoughReplicas(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	primary := testbed.StartRedis(t, &testbed.RedisOptions{Args: []string{
		"--min-replicas-to-write", "1", "--min-replicas-max-lag", "1", "--repl-diskless-sync-delay", "0"}})
	host, port, _ := strings.Cut(primary.Addr(), ":")
	replica := testbed.StartRedis(t, &testbed.RedisOptions{Args: []string{"--replicaof", host + " " + port}})
	good := func(n string) func() bool {
		return func() bool { return number(t, primary, "replication", "min_slaves_good_slaves") == n }
	}
	wait(t, "the replica follows", good("1"))
	p := newProcess(t, primary.Addr(), &lock.Options{TTL: ttl})
	l := p.acquire(t, "k")
	if err := replica.Pause(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the replica is missed", good("0"))
	missed := time.Now()
	start := time.Now()
	_, err := p.locks.TryAcquire(t.Context(), "other")
	took := time.Since(start)
	if !errors.Is(err, lock.ErrUnavailable) || !redis.HasErrorPrefix(rootOf(err), "NOREPLICAS") {
		t.Errorf("acquire: %v, want unavailable and NOREPLICAS", err)
	}
	if took > time.Second+500*time.Millisecond+slack {
		t.Errorf("acquire failed after %v", took)
	}
	lost, at := lossOf(t, l)
	if lost.Cause != lock.Unreachable || !strings.Contains(lost.Error(), "NOREPLICAS") {
		t.Errorf("%v, want unreachable because of NOREPLICAS", lost)
	}
	if d := at.Sub(missed); d > ttl {
		t.Errorf("lost %v after the replica was missed", d)
	}
	if err := replica.Resume(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the replica follows again", good("1"))
	release(t, p.acquire(t, "k"))
	t.Logf("acquire: %v after %v; the holder stopped %v after the replica was missed", err, round(took), round(at.Sub(missed)))
}

// rootOf returns the error of the server inside err, or err.
func rootOf(err error) error {
	var server redis.Error
	if errors.As(err, &server) {
		return server
	}
	return err
}

func TestServerThatLoadsItsData(t *testing.T) {
	t.Parallel()
	const keys, perKey = 4000, 500 * time.Microsecond
	server := testbed.StartRedis(t, &testbed.RedisOptions{Args: []string{
		"--key-load-delay", fmt.Sprint(perKey.Microseconds()), "--loading-process-events-interval-bytes", "1024"}})
	p := newProcess(t, server.Addr(), &lock.Options{TTL: 12 * time.Second})
	hasty := newProcess(t, server.Addr(), &lock.Options{TTL: time.Second})
	for i := range keys {
		if err := p.client.Set(t.Context(), fmt.Sprint("data", i), strings.Repeat("x", 100), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	l := p.acquire(t, "k")
	if _, err := server.Command("SAVE"); err != nil {
		t.Fatal(err)
	}
	gone := time.Now()
	server.Kill()
	restarted := make(chan error, 1)
	go func() { restarted <- server.Restart() }()
	wait(t, "the server loads", func() bool {
		info, err := server.Info("persistence")
		return err == nil && info["loading"] == "1"
	})
	start := time.Now()
	_, err := hasty.locks.TryAcquire(t.Context(), "other")
	took := time.Since(start)
	if !errors.Is(err, lock.ErrUnavailable) || !redis.IsLoadingError(err) {
		t.Errorf("acquire: %v, want unavailable and LOADING", err)
	}
	if took > time.Second+500*time.Millisecond+slack {
		t.Errorf("acquire failed after %v", took)
	}
	if err := <-restarted; err != nil {
		t.Fatal(err)
	}
	away := time.Since(gone)
	p.renewed.Store(0)
	wait(t, "a renewal after that", func() bool { return p.renewed.Load() > 0 })
	if !l.Valid(0) {
		t.Errorf("lost: %v", context.Cause(l.Context()))
	}
	release(t, l)
	t.Logf("acquire: %v after %v; held through %v of restart", err, round(took), round(away))
}
