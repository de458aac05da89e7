package testbed

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// clusterView is what one node knows of all nodes, by their ids.
type clusterView map[string]clusterMember

// clusterMember is a node as another one, or itself, knows it.
type clusterMember struct {
	replicaOf string   // the id of its primary, or "" for a primary
	slots     []string // as ranges, 0-5460
	up        bool     // connected, and not taken for one that failed
}

// view asks a node which nodes it knows.
func (r *Redis) view(ctx context.Context) (clusterView, error) {
	nodes, err := r.probe(ctx, []string{"CLUSTER", "NODES"})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Addr(), err)
	}
	return parseClusterNodes(nodes.text)
}

// parseClusterNodes reads the reply to CLUSTER NODES, a line a node:
//
//	id address flags primary ping-sent pong-received epoch link-state slots…
func parseClusterNodes(text string) (clusterView, error) {
	view := make(clusterView)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 {
			return nil, fmt.Errorf("cluster nodes: line %q", line)
		}
		flags := strings.Split(f[2], ",")
		m := clusterMember{up: f[7] == "connected"}
		for _, bad := range []string{"fail", "fail?", "handshake", "noaddr"} {
			m.up = m.up && !slices.Contains(flags, bad)
		}
		if f[3] != "-" {
			m.replicaOf = f[3]
		}
		for _, slots := range f[8:] {
			if slots[0] != '[' { // a slot that is moving is listed once more in brackets
				m.slots = append(m.slots, slots)
			}
		}
		view[f[0]] = m
	}
	return view, nil
}

// same reports whether two nodes know the same nodes, roles and owners of slots.
func (v clusterView) same(other clusterView) bool {
	if len(v) != len(other) {
		return false
	}
	for id, m := range v {
		o, ok := other[id]
		if !ok || o.replicaOf != m.replicaOf || !slices.Equal(o.slots, m.slots) {
			return false
		}
	}
	return true
}

// owner returns the id of the node that has the slot, or "".
func (v clusterView) owner(slot int) string {
	for id, m := range v {
		if m.owns(slot) {
			return id
		}
	}
	return ""
}

func (m clusterMember) owns(slot int) bool {
	return slices.ContainsFunc(m.slots, func(slots string) bool {
		first, last, found := strings.Cut(slots, "-")
		if !found {
			last = first
		}
		from, _ := strconv.Atoi(first)
		to, _ := strconv.Atoi(last)
		return from <= slot && slot <= to
	})
}

// replica returns the id of a replica of the node, or "".
func (v clusterView) replica(id string) string {
	for replica, m := range v {
		if m.replicaOf == id {
			return replica
		}
	}
	return ""
}
