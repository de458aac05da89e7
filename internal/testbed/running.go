package testbed

import (
	"cmp"
	"os"
	"strings"
	"testing"
)

// These name servers that run already, as comma-separated addresses.
const (
	sentinelAddrsEnv  = "REDIS_SENTINEL_ADDRS"
	sentinelMasterEnv = "REDIS_SENTINEL_MASTER" // the name of the primary, unless it is "concord"
	clusterAddrsEnv   = "REDIS_CLUSTER_ADDRS"
	etcdClusterEnv    = "ETCD_CLUSTER_ENDPOINTS"
)

// SentinelAddrs returns the addresses of sentinels and the name of their primary, for tests that do
// no harm to servers: those that REDIS_SENTINEL_ADDRS and REDIS_SENTINEL_MASTER name, or else of
// [StartSentinel].
func SentinelAddrs(tb testing.TB) (addrs []string, master string) {
	tb.Helper()
	if addrs := named(sentinelAddrsEnv); addrs != nil {
		return addrs, cmp.Or(os.Getenv(sentinelMasterEnv), sentinelMaster)
	}
	s := StartSentinel(tb, nil)
	return s.Addrs(), s.MasterName()
}

// ClusterAddrs returns the addresses of a Redis Cluster, for tests that do no harm to servers: the
// one that REDIS_CLUSTER_ADDRS names, or else of [StartCluster].
func ClusterAddrs(tb testing.TB) []string {
	tb.Helper()
	if addrs := named(clusterAddrsEnv); addrs != nil {
		return addrs
	}
	return StartCluster(tb, nil).Addrs()
}

// EtcdClusterEndpoints returns the endpoints of an etcd cluster, for tests that do no harm to
// servers: the one that ETCD_CLUSTER_ENDPOINTS names, or else of [StartEtcd] with three nodes.
func EtcdClusterEndpoints(tb testing.TB) []string {
	tb.Helper()
	if endpoints := named(etcdClusterEnv); endpoints != nil {
		return endpoints
	}
	return StartEtcd(tb, &EtcdOptions{Nodes: 3}).Endpoints()
}

// named returns the addresses in a variable, or nil.
func named(env string) []string {
	var addrs []string
	for addr := range strings.SplitSeq(os.Getenv(env), ",") {
		if addr = strings.TrimSpace(addr); addr != "" {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}
