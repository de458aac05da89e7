package testbed

import (
	"slices"
	"testing"
)

func TestRunningServersAreUsed(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // nothing could be started
	for _, env := range []string{sentinelAddrsEnv, clusterAddrsEnv, etcdClusterEnv} {
		t.Setenv(env, "a:1, b:2,")
	}
	want := []string{"a:1", "b:2"}
	addrs, master := SentinelAddrs(t)
	if !slices.Equal(addrs, want) || master != "concord" {
		t.Errorf("SentinelAddrs = %q, %q", addrs, master)
	}
	t.Setenv(sentinelMasterEnv, "other")
	if _, master := SentinelAddrs(t); master != "other" {
		t.Errorf("the primary is named %q", master)
	}
	if got := ClusterAddrs(t); !slices.Equal(got, want) {
		t.Errorf("ClusterAddrs = %q", got)
	}
	if got := EtcdClusterEndpoints(t); !slices.Equal(got, want) {
		t.Errorf("EtcdClusterEndpoints = %q", got)
	}
}

func TestServersAreStartedWhereNoneRuns(t *testing.T) {
	for _, env := range []string{sentinelAddrsEnv, sentinelMasterEnv, clusterAddrsEnv, etcdClusterEnv} {
		t.Setenv(env, "")
	}
	addrs, master := SentinelAddrs(t)
	if len(addrs) != 3 {
		t.Fatalf("SentinelAddrs = %q", addrs)
	}
	if _, err := Command(addrs[2], "SENTINEL", "CKQUORUM", master); err != nil {
		t.Error(err)
	}
	if addrs := ClusterAddrs(t); len(addrs) != 6 {
		t.Errorf("ClusterAddrs = %q", addrs)
	}
	if endpoints := EtcdClusterEndpoints(t); len(endpoints) != 3 {
		t.Errorf("EtcdClusterEndpoints = %q", endpoints)
	}
}
