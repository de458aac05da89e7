package etcdbackend

import (
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

type (
	responses     = []*etcdserverpb.ResponseOp
	rangeResponse = etcdserverpb.RangeResponse
)

// readAll is read for any number of claims.
func (b *Backend) readAll(ctx context.Context, claims []*claim) error {
	for chunk := range slices.Chunk(claims, chunkItems) {
		if err := b.read(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// read reads some claims in one request: of those that may wait what stands before them, of the
// others what their holders were asked.
func (b *Backend) read(ctx context.Context, claims []*claim) error {
	ops := make([]clientv3.Op, 0, 3*len(claims))
	starts := make([]int, len(claims)+1)
	lines := make([]bool, len(claims)) // whose line is read
	bounds := make([]int64, len(claims))
	b.table.mu.Lock()
	for i, c := range claims {
		c.asking++
		starts[i] = len(ops)
		lines[i] = c.state != granted
		ops = append(ops, readOwn(c.seat))
		switch {
		case !lines[i]:
			ops = append(ops, clientv3.OpGet(b.names.word(c.line, c.slot)))
		case !c.shared():
			ops = append(ops, readWhole(c.line), readTop(c.line), b.readSeats(c.line))
		case c.there():
			bounds[i] = c.rev
			ops = append(ops, readBefore(c.line, c.rev), readTop(c.line))
		default:
			ops = append(ops, readLine(c.line), readTop(c.line))
		}
	}
	starts[len(claims)] = len(ops)
	b.table.mu.Unlock()
	r, err := b.client.Txn(ctx).Then(ops...).Commit()
	for i, c := range claims {
		if err == nil {
			b.take(c, r.Header.Revision, r.Responses[starts[i]:starts[i+1]], lines[i], bounds[i])
		}
		b.table.leave(c, true)
	}
	return err
}

// take applies what was read of one claim: its line, if that was read, and up to bound if that is set.
func (b *Backend) take(c *claim, rev int64, r responses, line bool, bound int64) {
	read := reading{rev: rev}
	if first, own := ownOf(r[0].GetResponseRange().Kvs); first != nil {
		read.own, read.found, read.mod = own, true, first.ModRevision
		if !b.adopt(c, first) {
			return // not ours, or on a lease that has ended for us
		}
	}
	if line && (bound == 0 || bound == read.own.rev) {
		read.line = c.viewOf(read.own.rev, r[1:3])
		if !c.shared() {
			read.seats = seatsOf(r[3])
		}
	}
	b.table.apply(c, read)
	if more := r[1].GetResponseRange().Kvs; !line && len(more) > 0 {
		if w, err := parseWord(more[0].Value); err == nil {
			b.table.ask(c.line, c.slot, w)
		}
	}
}
