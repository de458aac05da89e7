package testbed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"
)

const (
	clusterPrimaries = 3
	clusterBus       = 10000 // from the port for clients to that for other nodes

	defaultNodeTimeout = time.Second
)

// ClusterOptions are the settings of a Redis Cluster. Nil means the defaults.
type ClusterOptions struct {
	// NoReplicas leaves the primaries without a replica each.
	NoReplicas bool

	// NodeTimeout is how long a node must not answer until the others regard it as down. Default
	// 1 s.
	NodeTimeout time.Duration

	// PartialCoverage lets the cluster serve the slots that it can when others are down. By default,
	// as in Redis, it then serves none.
	PartialCoverage bool

	// AppendOnly keeps the data in append-only files, so that it survives Kill and Restart.
	AppendOnly bool

	// Args are further arguments for each server. They win over the settings made here.
	Args []string
}

// Cluster is a Redis Cluster of three primaries, with a replica each unless the options say
// otherwise, on loopback ports. It is made by [StartCluster] or [LaunchCluster]; the zero value is
// not usable. All methods may be called from any goroutine; nodes given to them must be its own.
type Cluster struct {
	nodes redisGroup // first the first primaries, then a replica of each in the same order
	ids   []string   // by which the nodes know each other
}

// StartCluster starts a cluster that ends with the test, and returns when all nodes serve, agree
// about it, and all replicas are in sync. Without a redis-server on the PATH it skips the test, or
// fails it where CONCORD_REQUIRE names redis. A test that fails logs the end of the servers' logs.
func StartCluster(tb testing.TB, opts *ClusterOptions) *Cluster {
	tb.Helper()
	if _, err := FindRedis(); err != nil {
		missing(tb, "redis", err)
	}
	c, err := LaunchCluster(context.Background(), tb.TempDir(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	c.nodes.stopWith(tb)
	return c
}

// LaunchCluster starts a cluster outside a test, with its files in dir, and returns when all is as
// StartCluster says. The end of ctx ends the wait for it, not the servers: the caller must call
// Stop.
func LaunchCluster(ctx context.Context, dir string, opts *ClusterOptions) (*Cluster, error) {
	if opts == nil {
		opts = &ClusterOptions{}
	}
	program, err := FindRedis()
	if err != nil {
		return nil, err
	}
	count := 2 * clusterPrimaries
	if opts.NoReplicas {
		count = clusterPrimaries
	}
	return onFreePorts(count, []int{clusterBus}, func(ports []int) (*Cluster, error) {
		nodes, err := newGroup(program, dir, "redis", ports)
		if err != nil {
			return nil, err
		}
		c := &Cluster{nodes: nodes, ids: make([]string, count)}
		c.configure(opts)
		if err := c.start(ctx); err != nil {
			c.Stop()
			return nil, fmt.Errorf("start redis cluster: %w", err)
		}
		return c, nil
	})
}

func (c *Cluster) configure(o *ClusterOptions) {
	coverage := "yes"
	if o.PartialCoverage {
		coverage = "no"
	}
	timeout := cmp.Or(o.NodeTimeout, defaultNodeTimeout)
	for _, r := range c.nodes {
		r.args = slices.Concat(persistence(o.AppendOnly), []string{
			"--cluster-enabled", "yes",
			"--cluster-announce-ip", "127.0.0.1",
			"--cluster-node-timeout", strconv.FormatInt(timeout.Milliseconds(), 10),
			"--cluster-require-full-coverage", coverage,
			"--cluster-allow-replica-migration", "no", // a node stays with the one it was started with
			"--repl-diskless-sync-delay", "0", // a replica waits for no others
		}, o.Args)
	}
}

// start starts the nodes and makes them a cluster, in the steps of redis-cli --cluster create. It
// introduces each node to each, though, since word of mouth takes some seconds.
func (c *Cluster) start(ctx context.Context) error {
	if err := c.nodes.start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, groupWait)
	defer cancel()
	err := c.nodes.each(func(i int, r *Redis) error {
		id, err := r.probe(ctx, []string{"CLUSTER", "MYID"})
		if err != nil {
			return err
		}
		c.ids[i] = id.text
		setUp := [][]string{{"CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i + 1)}}
		if i < clusterPrimaries {
			first, next := i*clusterSlots/clusterPrimaries, (i+1)*clusterSlots/clusterPrimaries
			setUp = append(setUp, []string{"CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(next - 1)})
		}
		_, err = r.probe(ctx, setUp...)
		return err
	})
	if err != nil {
		return err
	}
	// Only now: a node that knows another one takes no epoch.
	err = c.nodes[1:].each(func(i int, r *Redis) error {
		var meet [][]string
		for _, other := range c.nodes[:i+1] {
			meet = append(meet, []string{"CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(other.port)})
		}
		_, err := r.probe(ctx, meet...)
		return err
	})
	if err != nil {
		return err
	}
	err = c.nodes[clusterPrimaries:].each(func(i int, r *Redis) error {
		return until(ctx, "a replica knows its primary", func() error {
			_, err := r.probe(ctx, []string{"CLUSTER", "REPLICATE", c.ids[i]})
			return err
		})
	})
	if err != nil {
		return err
	}
	return c.WaitOK(ctx)
}

// Addrs returns the addresses of all nodes. They stay the same over restarts.
func (c *Cluster) Addrs() []string { return c.nodes.addrs() }

// Nodes returns all nodes: the three that were primaries at the start, then a replica of each in
// the same order.
func (c *Cluster) Nodes() []*Redis { return c.nodes }

// Stop lets all nodes end in good order and returns when they are gone.
func (c *Cluster) Stop() { c.nodes.stop() }

// Primary returns the node that has the slot in the eyes of most nodes that answer. It need not be
// up.
func (c *Cluster) Primary(slot int) (*Redis, error) { return c.primary(context.Background(), slot) }

func (c *Cluster) primary(ctx context.Context, slot int) (*Redis, error) {
	return c.majority(ctx, fmt.Sprintf("the primary of slot %d", slot), func(v clusterView) string {
		return v.owner(slot)
	})
}

// ReplicaOf returns the replica of a primary in the eyes of most nodes that answer. It need not be
// up.
func (c *Cluster) ReplicaOf(primary *Redis) (*Redis, error) {
	return c.majority(context.Background(), "the replica of "+primary.Addr(), func(v clusterView) string {
		return v.replica(c.id(primary))
	})
}

// majority returns the node whose id is the answer of most of the nodes that answer.
func (c *Cluster) majority(ctx context.Context, what string, answer func(clusterView) string) (*Redis, error) {
	votes := make(map[string]int)
	answers := 0
	for _, r := range c.nodes.running(nil) {
		view, err := r.view(ctx)
		if err != nil {
			continue
		}
		votes[answer(view)]++
		answers++
	}
	for i, id := range c.ids {
		if 2*votes[id] > answers {
			return c.nodes[i], nil
		}
	}
	return nil, fmt.Errorf("redis cluster: most nodes do not know %s", what)
}

// id returns the id of a node.
func (c *Cluster) id(node *Redis) string { return c.ids[slices.Index(c.nodes, node)] }

// WaitOK returns when all nodes that are up, paused ones included, serve and agree about the
// cluster, and those that are replicas are in sync. A node that has just gone down is missed only
// after a while: then WaitFailover is the one to call.
func (c *Cluster) WaitOK(ctx context.Context) error {
	return until(ctx, "the cluster is in order", func() error {
		_, err := c.settled(ctx, nil)
		return err
	})
}

// WaitFailover returns the node that took over from a primary that is killed, paused or demoted,
// when all other nodes that are up serve and agree about it.
func (c *Cluster) WaitFailover(ctx context.Context, dead *Redis) (*Redis, error) {
	if len(c.nodes) == clusterPrimaries {
		return nil, errors.New("redis cluster: there are no replicas that could take over")
	}
	heir := c.nodes[(slices.Index(c.nodes, dead)+clusterPrimaries)%len(c.nodes)]
	err := until(ctx, heir.Addr()+" takes over", func() error {
		view, err := c.settled(ctx, dead)
		if err == nil && (len(view[c.id(dead)].slots) > 0 || len(view[c.id(heir)].slots) == 0) {
			err = errors.New("the slots have not moved")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return heir, nil
}

// settled returns what all nodes that are up, except the one given, agree about, or an error while
// they do not.
func (c *Cluster) settled(ctx context.Context, except *Redis) (clusterView, error) {
	up := c.nodes.running(except)
	var agreed clusterView
	for _, r := range up {
		info, err := r.probe(ctx, []string{"CLUSTER", "INFO"})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Addr(), err)
		}
		if state := parseInfo(info.text)["cluster_state"]; state != "ok" {
			return nil, fmt.Errorf("the state of %s is %q", r.Addr(), state)
		}
		view, err := r.view(ctx)
		if err != nil {
			return nil, err
		}
		if agreed == nil {
			agreed = view
		}
		if !view.same(agreed) {
			return nil, fmt.Errorf("%s and %s disagree", up[0].Addr(), r.Addr())
		}
		for _, other := range up {
			if !view[c.id(other)].up {
				return nil, fmt.Errorf("%s does not know %s, or thinks it is down", r.Addr(), other.Addr())
			}
		}
	}
	for _, r := range up {
		i := slices.Index(c.ids, agreed[c.id(r)].replicaOf)
		if i < 0 || !slices.Contains(up, c.nodes[i]) {
			continue // a primary, or the replica of one that is down
		}
		if err := follows(ctx, r, c.nodes[i]); err != nil {
			return nil, err
		}
	}
	return agreed, nil
}
