package testbed

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	sentinelMaster = "concord"
	sentinelCount  = 3
	sentinelQuorum = 2

	defaultDownAfter       = time.Second
	defaultFailoverTimeout = 3 * time.Second
	defaultDemoteAfter     = 2 * time.Second

	// sentinelTick is how often a sentinel does anything: no setting can be shorter.
	sentinelTick = 100 * time.Millisecond

	// groupWait bounds the wait for a group whose servers all answer already.
	groupWait = 30 * time.Second
)

// SentinelOptions are the settings of a group of servers under Redis Sentinel. Nil means the
// defaults.
type SentinelOptions struct {
	// Replicas is the number of replicas, 1 or 2. Default 1.
	Replicas int

	// DownAfter is how long a server must not answer until the sentinels regard it as down.
	// Default 1 s.
	DownAfter time.Duration

	// FailoverTimeout bounds one failover. After one that failed, the next begins twice this time
	// later. Default 3 s.
	FailoverTimeout time.Duration

	// DemoteAfter is how long, at least, a former primary that is back takes itself for a primary,
	// until the sentinels make it a replica. Default 2 s; Redis has 8 s.
	DemoteAfter time.Duration

	// AppendOnly keeps the data in append-only files, so that it survives Kill and Restart.
	AppendOnly bool

	// Args are further arguments for the primary and the replicas, for example
	// "--min-replicas-to-write", "1". They win over the settings made here.
	Args []string
}

// Sentinel is a primary with replicas, watched by three sentinels of which two must agree, on
// loopback ports. It is made by [StartSentinel] or [LaunchSentinel]; the zero value is not usable.
// All methods may be called from any goroutine.
type Sentinel struct {
	nodes     redisGroup
	sentinels redisGroup
}

// StartSentinel starts a group that ends with the test, and returns when a failover could begin:
// all replicas are in sync, and all sentinels know all servers and each other. Without a
// redis-server on the PATH it skips the test, or fails it where CONCORD_REQUIRE names redis. A
// test that fails logs the end of the servers' logs.
func StartSentinel(tb testing.TB, opts *SentinelOptions) *Sentinel {
	tb.Helper()
	if _, err := FindRedis(); err != nil {
		missing(tb, "redis", err)
	}
	s, err := LaunchSentinel(context.Background(), tb.TempDir(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	s.all().stopWith(tb)
	return s
}

// LaunchSentinel starts a group outside a test, with its files in dir, and returns when a failover
// could begin. The end of ctx ends the wait for it, not the servers: the caller must call Stop.
func LaunchSentinel(ctx context.Context, dir string, opts *SentinelOptions) (*Sentinel, error) {
	if opts == nil {
		opts = &SentinelOptions{}
	}
	o := *opts
	o.Replicas = cmp.Or(o.Replicas, 1)
	o.DownAfter = cmp.Or(o.DownAfter, defaultDownAfter)
	o.FailoverTimeout = cmp.Or(o.FailoverTimeout, defaultFailoverTimeout)
	o.DemoteAfter = cmp.Or(o.DemoteAfter, defaultDemoteAfter)
	if o.Replicas != 1 && o.Replicas != 2 {
		return nil, fmt.Errorf("redis sentinel: a primary has 1 or 2 replicas, not %d", o.Replicas)
	}
	if min(o.DownAfter, o.FailoverTimeout, o.DemoteAfter) < sentinelTick {
		return nil, fmt.Errorf("redis sentinel: DownAfter, FailoverTimeout and DemoteAfter must be at least %v", sentinelTick)
	}
	program, err := FindRedis()
	if err != nil {
		return nil, err
	}
	return onFreePorts(1+o.Replicas+sentinelCount, nil, func(ports []int) (*Sentinel, error) {
		return launchSentinel(ctx, program, dir, ports, &o)
	})
}

func launchSentinel(ctx context.Context, program, dir string, ports []int, o *SentinelOptions) (*Sentinel, error) {
	var s Sentinel
	var err error
	if s.nodes, err = newGroup(program, dir, "redis", ports[sentinelCount:]); err != nil {
		return nil, err
	}
	if s.sentinels, err = newGroup(program, dir, "sentinel", ports[:sentinelCount]); err != nil {
		return nil, err
	}
	if err := errors.Join(s.configureNodes(o), s.configureSentinels(o)); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start redis sentinel: %w", err)
	}
	return &s, nil
}

// start starts everything in such an order that nobody looks for a server that is not there yet:
// servers try again only a second later.
func (s *Sentinel) start(ctx context.Context) error {
	primary, replicas := s.nodes[0], s.nodes[1:]
	if err := primary.start(ctx); err != nil {
		return err
	}
	if err := replicas.start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, groupWait)
	defer cancel()
	err := until(ctx, "all replicas are in sync", func() error {
		return replicas.each(func(_ int, r *Redis) error { return follows(ctx, r, primary) })
	})
	if err != nil {
		return err
	}
	if err := s.sentinels.start(ctx); err != nil {
		return err
	}
	return until(ctx, "the sentinels know all servers", func() error { return s.ready(ctx) })
}

