package testbed

import (
	"context"
	"errors"
	"fmt"
)

// Primary returns the node that most of the sentinels name. It need not be up.
func (s *Sentinel) Primary() (*Redis, error) { return s.primary(context.Background()) }

// Failover has the sentinels make a replica the primary while the present one is up, and returns
// the new one when clients can find it. The former primary stays one in its own eyes for
// SentinelOptions.DemoteAfter; see WaitReplica.
func (s *Sentinel) Failover(ctx context.Context) (*Redis, error) {
	old, err := s.primary(ctx)
	if err != nil {
		return nil, err
	}
	// It is refused while an earlier one ends and while no replica has been seen in good order.
	err = until(ctx, "a failover begins", func() error {
		for _, r := range s.sentinels.running(nil) {
			if _, err = r.probe(ctx, []string{"SENTINEL", "FAILOVER", sentinelMaster}); err == nil {
				break
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.WaitPrimary(ctx, old)
}

// WaitPrimary returns the primary once it is another node than not, which may be nil, and clients
// can find it: it answers as a primary, and all sentinels that answer name it, which must be most
// of them.
func (s *Sentinel) WaitPrimary(ctx context.Context, not *Redis) (*Redis, error) {
	var primary *Redis
	err := until(ctx, "another node is the primary", func() error {
		named := s.named(ctx)
		var err error
		if primary, err = elected(named); err != nil {
			return err
		}
		if primary == not || len(named) > 1 {
			return fmt.Errorf("the sentinels name %s, some another: %t", primary.Addr(), len(named) > 1)
		}
		state, err := primary.replication(ctx)
		if err == nil && state["role"] != "master" {
			err = fmt.Errorf("%s is no primary yet", primary.Addr())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return primary, nil
}

// WaitReplica returns when the node is a replica of the primary and has all that was written there
// before. A former primary becomes one some time after it is back.
func (s *Sentinel) WaitReplica(ctx context.Context, node *Redis) error {
	return until(ctx, node.Addr()+" is a replica in sync", func() error {
		primary, err := s.primary(ctx)
		if err != nil {
			return err
		}
		return follows(ctx, node, primary)
	})
}

// WaitSynced returns when all nodes that are up, paused ones included, are replicas of the primary
// and have all that was written there before.
func (s *Sentinel) WaitSynced(ctx context.Context) error {
	return until(ctx, "all replicas are in sync", func() error { return s.synced(ctx) })
}

func (s *Sentinel) synced(ctx context.Context) error {
	primary, err := s.primary(ctx)
	if err != nil {
		return err
	}
	for _, r := range s.nodes.running(primary) {
		if err := follows(ctx, r, primary); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sentinel) primary(ctx context.Context) (*Redis, error) { return elected(s.named(ctx)) }

// named returns how many sentinels name a node as the primary.
func (s *Sentinel) named(ctx context.Context) map[*Redis]int {
	votes := make(map[*Redis]int)
	for _, r := range s.sentinels.running(nil) {
		addr, err := r.probe(ctx, []string{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinelMaster})
		if err != nil || len(addr.list) != 2 {
			continue
		}
		if node := s.nodes.at(addr.list[1].text); node != nil {
			votes[node]++
		}
	}
	return votes
}

func elected(votes map[*Redis]int) (*Redis, error) {
	for r, n := range votes {
		if n >= sentinelQuorum {
			return r, nil
		}
	}
	return nil, errors.New("redis sentinel: most sentinels do not answer, or disagree about the primary")
}
