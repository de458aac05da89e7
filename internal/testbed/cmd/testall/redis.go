package main

import (
	"context"
	"fmt"
	"os"

	"github.com/concord-go/concord/internal/testbed"
)

const (
	addrEnv    = "REDIS_ADDR"
	requireEnv = "CONCORD_REQUIRE"
)

// server is the Redis that the tests use. The zero value is somebody else's and is never stopped.
type server struct {
	redis *testbed.Redis
	dir   string
}

// useRedis finds or starts a server and tells the children of this process about it through the
// environment.
func useRedis(ctx context.Context) (server, error) {
	if addr := os.Getenv(addrEnv); addr != "" {
		version, err := redisVersion(addr)
		if err != nil {
			return server{}, fmt.Errorf("%s=%s: %w", addrEnv, addr, err)
		}
		fmt.Printf("redis %s at %s, not started here\n", version, addr)
		return server{}, require("redis", addrEnv, addr)
	}
	if err := needRedis(ctx); err != nil {
		return server{}, err
	}
	dir, err := os.MkdirTemp("", "testall-redis-")
	if err != nil {
		return server{}, err
	}
	s := server{dir: dir}
	if s.redis, err = testbed.LaunchRedis(ctx, dir, nil); err != nil {
		s.stop()
		return server{}, err
	}
	fmt.Printf("redis at %s\n", s.redis.Addr())
	if err := require("redis", addrEnv, s.redis.Addr()); err != nil {
		s.stop()
		return server{}, err
	}
	return s, nil
}

// require makes the tests use the server named by the variable env, and fail instead of skip
// without it.
func require(name, env, value string) error {
	required := name
	if more := os.Getenv(requireEnv); more != "" {
		required += "," + more
	}
	if err := os.Setenv(requireEnv, required); err != nil {
		return err
	}
	return os.Setenv(env, value)
}

// stop ends the server, if it was started here, and removes its files.
func (s server) stop() {
	if s.redis != nil {
		s.redis.Stop()
	}
	removeAll(s.dir)
}

func removeAll(dir string) {
	if dir == "" {
		return
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "testall:", err)
	}
}
