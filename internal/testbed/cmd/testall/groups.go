package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/concord-go/concord/internal/testbed"
)

// groupsModule is the module whose programs run on every set-up of Redis and on PostgreSQL. Suites of
// the testbed start such servers by themselves; these programs are given one of each, for as long as
// they are tested.
const groupsModule = "examples"

const (
	sentinelEnv = "REDIS_SENTINEL_ADDRS"
	clusterEnv  = "REDIS_CLUSTER_ADDRS"
)

// groups are the servers that were started for it.
type groups struct {
	sentinel *testbed.Sentinel
	cluster  *testbed.Cluster
	postgres *testbed.Postgres
	dir      string
	set      []string // variables
}

// useGroups starts a Sentinel, a Cluster and a PostgreSQL, unless the environment names one.
func useGroups(ctx context.Context) (g *groups, err error) {
	g = &groups{}
	defer func() {
		if err != nil {
			g.stop()
		}
	}()
	if g.dir, err = os.MkdirTemp("", "testall-groups-"); err != nil {
		return g, err
	}
	if os.Getenv(sentinelEnv) == "" {
		if g.sentinel, err = testbed.LaunchSentinel(ctx, filepath.Join(g.dir, "sentinel"), nil); err != nil {
			return g, err
		}
		if err := g.name(sentinelEnv, g.sentinel.Addrs()); err != nil {
			return g, err
		}
	}
	if os.Getenv(clusterEnv) == "" {
		if g.cluster, err = testbed.LaunchCluster(ctx, filepath.Join(g.dir, "cluster"), nil); err != nil {
			return g, err
		}
		if err := g.name(clusterEnv, g.cluster.Addrs()); err != nil {
			return g, err
		}
	}
	if os.Getenv(postgresEnv) == "" {
		dir := filepath.Join(g.dir, "postgres")
		// It runs as another user, who must be able to get there.
		if err := errors.Join(os.Chmod(g.dir, 0o755), os.Mkdir(dir, 0o755)); err != nil {
			return g, err
		}
		if g.postgres, err = testbed.LaunchPostgres(ctx, dir, nil); err != nil {
			return g, err
		}
		if err := g.name(postgresEnv, []string{g.postgres.URL()}); err != nil {
			return g, err
		}
	}
	return g, os.Setenv(requireEnv, os.Getenv(requireEnv)+",sentinel,cluster")
}

// name tells the children of this process about a group.
func (g *groups) name(env string, addrs []string) error {
	g.set = append(g.set, env)
	fmt.Printf("%s=%s\n", env, strings.Join(addrs, ","))
	return os.Setenv(env, strings.Join(addrs, ","))
}

// stop ends what was started.
func (g *groups) stop() {
	if g.sentinel != nil {
		g.sentinel.Stop()
	}
	if g.cluster != nil {
		g.cluster.Stop()
	}
	if g.postgres != nil {
		g.postgres.Stop()
	}
	var errs []error
	for _, env := range g.set {
		errs = append(errs, os.Unsetenv(env))
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, "testall:", err)
	}
	removeAll(g.dir)
}
