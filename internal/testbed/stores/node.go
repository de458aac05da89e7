package stores

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/concord-go/concord/backend/etcdbackend"
	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

// Node is a client and a backend of its own, as a process has them: of Redis or of etcd, the fields of
// the other are nil. Make one with [Connect]. Its methods may be called from any goroutine.
type Node struct {
	Redis       *redisbackend.Backend
	RedisClient redis.UniversalClient
	Etcd        *etcdbackend.Backend
	EtcdClient  *clientv3.Client
}

// Route is how the client of a node reaches the servers. Nil is as they are.
type Route struct {
	Network *faultnet.Network // nil: without faults
	Calls   *Calls            // nil: nobody counts
}

func (r *Route) dialer() func(context.Context, string, string) (net.Conn, error) {
	if r == nil || r.Network == nil {
		return nil
	}
	return r.Network.DialContext
}

// silent is the logger of backends: what goes wrong with them is meant to.
var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

// Connect makes a node. The caller must call its End.
func Connect(s Store, r *Route) (*Node, error) {
	if s.Kind == Etcd {
		return connectEtcd(s, r)
	}
	var client redis.UniversalClient
	switch s.Kind {
	case Redis:
		o := recommended.Redis(s.Addrs[0])
		o.Dialer = r.dialer()
		client = redis.NewClient(o)
	case Sentinel:
		o := recommended.Sentinel(s.Addrs, s.Master)
		o.Dialer = r.dialer()
		client = redis.NewFailoverClient(o)
	case Cluster:
		o := recommended.Cluster(s.Addrs)
		o.Dialer = r.dialer()
		client = redis.NewClusterClient(o)
	default:
		return nil, fmt.Errorf("no store of the kind %q", s.Kind)
	}
	if r != nil && r.Calls != nil {
		client.AddHook(r.Calls)
	}
	be, err := redisbackend.New(client, &redisbackend.Options{WaitReplicas: s.Replicas, Logger: silent})
	if err != nil {
		return nil, err
	}
	return &Node{Redis: be, RedisClient: client}, nil
}

func connectEtcd(s Store, r *Route) (*Node, error) {
	c := recommended.Etcd(s.Addrs)
	if r != nil && r.Network != nil {
		c = recommended.Dialing(c, r.Network.DialAddr)
	}
	if r != nil && r.Calls != nil {
		c.DialOptions = append(c.DialOptions, grpc.WithUnaryInterceptor(r.Calls.unary), grpc.WithStreamInterceptor(r.Calls.stream))
	}
	client, err := clientv3.New(c)
	if err != nil {
		return nil, err
	}
	be, err := etcdbackend.New(client, &etcdbackend.Options{Logger: silent})
	if err != nil {
		return nil, err
	}
	return &Node{Etcd: be, EtcdClient: client}, nil
}

// Leases returns the port of claims.
func (n *Node) Leases() lease.Backend {
	if n.Etcd != nil {
		return n.Etcd.Leases()
	}
	return n.Redis.Leases()
}

// Limits returns the port of rate limits.
func (n *Node) Limits() ratelimit.Backend {
	if n.Etcd != nil {
		return n.Etcd.Limits()
	}
	return n.Redis.Limits()
}

// End closes the backend and the client, in this order. It may be called again.
func (n *Node) End(ctx context.Context) error {
	if n.Etcd != nil {
		return errors.Join(n.Etcd.Close(ctx), n.EtcdClient.Close())
	}
	if err := n.Redis.Close(ctx); err != nil {
		return err
	}
	if err := n.RedisClient.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}