// configureNodes makes the first node the primary. Whose replica a node is stands in a file, where
// the sentinels have it changed, so that it outlasts a restart.
func (s *Sentinel) configureNodes(o *SentinelOptions) error {
	for i, r := range s.nodes {
		role := ""
		if i > 0 {
			role = fmt.Sprintf("replicaof 127.0.0.1 %d\n", s.nodes[0].port)
		}
		r.config = filepath.Join(r.dir, "redis.conf")
		if err := os.WriteFile(r.config, []byte(role), 0o644); err != nil {
			return err
		}
		r.args = slices.Concat(persistence(o.AppendOnly), []string{
			"--replica-announce-ip", "127.0.0.1", "--replica-announce-port", strconv.Itoa(r.port),
			"--repl-diskless-sync-delay", "0", // the first replica waits for no others
		}, o.Args)
	}
	return nil
}

// configureSentinels writes down what sentinels otherwise find out in some seconds: the replicas
// and each other.
func (s *Sentinel) configureSentinels(o *SentinelOptions) error {
	ids := make([]string, len(s.sentinels))
	for i := range ids {
		id := make([]byte, 20)
		_, _ = rand.Read(id) // never fails
		ids[i] = hex.EncodeToString(id)
	}
	for i, r := range s.sentinels {
		lines := []string{
			"sentinel myid " + ids[i],
			"sentinel announce-ip 127.0.0.1",
			fmt.Sprintf("sentinel announce-port %d", r.port),
			fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", sentinelMaster, s.nodes[0].port, sentinelQuorum),
			fmt.Sprintf("sentinel down-after-milliseconds %s %d", sentinelMaster, o.DownAfter.Milliseconds()),
			fmt.Sprintf("sentinel failover-timeout %s %d", sentinelMaster, o.FailoverTimeout.Milliseconds()),
			fmt.Sprintf("sentinel parallel-syncs %s %d", sentinelMaster, o.Replicas),
		}
		for _, replica := range s.nodes[1:] {
			lines = append(lines, fmt.Sprintf("sentinel known-replica %s 127.0.0.1 %d", sentinelMaster, replica.port))
		}
		for j, other := range s.sentinels {
			if j != i {
				lines = append(lines, fmt.Sprintf("sentinel known-sentinel %s 127.0.0.1 %d %s", sentinelMaster, other.port, ids[j]))
			}
		}
		r.config = filepath.Join(r.dir, "sentinel.conf")
		if err := os.WriteFile(r.config, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			return err
		}
		r.args = []string{"--sentinel"}
		// A former primary must have been back for four of the periods in which sentinels publish
		// what they know. With a ping in no less than DownAfter a sentinel takes a server that it
		// has just met for one that is down. The other two are 10 s and 30 s elsewhere: how often a
		// sentinel looks which role a server has, and how long it does nothing after it was suspended.
		r.greet = [][]string{{
			"SENTINEL", "DEBUG",
			"publish-period", strconv.FormatInt(o.DemoteAfter.Milliseconds()/4, 10),
			"ping-period", strconv.FormatInt(o.DownAfter.Milliseconds()/4, 10),
			"info-period", "1000", "tilt-period", "1000",
		}}
	}
	return nil
}

func (s *Sentinel) all() redisGroup { return slices.Concat(s.nodes, s.sentinels) }

// Addrs returns the addresses of the sentinels. They stay the same over restarts.
func (s *Sentinel) Addrs() []string { return s.sentinels.addrs() }

// MasterName returns the name under which the sentinels know the primary.
func (s *Sentinel) MasterName() string { return sentinelMaster }

// Nodes returns the primary and the replicas. The first was the primary at the start.
func (s *Sentinel) Nodes() []*Redis { return s.nodes }

// Sentinels returns the sentinels.
func (s *Sentinel) Sentinels() []*Redis { return s.sentinels }

// Stop lets all servers end in good order and returns when they are gone.
func (s *Sentinel) Stop() { s.all().stop() }

// ready returns nil when every sentinel is in contact with all servers and has seen all replicas
// in good order; only then can it promote one.
func (s *Sentinel) ready(ctx context.Context) error {
	for _, r := range s.sentinels {
		for _, list := range []struct {
			command, flags string
			count          int
		}{
			{"MASTERS", "master", 1},
			{"REPLICAS", "slave", len(s.nodes) - 1},
			{"SENTINELS", "sentinel", sentinelCount - 1},
		} {
			if err := r.knows(ctx, list.command, list.flags, list.count); err != nil {
				return err
			}
		}
	}
	return nil
}

// knows returns nil when one of the sentinel's lists has so many servers, all of them up.
func (r *Redis) knows(ctx context.Context, list, flags string, count int) error {
	args := []string{"SENTINEL", list}
	if list != "MASTERS" {
		args = append(args, sentinelMaster)
	}
	servers, err := r.probe(ctx, args)
	if err != nil {
		return err
	}
	if len(servers.list) != count {
		return fmt.Errorf("%s of the sentinel at %s: %d instead of %d", list, r.Addr(), len(servers.list), count)
	}
	for _, server := range servers.list {
		f := server.fields()
		if f["flags"] != flags || f["master-link-status"] != "" && f["master-link-status"] != "ok" {
			return fmt.Errorf("%s of the sentinel at %s: %s is %s", list, r.Addr(), f["name"], f["flags"])
		}
	}
	return nil
}
