package lockfaults

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// clusterProcess is a process whose locks are in a cluster.
type clusterProcess struct {
	process // without a client of its kind
	client  *redis.ClusterClient
}

func startCluster(t *testing.T, o *testbed.ClusterOptions) *testbed.Cluster {
	t.Helper()
	c := testbed.StartCluster(t, o)
	dialersEnd(t)
	return c
}

// newClusterProcess starts a process whose grants must be confirmed by so many replicas. It ends
// with the test, and must do so cleanly.
func newClusterProcess(t testing.TB, c *testbed.Cluster, o *lock.Options, replicas int) *clusterProcess {
	t.Helper()
	p := &clusterProcess{client: redis.NewClusterClient(recommended.Cluster(c.Addrs()))}
	p.be = newBackend(t, p.client, replicas)
	var err error
	if p.locks, err = lock.New(p.be.Leases(), p.counting(o)); err != nil {
		t.Fatal(err)
	}
	ends(t, p.end)
	return p
}

// end closes everything, in the documented order. It may be called again.
func (p *clusterProcess) end(ctx context.Context) error {
	if err := errors.Join(p.locks.Close(ctx), p.be.Close(ctx)); err != nil {
		return err
	}
	if err := p.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}

func clusterLockers(t *testing.T, c *testbed.Cluster, n int, o *lock.Options) (list []*lock.Locker) {
	for range n {
		list = append(list, newClusterProcess(t, c, o, 0).locks)
	}
	return list
}

// bucketOf returns the bucket of a key: what stands in the hash tag of all its names.
func bucketOf(key string) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // never fails
	return int(h.Sum64() % 128)
}

func slotOf(key string) int { return testbed.Slot(fmt.Sprintf("{concord.%d}", bucketOf(key))) }

// keysOn returns n keys of as many buckets that a primary keeps.
func keysOn(t *testing.T, c *testbed.Cluster, primary *testbed.Redis, n int) (keys []string) {
	t.Helper()
	seen := map[int]bool{}
	for i := 0; len(keys) < n; i++ {
		key := fmt.Sprint("k", i)
		if seen[bucketOf(key)] {
			continue
		}
		seen[bucketOf(key)] = true
		keeper, err := c.Primary(slotOf(key))
		if err != nil {
			t.Fatal(err)
		}
		if keeper == primary {
			keys = append(keys, key)
		}
	}
	return keys
}

// keysOfBucket returns n further keys of the bucket of a key.
func keysOfBucket(key string, n int) (keys []string) {
	for i := 0; len(keys) < n; i++ {
		if k := fmt.Sprint("same", i); bucketOf(k) == bucketOf(key) {
			keys = append(keys, k)
		}
	}
	return keys
}
