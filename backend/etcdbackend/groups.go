package etcdbackend

import (
	"cmp"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// entry is a key in a line that was read.
type entry struct {
	member
	kv *mvccpb.KeyValue
}

// entries reads a range of a line.
func entries(kvs []*mvccpb.KeyValue) []entry {
	list := make([]entry, 0, len(kvs))
	for _, kv := range kvs {
		if m, ok := parseMember(string(kv.Key), kv.CreateRevision); ok {
			list = append(list, entry{m, kv})
		}
	}
	return list
}

// group is all keys of one claim that were read, as one member of the whole weight.
type group struct {
	member
	first  *mvccpb.KeyValue // nil if the claim has ended and only shades are left
	any    *mvccpb.KeyValue
	seated bool
	token  int64 // of a claim that is seated
}

// groups reads claims from a part of a line in its order. The keys of one have one revision, but for
// its seat key.
func groups(line []entry) []group {
	all := make([]group, 0, len(line))
	seats := map[string]int64{}
	for start, end := 0, 0; start < len(line); start = end {
		var a ahead
		var g group
		for end = start; end < len(line) && line[end].rev == line[start].rev; end++ {
			e := &line[end]
			if e.chair {
				seats[e.slot] = e.rev
				continue
			}
			if g.any == nil || !e.shade && !e.rest {
				g.member, g.any = e.member, e.kv
			}
			if !e.shade && !e.rest {
				g.first = e.kv
			}
			a.add(&e.member, &e.member)
		}
		if g.weight = a.sum; g.any != nil {
			all = append(all, g)
		}
	}
	if len(seats) > 0 {
		for i := range all {
			all[i].seat = seats[all[i].slot]
		}
	}
	return all
}

// judge finds out which claims of a line are seated, from its beginning, or after others that weigh
// sum, and returns the limit in force. If that is 1 it takes the whole line. top is a claim of the
// latest epoch, if there are epochs.
func judge(all []group, top member, sum int64) (limit int64) {
	if len(all) == 0 {
		return 0
	}
	a := ahead{limit: all[0].limit, epoch: all[0].epoch, sum: sum}
	if top.epoch > 0 {
		a.limit, a.epoch = top.limit, top.epoch
	}
	if a.limit == 1 && a.epoch == 0 {
		if i := holder(all); i >= 0 {
			all[i].seated, all[i].token = true, cmp.Or(all[i].seat, all[i].rev)
		}
		return 1
	}
	a.see(&top)
	for i := range all {
		a.see(&all[i].member)
	}
	for i := range all {
		g := &all[i]
		a.sum += g.weight
		g.seated, g.token = a.seats(g.rev, a.sum), g.rev
	}
	return a.limit
}

// holder is the place in a line of limit 1 of the claim that is seated, or -1. That is the claim with
// a seat key; without one it is the first of the line, which in a line with priorities must have been
// seated before those came.
func holder(all []group) int {
	var floor int64
	for i := range all {
		if all[i].seat > 0 {
			return i
		}
		floor = max(floor, all[i].floor)
	}
	if len(all) == 0 || ordered(all) && all[0].rev > floor {
		return -1
	}
	return 0
}

// there compares that a claim is still there.
func (g *group) there() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(g.name), "=", g.rev)
}

// ordered says that a line has priorities.
func ordered(all []group) bool {
	return slices.ContainsFunc(all, func(g group) bool { return g.priority != 0 })
}

// inTurn are the claims of a line in the order in which they get the seat.
func inTurn(all []group) []group {
	if ordered(all) {
		slices.SortStableFunc(all, func(a, b group) int { return cmp.Compare(b.priority, a.priority) })
	}
	return all
}

// party is the claim as others see it, given how long leases live on.
func (g *group) party(left map[int64]time.Duration) (lease.Party, error) {
	value, err := parseBlob(g.any.Value)
	if err != nil {
		return lease.Party{}, err
	}
	p := lease.Party{Attempt: value.attempt, Owner: value.owner, Meta: value.meta, Weight: g.weight, Priority: g.priority}
	if g.seated {
		p.Token = uint64(g.token)
	}
	if g.first != nil {
		var ok bool
		if p.Left, ok = left[g.first.Lease]; !ok {
			p.Left = time.Duration(g.ttl) * time.Second
		}
	}
	return p, nil
}
