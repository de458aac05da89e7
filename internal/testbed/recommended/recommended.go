// Package recommended has the client options that docs/operations.md and the package docs of the backends
// recommend, for the tests of all engines.
package recommended

import (
	"context"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// Redis returns the options for one server.
func Redis(addr string) *redis.Options {
	return &redis.Options{
		Addr:                  addr,
		ContextTimeoutEnabled: true,
		ReadTimeout:           time.Second,
		DialTimeout:           time.Second,
		DialerRetries:         1,
	}
}

// Sentinel returns the options for the primary that the sentinels at addrs name.
func Sentinel(addrs []string, master string) *redis.FailoverOptions {
	return &redis.FailoverOptions{
		MasterName:            master,
		SentinelAddrs:         addrs,
		ContextTimeoutEnabled: true,
		ReadTimeout:           time.Second,
		DialTimeout:           time.Second,
		DialerRetries:         1,
	}
}

// Cluster returns the options for a Redis Cluster.
func Cluster(addrs []string) *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs:                 addrs,
		ContextTimeoutEnabled: true,
		ReadTimeout:           time.Second,
		DialTimeout:           time.Second,
		DialerRetries:         1,
	}
}

// Etcd returns the options for a cluster of etcd.
func Etcd(endpoints []string) clientv3.Config {
	return clientv3.Config{
		Endpoints:            endpoints,
		DialTimeout:          2 * time.Second,
		DialKeepAliveTime:    5 * time.Second,
		DialKeepAliveTimeout: 2 * time.Second,
		Logger:               zap.NewNop(),
	}
}

// Dialing has a client of etcd dial with dial.
func Dialing(c clientv3.Config, dial func(context.Context, string) (net.Conn, error)) clientv3.Config {
	c.DialOptions = append(c.DialOptions, grpc.WithContextDialer(dial))
	return c
}
