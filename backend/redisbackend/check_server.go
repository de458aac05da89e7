package redisbackend

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/check"
)

const (
	minMajor   = 7 // errors inside scripts keep their code, writes are checked for memory as we rely on
	clockNoted = 10 * time.Second
)

// checkClock measures the round trip and how far the server's clock is from ours. No deadline
// depends on that distance, but a clock that is wrong today will be set right some day.
func (b *Backend) checkClock(ctx context.Context, r *check.Report) error {
	const subject = "clock"
	best, off := time.Hour, time.Duration(0)
	for range 3 {
		sent := time.Now()
		now, err := b.readTime(ctx)
		if err != nil {
			return barred(r, err, check.LevelError, subject, "cannot read the time of the server")
		}
		if trip := time.Since(sent); trip < best {
			best, off = trip, time.UnixMilli(now).Sub(sent.Add(trip/2))
		}
	}
	level, advice := check.LevelOK, ""
	if off.Abs() > clockNoted {
		level, advice = check.LevelWarning, ": while it is set right, claims end early or live longer"
	}
	r.Add(level, subject, "round trip %v, the server's clock is %v from ours%s",
		best.Round(time.Microsecond), off.Round(time.Millisecond), advice)
	return nil
}

// checkServer reads version, mode, role, persistence and eviction.
func (b *Backend) checkServer(ctx context.Context, r *check.Report) error {
	v, err := b.do(ctx, "info")
	if err != nil {
		return barred(r, err, check.LevelWarning, "server", "INFO is barred, so version, role, persistence and eviction are unknown")
	}
	text, _ := v.(string)
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}

	version := info["redis_version"]
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < minMajor {
		r.Add(check.LevelError, "version", "Redis %s is too old, at least %d is needed", version, minMajor)
	} else {
		r.Add(check.LevelOK, "version", "Redis %s", version)
	}

	switch mode := info["redis_mode"]; mode {
	case "cluster", "sentinel":
		r.Add(check.LevelError, "mode", "%s is not supported yet", mode)
	default:
		r.Add(check.LevelOK, "mode", "%s", mode)
	}

	replicas, _ := strconv.Atoi(info["connected_slaves"])
	switch {
	case info["role"] == "slave":
		r.Add(check.LevelError, "role", "this is a replica; the primary is %s:%s", info["master_host"], info["master_port"])
	case replicas > 0:
		r.Add(check.LevelWarning, "role", "primary with %d replicas, which follow behind: a fail-over can undo grants and releases, so check tokens where the work is done", replicas)
	default:
		r.Add(check.LevelOK, "role", "primary without replicas")
	}

	if info["aof_enabled"] == "1" {
		r.Add(check.LevelOK, "persistence", "append-only file is on; unless appendfsync is always, a crash can undo the last second")
	} else {
		r.Add(check.LevelWarning, "persistence", "append-only file is off: a restart forgets who holds what (set appendonly yes)")
	}
	return b.checkEviction(ctx, r, info)
}

// checkEviction looks at CONFIG, and where that is barred at INFO.
func (b *Backend) checkEviction(ctx context.Context, r *check.Report, info map[string]string) error {
	policy := info["maxmemory_policy"]
	config := redis.NewMapStringStringCmd(ctx, "config", "get", "maxmemory-policy")
	if err := b.client.Process(ctx, config); err == nil && config.Val()["maxmemory-policy"] != "" {
		policy = config.Val()["maxmemory-policy"]
	} else if err != nil && temporary(err) {
		return err
	}
	switch policy {
	case "noeviction":
		r.Add(check.LevelOK, "eviction", "noeviction")
	case "":
		r.Add(check.LevelWarning, "eviction", "maxmemory-policy cannot be read; it must be noeviction")
	default:
		r.Add(check.LevelWarning, "eviction", "maxmemory-policy is %s: short of memory the server drops claims that are held (set noeviction)", policy)
	}
	return nil
}

// checkPush tries to publish and to subscribe. Without either waiters ask instead of being told.
func (b *Backend) checkPush(ctx context.Context, r *check.Report) error {
	const subject, effect = "push", "waiters fall back to asking, and hand-offs are slower"
	if _, err := b.do(ctx, argPublish, b.hub.channel, ""); err != nil {
		return barred(r, err, check.LevelWarning, subject, "PUBLISH fails, %s", effect)
	}
	timeout := silence
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	sub := b.client.Subscribe(ctx, b.hub.channel)
	defer func() { _ = sub.Close() }() // what it heard is known by then
	if _, err := sub.ReceiveTimeout(ctx, max(timeout, time.Millisecond)); err != nil {
		return barred(r, err, check.LevelWarning, subject, "SUBSCRIBE fails, %s", effect)
	}
	r.Add(check.LevelOK, subject, "publish and subscribe work")
	return nil
}

// checkClient looks at the options of the client, if it tells them.
func (b *Backend) checkClient(r *check.Report) {
	const subject = "client"
	client, ok := b.client.(interface{ Options() *redis.Options })
	if !ok {
		r.Add(check.LevelOK, subject, "%T does not tell its options", b.client)
		return
	}
	good := true
	advise := func(ok bool, format string, args ...any) {
		if !ok {
			good = false
			r.Add(check.LevelWarning, subject, format, args...)
		}
	}
	o := client.Options()
	if o.Addr == "FailoverClient" {
		good = false
		r.Add(check.LevelError, subject, "a fail-over client (Sentinel) is not supported yet")
	}
	advise(o.ContextTimeoutEnabled, "ContextTimeoutEnabled is off: calls outlive the deadline of their ctx (set it)")
	advise(o.ReadTimeout > 0 && o.ReadTimeout <= time.Second, "ReadTimeout is %v: a lost answer is noticed late (set 1s or less)", o.ReadTimeout)
	advise(o.DialTimeout <= 2*time.Second, "DialTimeout is %v (set 1s)", o.DialTimeout)
	advise(o.DialerRetries <= 2, "DialerRetries is %d: each refused connection is tried so often, 100 ms apart (set 1)", o.DialerRetries)
	if good {
		r.Add(check.LevelOK, subject, "timeouts are as recommended")
	}
}
