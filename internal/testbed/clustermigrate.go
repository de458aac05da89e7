package testbed

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// migrateTimeout bounds the transfer of one batch of keys.
const migrateTimeout = 5 * time.Second

// Migration is a slot on its way from one primary to another. Until Finish, keys that have not been
// moved are served by the source and all others by the target: a client that asks the source for
// one of those is told to ask the target (ASK), and one that asks for keys of both kinds at once to
// try again (TRYAGAIN). It is made by [Cluster.BeginMigration]; the zero value is not usable.
type Migration struct {
	cluster  *Cluster
	slot     int
	from, to *Redis
}

// MigrateSlot moves a slot with all its keys to another primary, batch keys at a time, as
// redis-cli --cluster reshard does, and returns when all nodes that are up know its new place.
func (c *Cluster) MigrateSlot(ctx context.Context, slot int, to *Redis, batch int) error {
	m, err := c.BeginMigration(ctx, slot, to)
	if err != nil {
		return err
	}
	return m.Finish(ctx, batch)
}

// BeginMigration makes a slot one that moves to another primary. No key is moved yet.
func (c *Cluster) BeginMigration(ctx context.Context, slot int, to *Redis) (*Migration, error) {
	from, err := c.primary(ctx, slot)
	if err != nil {
		return nil, err
	}
	m := &Migration{cluster: c, slot: slot, from: from, to: to}
	if from == to {
		return nil, fmt.Errorf("migrate slot %d: %s has it already", slot, to.Addr())
	}
	// The target first: it must know of the slot before the source sends clients there.
	if err := m.setSlot(ctx, to, "IMPORTING", from); err != nil {
		return nil, err
	}
	if err := m.setSlot(ctx, from, "MIGRATING", to); err != nil {
		return nil, err
	}
	return m, nil
}

// From returns the node that the slot leaves.
func (m *Migration) From() *Redis { return m.from }

// Keys returns at most n keys that have not been moved.
func (m *Migration) Keys(ctx context.Context, n int) ([]string, error) {
	keys, err := m.from.probe(ctx, []string{"CLUSTER", "GETKEYSINSLOT", strconv.Itoa(m.slot), strconv.Itoa(n)})
	if err != nil {
		return nil, fmt.Errorf("migrate slot %d: %w", m.slot, err)
	}
	return keys.texts(), nil
}

// Move moves the given keys of the slot. Those that do not exist are left out.
func (m *Migration) Move(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	args := []string{
		"MIGRATE", "127.0.0.1", strconv.Itoa(m.to.port), "", "0",
		strconv.FormatInt(migrateTimeout.Milliseconds(), 10), "KEYS",
	}
	if _, err := exchange(ctx, m.from.Addr(), append(args, keys...)); err != nil {
		return fmt.Errorf("migrate slot %d: %w", m.slot, err)
	}
	return nil
}

// Finish moves the remaining keys, batch at a time, and returns when all nodes that are up know
// the new place of the slot.
func (m *Migration) Finish(ctx context.Context, batch int) error {
	for {
		keys, err := m.Keys(ctx, batch)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		if err := m.Move(ctx, keys...); err != nil {
			return err
		}
	}
	c := m.cluster
	view, err := m.to.view(ctx)
	if err != nil {
		return err
	}
	// The target first: should it not learn that the slot is its own, nobody may say so. Replicas
	// take no such command and hear of it from the others.
	told := redisGroup{m.to, m.from}
	for _, r := range c.nodes.running(nil) {
		if r != m.to && r != m.from && view[c.id(r)].replicaOf == "" {
			told = append(told, r)
		}
	}
	for _, r := range told {
		if err := m.setSlot(ctx, r, "NODE", m.to); err != nil {
			return err
		}
	}
	return until(ctx, "all nodes know the new place of a slot", func() error {
		for _, r := range c.nodes.running(nil) {
			view, err := r.view(ctx)
			if err != nil {
				return err
			}
			if view.owner(m.slot) != c.id(m.to) {
				return fmt.Errorf("%s does not", r.Addr())
			}
		}
		return nil
	})
}

// setSlot tells a node that the slot is IMPORTING from, MIGRATING to or owned by (NODE) the peer.
func (m *Migration) setSlot(ctx context.Context, node *Redis, state string, peer *Redis) error {
	_, err := node.probe(ctx, []string{"CLUSTER", "SETSLOT", strconv.Itoa(m.slot), state, m.cluster.id(peer)})
	if err != nil {
		return fmt.Errorf("migrate slot %d: %s at %s: %w", m.slot, state, node.Addr(), err)
	}
	return nil
}
