package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/concord-go/concord/internal/testbed"
)

// showRunning says which groups of servers the environment names, and checks those of Redis. Suites
// use them and start their own elsewhere, so there is nothing to start here.
func showRunning() error {
	for _, group := range []struct {
		name, env string
		redis     bool
	}{
		{"redis sentinel", sentinelEnv, true},
		{"redis cluster", clusterEnv, true},
		{"etcd cluster", "ETCD_CLUSTER_ENDPOINTS", false},
	} {
		addrs := os.Getenv(group.env)
		if addrs == "" {
			continue
		}
		if group.redis {
			for addr := range strings.SplitSeq(addrs, ",") {
				if _, err := redisVersion(strings.TrimSpace(addr)); err != nil {
					return fmt.Errorf("%s=%s: %w", group.env, addrs, err)
				}
			}
		}
		fmt.Printf("%s at %s, not started here\n", group.name, addrs)
	}
	return nil
}

// redisVersion returns the version of the server at addr, or an error if it is not supported.
func redisVersion(addr string) (string, error) {
	info, err := testbed.Info(addr, "server")
	if err != nil {
		return "", err
	}
	version := info["redis_version"]
	return version, testbed.CheckRedisVersion(version)
}
