package redisbackend

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/check"
	"github.com/concord-go/concord/lease"
)

// node is a server that Diagnose looks at.
type node struct {
	name   string // host and port, "" for the only one
	client interface {
		Process(ctx context.Context, cmd redis.Cmder) error
	}
}

func (n node) do(ctx context.Context, args ...any) (any, error) {
	cmd := command{redis.NewCmd(ctx, args...)}
	if err := n.client.Process(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.Result()
}

// nodes returns the server, or the primaries of the cluster in the order of their names.
func (b *Backend) nodes(ctx context.Context) ([]node, error) {
	if b.cluster == nil {
		return []node{{client: b.client}}, nil
	}
	var mu sync.Mutex
	var list []node
	err := b.cluster.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, node{c.Options().Addr, c})
		return nil
	})
	slices.SortFunc(list, func(a, b node) int { return strings.Compare(a.name, b.name) })
	return list, b.explain(err)
}

// rehearsals returns keys of our own, one on each node.
func (b *Backend) rehearsals(ctx context.Context) ([]string, error) {
	fresh := func() string { return "check/" + string(lease.NewAttempt()) }
	if b.cluster == nil {
		return []string{fresh()}, nil
	}
	var keys []string
	var seen [buckets]bool
	nodes := map[*redis.Client]bool{}
	for left := buckets; left > 0; {
		key := fresh()
		if seen[bucket(key)] {
			continue
		}
		seen[bucket(key)] = true
		left--
		counter, _ := b.names.counters[bucket(key)].(string)
		n, err := b.cluster.MasterForKey(ctx, counter)
		if err != nil {
			return nil, b.explain(err)
		}
		if !nodes[n] {
			nodes[n] = true
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// merge adds what was found on several nodes. What is the same on all of them is said once.
func merge(r *check.Report, nodes []node, found []check.Report) {
	var order []check.Finding
	where := map[check.Finding][]string{}
	for i, one := range found {
		for _, f := range one.Findings {
			if where[f] == nil {
				order = append(order, f)
			}
			where[f] = append(where[f], nodes[i].name)
		}
	}
	for _, f := range order {
		if on := where[f]; len(on) < len(nodes) {
			f.Text = strings.Join(on, ", ") + ": " + f.Text
		}
		r.Findings = append(r.Findings, f)
	}
}
