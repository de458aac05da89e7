package etcdbackend

import (
	"context"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// seatsPart is how many keys Seats reads at a time. A claim has at most four.
const seatsPart = 500

// Seats implements [lease.Backend]. A part takes a request, and one more for each lease of another
// process, up to 64. The parts are in the order of the line.
func (l *leases) Seats(ctx context.Context, key, cursor string) (part []lease.Party, next string, err error) {
	const verb = "seats"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return nil, "", err
	}
	if err := lease.ValidateKey(key); err != nil {
		return nil, "", fail(ctx, verb, err)
	}
	from, err := parseCursor(cursor)
	if err != nil {
		return nil, "", fail(ctx, verb, err)
	}
	part, next, err = b.seatsFrom(ctx, b.names.line(key), from)
	if err != nil {
		return nil, "", fail(ctx, verb, err)
	}
	return part, next, nil
}

// cursor is how far a list of seats has got: up to which revision, and what the claims up to there
// weighed. A seat that was there then is still found by that, since weights only fall.
type cursor struct{ rev, sum int64 }

func (c cursor) String() string {
	return strconv.FormatInt(c.rev, 10) + "." + strconv.FormatInt(c.sum, 10)
}

func parseCursor(text string) (c cursor, err error) {
	if text == "" {
		return c, nil
	}
	rev, sum, ok := strings.Cut(text, ".")
	if !ok || !number(rev, &c.rev) || !number(sum, &c.sum) || c.String() != text {
		return c, &lease.InvalidError{Field: "cursor", Problem: "must come from Seats"}
	}
	return c, nil
}

func (b *Backend) seatsFrom(ctx context.Context, line string, from cursor) (part []lease.Party, next string, err error) {
	r, err := b.client.Txn(ctx).Then(
		clientv3.OpGet(line, clientv3.WithPrefix(), clientv3.WithMinCreateRev(from.rev+1), clientv3.WithLimit(seatsPart), inOrder),
		readTop(line),
	).Commit()
	if err != nil {
		return nil, "", err
	}
	claims, top := r.Responses[0].GetResponseRange(), topOf(r.Responses[1])
	all := groups(entries(claims.Kvs))
	if claims.More && len(all) > 0 && all[0].limit == 1 && top.epoch == 0 { // one seat, which may be anywhere
		whole, _, _, err := b.list(ctx, line, 0)
		if err != nil {
			return nil, "", err
		}
		claims, from.sum = whole, 0
		all = groups(entries(claims.Kvs))
	}
	if claims.More {
		all = all[:len(all)-1] // some of its keys may be missing
	}
	judge(all, top, from.sum)
	left := b.lifetimes(ctx, claims.Kvs)
	for i := range all {
		g := &all[i]
		from.rev, from.sum = g.rev, from.sum+g.weight
		if !g.seated || g.first == nil {
			continue
		}
		p, err := g.party(left)
		if err != nil {
			return nil, "", err
		}
		part = append(part, p)
	}
	if last := len(all) - 1; claims.More && (all[last].seated || top.epoch > 0) {
		next = from.String()
	}
	return part, next, nil
}
