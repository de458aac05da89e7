package memberfaults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/concord-go/concord/backend/etcdbackend"
	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lease"
)

const (
	single   = "redis"
	sentinel = "sentinel"
	cluster  = "cluster"
	etcd     = "etcd"
)

// store says where groups are kept, in a form that can be handed to another process.
type store struct {
	Kind     string
	Addrs    []string
	Master   string // of Sentinel
	Replicas int    // that confirm each grant
}

func ofRedis(r *testbed.Redis) store { return store{Kind: single, Addrs: []string{r.Addr()}} }

func ofSentinel(s *testbed.Sentinel, replicas int) store {
	return store{Kind: sentinel, Addrs: s.Addrs(), Master: s.MasterName(), Replicas: replicas}
}

func ofCluster(c *testbed.Cluster) store { return store{Kind: cluster, Addrs: c.Addrs()} }

func ofEtcd(e *testbed.Etcd) store { return store{Kind: etcd, Addrs: e.Endpoints()} }

func (s store) encode() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// everyStore runs a test on one server of Redis and on one node of etcd.
func everyStore(t *testing.T, f func(t *testing.T, s store)) {
	t.Run(single, func(t *testing.T) {
		t.Parallel()
		f(t, ofRedis(testbed.StartRedis(t, nil)))
	})
	t.Run(etcd, func(t *testing.T) {
		t.Parallel()
		f(t, ofEtcd(testbed.StartEtcd(t, nil)))
	})
}

// node is a client and a backend of its own, as a process has them.
type node struct {
	leases lease.Backend
	end    func(ctx context.Context) error
}

// route is how the client of a node reaches the servers, nil as they are.
type route struct {
	network *faultnet.Network
	calls   *calls
}

func (r *route) dialer() func(context.Context, string, string) (net.Conn, error) {
	if r == nil || r.network == nil {
		return nil
	}
	return r.network.DialContext
}

// connect makes a node. What goes wrong with it is meant to.
func connect(s store, r *route) (*node, error) {
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))
	if s.Kind == etcd {
		return connectEtcd(s, r, silent)
	}
	var client redis.UniversalClient
	switch s.Kind {
	case single:
		o := recommended.Redis(s.Addrs[0])
		o.Dialer = r.dialer()
		client = redis.NewClient(o)
	case sentinel:
		o := recommended.Sentinel(s.Addrs, s.Master)
		o.Dialer = r.dialer()
		client = redis.NewFailoverClient(o)
	case cluster:
		o := recommended.Cluster(s.Addrs)
		o.Dialer = r.dialer()
		client = redis.NewClusterClient(o)
	default:
		return nil, fmt.Errorf("no store of the kind %q", s.Kind)
	}
	if r != nil && r.calls != nil {
		client.AddHook(r.calls)
	}
	be, err := redisbackend.New(client, &redisbackend.Options{WaitReplicas: s.Replicas, Logger: silent})
	if err != nil {
		return nil, err
	}
	return &node{be.Leases(), func(ctx context.Context) error {
		if err := be.Close(ctx); err != nil {
			return err
		}
		if err := client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			return err
		}
		return nil
	}}, nil
}

func connectEtcd(s store, r *route, silent *slog.Logger) (*node, error) {
	c := recommended.Etcd(s.Addrs)
	if r != nil && r.network != nil {
		c = recommended.Dialing(c, r.network.DialAddr)
	}
	if r != nil && r.calls != nil {
		c.DialOptions = append(c.DialOptions, grpc.WithUnaryInterceptor(r.calls.unary), grpc.WithStreamInterceptor(r.calls.stream))
	}
	client, err := clientv3.New(c)
	if err != nil {
		return nil, err
	}
	be, err := etcdbackend.New(client, &etcdbackend.Options{Logger: silent})
	if err != nil {
		return nil, err
	}
	return &node{be.Leases(), func(ctx context.Context) error {
		return errors.Join(be.Close(ctx), client.Close())
	}}, nil
}
