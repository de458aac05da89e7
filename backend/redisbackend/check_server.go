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

// checkClock measures the round trip and how far the clock of each server is from ours. No deadline
// depends on that distance, but a clock that is wrong today will be set right some day.
func (b *Backend) checkClock(ctx context.Context, nodes []node, r *check.Report) error {
	const subject = "clock"
	slowest, farthest := time.Duration(0), time.Duration(0)
	for _, n := range nodes {
		best, off := time.Hour, time.Duration(0)
		for range 3 {
			sent := time.Now()
			reply, err := n.do(ctx, "time")
			var now int64
			if err == nil {
				now, err = parseTime(reply)
			}
			if err != nil {
				return barred(r, b.explain(err), check.LevelError, subject, "cannot read the time of the server")
			}
			if trip := time.Since(sent); trip < best {
				best, off = trip, time.UnixMilli(now).Sub(sent.Add(trip/2))
			}
		}
		slowest = max(slowest, best)
		if off.Abs() >= farthest.Abs() {
			farthest = off
		}
	}
	level, advice := check.LevelOK, ""
	if farthest.Abs() > clockNoted {
		level, advice = check.LevelWarning, ": while it is set right, claims end early or live longer"
	}
	r.Add(level, subject, "round trip %v, the server's clock is %v from ours%s",
		slowest.Round(time.Microsecond), farthest.Round(time.Millisecond), advice)
	return nil
}

// checkServers looks at each node by itself.
func (b *Backend) checkServers(ctx context.Context, nodes []node, r *check.Report) error {
	found := make([]check.Report, len(nodes))
	for i, n := range nodes {
		if err := b.checkServer(ctx, n, &found[i]); err != nil {
			return err
		}
	}
	merge(r, nodes, found)
	return nil
}

// checkServer reads version, mode, role, persistence and eviction.
func (b *Backend) checkServer(ctx context.Context, n node, r *check.Report) error {
	v, err := n.do(ctx, "info")
	if err != nil {
		return barred(r, err, check.LevelWarning, "server", "INFO is barred, so version, role, persistence and eviction are unknown")
	}
	info := parseInfo(v)
	version := info["redis_version"]
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < minMajor {
		r.Add(check.LevelError, "version", "Redis %s is too old, at least %d is needed", version, minMajor)
	} else {
		r.Add(check.LevelOK, "version", "Redis %s", version)
	}

	switch mode := info["redis_mode"]; {
	case mode == "cluster" && b.cluster == nil:
		r.Add(check.LevelError, "mode", "%v", errIsCluster)
	case mode == "sentinel":
		r.Add(check.LevelError, "mode", "this is a Sentinel and keeps no data: it is for redis.NewFailoverClient")
	default:
		r.Add(check.LevelOK, "mode", "%s", mode)
	}
	b.checkRole(r, info)

	if info["aof_enabled"] == "1" {
		r.Add(check.LevelOK, "persistence", "append-only file is on; unless appendfsync is always, a crash can undo the last second")
	} else {
		r.Add(check.LevelWarning, "persistence", "append-only file is off: a restart forgets who holds what (set appendonly yes)")
	}
	return b.checkEviction(ctx, n, r, info)
}

// checkRole compares the replicas with what was asked for.
func (b *Backend) checkRole(r *check.Report, info map[string]string) {
	const subject = "role"
	replicas, _ := strconv.Atoi(info["connected_slaves"])
	switch want := b.opt.WaitReplicas; {
	case info["role"] == "slave":
		r.Add(check.LevelError, subject, "this is a replica; the primary is %s:%s", info["master_host"], info["master_port"])
	case replicas < want:
		r.Add(check.LevelError, subject, "primary with %d replicas and WaitReplicas is %d: no lock can be had", replicas, want)
	case want > 0:
		r.Add(check.LevelOK, subject, "primary with %d replicas, of which %d must confirm", replicas, want)
	case replicas > 0:
		r.Add(check.LevelWarning, subject, "primary with %d replicas, which follow behind: a fail-over can undo grants and releases, so check tokens where the work is done", replicas)
	default:
		r.Add(check.LevelOK, subject, "primary without replicas")
	}
}

// parseInfo reads the answer to INFO, or to another command that answers so.
func parseInfo(v any) map[string]string {
	text, _ := v.(string)
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// checkCluster asks one node of a cluster how it sees the whole.
func (b *Backend) checkCluster(ctx context.Context, nodes []node, r *check.Report) error {
	const subject = "cluster"
	if b.cluster == nil || len(nodes) == 0 {
		return nil
	}
	v, err := nodes[0].do(ctx, "cluster", "info")
	if err != nil && redis.HasErrorPrefix(err, notCluster) {
		return nil // the client knows the nodes by other means: redis.NewFailoverClusterClient
	}
	if err != nil {
		return barred(r, err, check.LevelWarning, subject, "CLUSTER INFO is barred, so its state is unknown")
	}
	info := parseInfo(v)
	switch state, assigned := info["cluster_state"], info["cluster_slots_assigned"]; {
	case state != "ok":
		r.Add(check.LevelError, subject, "state is %q with %s slots assigned", state, assigned)
	case assigned != "16384":
		r.Add(check.LevelWarning, subject, "%s of 16384 slots are assigned: keys of the others cannot be locked", assigned)
	default:
		r.Add(check.LevelOK, subject, "%d primaries, all slots assigned", len(nodes))
	}
	return nil
}

// checkEviction looks at CONFIG, and where that is barred at INFO.
func (b *Backend) checkEviction(ctx context.Context, n node, r *check.Report, info map[string]string) error {
	policy := info["maxmemory_policy"]
	config := redis.NewMapStringStringCmd(ctx, "config", "get", "maxmemory-policy")
	if err := n.client.Process(ctx, config); err == nil && config.Val()["maxmemory-policy"] != "" {
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
func (b *Backend) checkPush(ctx context.Context, _ []node, r *check.Report) error {
	const subject, effect = "push", "waiters fall back to asking, and hand-offs are slower"
	channel := b.sites[0].channel
	if _, err := b.do(ctx, b.publish, channel, ""); err != nil {
		return barred(r, err, check.LevelWarning, subject, "PUBLISH fails, %s", effect)
	}
	timeout := silence
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	sub := b.hub.subscribe(ctx, channel)
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
	var inTime, replicas bool
	var read, dial time.Duration
	var retries int
	switch client := b.client.(type) {
	case interface{ Options() *redis.Options }:
		o := client.Options()
		inTime, read, dial, retries = o.ContextTimeoutEnabled, o.ReadTimeout, o.DialTimeout, o.DialerRetries
	case interface{ Options() *redis.ClusterOptions }:
		o := client.Options()
		inTime, read, dial, retries, replicas = o.ContextTimeoutEnabled, o.ReadTimeout, o.DialTimeout, o.DialerRetries, o.ReadOnly
	default:
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
	advise(inTime, "ContextTimeoutEnabled is off: calls outlive the deadline of their ctx (set it)")
	advise(read > 0 && read <= time.Second, "ReadTimeout is %v: a lost answer is noticed late (set 1s or less)", read)
	advise(dial <= 2*time.Second, "DialTimeout is %v (set 1s)", dial)
	advise(retries <= 2, "DialerRetries is %d: each refused connection is tried so often, 100 ms apart (set 1)", retries)
	advise(!replicas, "ReadOnly is on: marks are read from replicas, which may lag behind")
	if good {
		r.Add(check.LevelOK, subject, "timeouts are as recommended")
	}
}
