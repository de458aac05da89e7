package etcdbackend

import (
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// puts are the operations that write all keys of a claim, and what stands in the line then. They
// have one revision, so the keys stand side by side.
func (c *claim) puts(w *lease.Claim, life *lifeline, floor int64) (own member, ops []clientv3.Op) {
	value := blob{attempt: w.Attempt, owner: w.Owner, meta: w.Meta}
	own = member{
		slot: c.slot, weight: 1, limit: c.limit, epoch: c.epoch,
		ttl: int64(life.ttl / time.Second), delay: c.delay, floor: floor, announce: c.announce, priority: c.priority,
	}
	own.name = own.nameOf(c.seat)
	ops = make([]clientv3.Op, 1, 2)
	ops[0] = clientv3.OpPut(own.name, value.encode(), clientv3.WithLease(life.id))
	if w.Weight > 1 || c.delay > 0 {
		for _, m := range own.parts(w.Weight)[1:] {
			ops = append(ops, clientv3.OpPut(m.nameOf(c.seat), value.brief(), clientv3.WithLease(life.under(&m))))
		}
	}
	own.weight = w.Weight
	return own, ops
}

// under is the lease of one key of a claim.
func (l *lifeline) under(m *member) clientv3.LeaseID {
	if m.shade {
		return l.shade
	}
	return l.id
}

// most is the number of keys that the claims of its line have at most.
func (c *claim) most() int64 {
	if c.shared() {
		return 4
	}
	return 1
}

// putsOfEpoch writes a claim if it is the first on its key, or not the first of its epoch. Any
// other one changes the limit.
func (c *claim) putsOfEpoch(puts []clientv3.Op) clientv3.Op {
	alone := clientv3.Compare(clientv3.CreateRevision(c.line).WithPrefix(), "=", 0)
	known := clientv3.Compare(clientv3.CreateRevision(ofLimit(c.line, c.epoch, c.limit)).WithPrefix(), ">", 0)
	return clientv3.OpTxn([]clientv3.Cmp{alone}, puts,
		[]clientv3.Op{clientv3.OpTxn([]clientv3.Cmp{known}, puts, nil)})
}

// placed says that putsOfEpoch has written the claim.
func placed(r *etcdserverpb.ResponseOp) bool {
	outer := r.GetResponseTxn()
	return outer.Succeeded || outer.Responses[0].GetResponseTxn().Succeeded
}

// readLine reads the beginning of the line of a key, in its order.
func readLine(line string) clientv3.Op {
	return clientv3.OpGet(line, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(known), inOrder)
}

// readWhole reads all of a line.
func readWhole(line string) clientv3.Op {
	return clientv3.OpGet(line, clientv3.WithPrefix(), clientv3.WithKeysOnly(), inOrder)
}

// readBefore reads all of a line before a revision.
func readBefore(line string, rev int64) clientv3.Op {
	return clientv3.OpGet(line, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithMaxCreateRev(rev-1), inOrder)
}

var inOrder = clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend)

// readTop reads the name of a claim of the latest epoch, if the key has any after epoch 0.
func readTop(line string) clientv3.Op {
	return clientv3.OpGet(line+"^", clientv3.WithRange(line+epochEnd), clientv3.WithKeysOnly(), clientv3.WithLimit(1),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
}

// readFirst reads the first claim of a line with its values.
func readFirst(line string, keys int64) clientv3.Op {
	return clientv3.OpGet(line, clientv3.WithPrefix(), clientv3.WithLimit(keys), inOrder)
}

// readOwn reads the claim in a slot. With keys only, etcd 3.7 would not tell its lease.
func readOwn(own string) clientv3.Op { return clientv3.OpGet(own, clientv3.WithPrefix()) }

// ranges are the answers about a line, from the i-th on.
func ranges(r *clientv3.TxnResponse, i int, top bool) responses {
	if top {
		return r.Responses[i : i+2]
	}
	return r.Responses[i : i+1]
}

// viewOf is for a claim of this object.
func (c *claim) viewOf(end int64, r responses) *view {
	own := member{delay: c.delay}
	return viewOf(end, r, len(own.parts(c.whole)))
}

// viewOf reads what stands before revision end, that of a claim with so many keys, from a range of
// a line and, if there is another one, of the top.
func viewOf(end int64, r responses, keys int) *view {
	line := r[0].GetResponseRange()
	v := &view{}
	v.scan(entries(line.Kvs), end)
	if n := len(line.Kvs); line.More && line.Kvs[n-1].CreateRevision < end {
		v.beyond = int(line.Count) - n
		if end != behindAll {
			v.beyond -= keys
		}
	} else {
		v.part = line.More
	}
	if len(r) > 1 {
		v.top = topOf(r[1])
	}
	return v
}

// topOf is the claim that readTop has found, or nobody.
func topOf(r *etcdserverpb.ResponseOp) (m member) {
	if kvs := r.GetResponseRange().GetKvs(); len(kvs) == 1 {
		m, _ = parseMember(string(kvs[0].Key), kvs[0].CreateRevision)
	}
	return m
}
