// Package stores connects to the servers of package testbed as processes do, with the options that are
// recommended to them, for suites that test the same on all engines.
package stores

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/concord-go/concord/internal/testbed"
)

// The kinds of store.
const (
	Redis    = "redis" // a single server
	Sentinel = "sentinel"
	Cluster  = "cluster"
	Etcd     = "etcd"
)

// Store says where the state of a primitive is kept, in a form that can be handed to another process. The
// zero Store is nowhere.
type Store struct {
	Kind     string
	Addrs    []string
	Master   string // of Sentinel
	Replicas int    // that confirm each grant
}

// OfRedis returns the store of a server.
func OfRedis(r *testbed.Redis) Store { return Store{Kind: Redis, Addrs: []string{r.Addr()}} }

// OfSentinel returns the store of a group of servers, of which so many replicas confirm each grant.
func OfSentinel(s *testbed.Sentinel, replicas int) Store {
	return Store{Kind: Sentinel, Addrs: s.Addrs(), Master: s.MasterName(), Replicas: replicas}
}

// OfCluster returns the store of a cluster, of which so many replicas confirm each grant.
func OfCluster(c *testbed.Cluster, replicas int) Store {
	return Store{Kind: Cluster, Addrs: c.Addrs(), Replicas: replicas}
}

// OfEtcd returns the store of one or more nodes.
func OfEtcd(e *testbed.Etcd) Store { return Store{Kind: Etcd, Addrs: e.Endpoints()} }

// String names the kind, and for etcd the number of nodes.
func (s Store) String() string {
	if s.Kind == Etcd {
		return fmt.Sprint(Etcd, " ", len(s.Addrs))
	}
	return s.Kind
}

// Encode returns the store as text, for [Decode] in another process.
func (s Store) Encode() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Decode returns the store that Encode made a text of.
func Decode(text string) (s Store, err error) {
	err = json.Unmarshal([]byte(text), &s)
	return s, err
}

// Every runs a test on one server of Redis and on one node of etcd.
func Every(t *testing.T, f func(t *testing.T, s Store)) {
	t.Run(Redis, func(t *testing.T) {
		t.Parallel()
		f(t, OfRedis(testbed.StartRedis(t, nil)))
	})
	t.Run(Etcd, func(t *testing.T) {
		t.Parallel()
		f(t, OfEtcd(testbed.StartEtcd(t, nil)))
	})
}
