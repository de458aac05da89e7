package etcdbackend

import (
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// scene is a line as an observer follows it, and what it has told of it.
type scene struct {
	line   []entry           // in order
	told   map[int64]mention // the seats that were told of, by token
	newest int64             // the largest token among them
}

// mention is a seat that was told of.
type mention struct {
	mod int64 // last write of the claim that was looked at
	seq uint64
}

// newScene begins with what was read. The seats in it are not told of.
func newScene(kvs []*mvccpb.KeyValue) *scene {
	s := &scene{line: entries(kvs), told: map[int64]mention{}}
	s.changes()
	return s
}

// take takes one event of the watch.
func (s *scene) take(e *clientv3.Event) {
	name := string(e.Kv.Key)
	at := slices.IndexFunc(s.line, func(old entry) bool { return old.name == name })
	switch {
	case e.Type == clientv3.EventTypeDelete:
		if at >= 0 {
			s.line = slices.Delete(s.line, at, at+1)
		}
	case at >= 0 && s.line[at].rev == e.Kv.CreateRevision:
		s.line[at].kv = e.Kv
	default:
		s.line = append(s.line, entries([]*mvccpb.KeyValue{e.Kv})...)
	}
}

// changes tells what is true now and was not when it was last asked.
func (s *scene) changes() (list []lease.Change) {
	all := groups(s.line)
	limit := judge(all, topOfLine(s.line), 0)
	gone := maps.Clone(s.told)
	var begun []lease.Change
	for i := range all {
		g := &all[i]
		if !g.seated || g.first == nil || !g.announce {
			continue
		}
		before, known := s.told[g.token]
		if !known && limit == 1 && g.token < s.newest {
			continue // a later grant has ended; the next one is not complete yet
		}
		delete(gone, g.token)
		if known && before.mod == g.first.ModRevision {
			continue
		}
		value, err := parseBlob(g.first.Value)
		if err != nil {
			continue
		}
		s.told[g.token] = mention{g.first.ModRevision, value.seq}
		s.newest = max(s.newest, g.token)
		kind := lease.ChangeSeated
		if known {
			kind = lease.ChangeMeta
		}
		if !known || value.seq > before.seq {
			begun = append(begun, lease.Change{Kind: kind, Party: lease.Party{
				Attempt: value.attempt, Owner: value.owner, Meta: value.meta,
				Token: uint64(g.token), Weight: g.weight, Priority: g.priority,
			}})
		}
	}
	for _, token := range slices.Sorted(maps.Keys(gone)) {
		delete(s.told, token)
		list = append(list, lease.Change{Kind: lease.ChangeEnded, Party: lease.Party{Token: uint64(token)}})
	}
	return append(list, begun...)
}

// topOfLine is a claim of the latest epoch in a line, if there are epochs.
func topOfLine(line []entry) (top member) {
	for i := range line {
		if line[i].epoch > top.epoch {
			top = line[i].member
		}
	}
	return top
}
