package etcdbackend

import (
	"math"
	"slices"
)

// The rule, over the line of a key in the order of create revisions: a claim is granted when the
// weights of all before it plus its own are at most the limit in force. It never turns back, since
// claims before it can only go and weights only fall, and new claims get a later revision. So the
// granted claims are always the first ones of the line.
//
// The limit in force is that of the latest epoch of which a claim is in the line. Before there are
// epochs it is that of the first claim. Claims of the same epoch must agree about it: one that
// disagrees with the first is refused, and as long as it stands there nobody passes it.

// behindAll is a revision after that of every claim.
const behindAll = math.MaxInt64

// view is a line as read at one revision.
type view struct {
	list   []member // its beginning, in order
	beyond int      // keys behind those, but before the claim that it was read for
	top    member   // one of the latest epoch, if epochs were read and there are any
	behind []member // what follows the list, as far as it was read
	chair  member   // the seat key, if there is one
	sorted bool     // there are priorities
	part   bool     // it ends behind the claim that it was read for, but before the end of the line
}

// force is the limit in force for a claim that stands behind the list, and its epoch.
func (v *view) force(own *member) (limit, epoch int64) {
	switch {
	case v.top.epoch > 0 && v.top.epoch >= own.epoch:
		return v.top.limit, v.top.epoch
	case len(v.list) > 0 && own.epoch == 0:
		return v.list[0].limit, v.list[0].epoch
	}
	return own.limit, own.epoch
}

// mixed says that the line is not of one epoch and limit, so that it takes more than its beginning
// to know what is in force.
func (v *view) mixed(own *member) bool {
	return slices.ContainsFunc(v.list, func(m member) bool { return m.epoch != own.epoch || m.limit != own.limit })
}

// ahead is what stands before one claim in the line of its key, as read at one revision.
type ahead struct {
	parts  []part
	sum    int64
	beyond int    // how many more there may be that were not read
	limit  int64  // in force
	epoch  int64  // of that limit
	floor  int64  // claims up to this revision have seats, whatever the limit is now
	aliens int    // parts of claims that disagree about the limit
	chair  member // the seat key of another claim, if there is one
	sorted bool   // there are priorities in the line
	better int    // how many go before this claim by that, or by the seat key
	doubt  bool   // something else than an end has happened: to be read again
}

// part is a key of a claim and its shade, which count once while either is there.
type part struct {
	slot   string
	rest   bool
	rev    int64
	weight int64
	alien  bool
	seat   bool
	shade  bool
}

// aheadOf judges a claim by what stands before it.
func aheadOf(v *view, own *member) ahead {
	a := ahead{beyond: v.beyond}
	a.limit, a.epoch = v.force(own)
	a.see(&v.top)
	for i := range v.list {
		a.add(&v.list[i], own)
	}
	a.arrange(v, own)
	a.doubt = v.part && own.limit == 1 && own.epoch == 0 // what is behind may count
	return a
}

// see learns from a claim that changed the limit who had a seat then.
func (a *ahead) see(m *member) {
	if m.epoch == a.epoch {
		a.floor = max(a.floor, m.floor)
	}
}

func (a *ahead) add(m, own *member) {
	a.see(m)
	for i := len(a.parts) - 1; i >= 0 && a.parts[i].rev == m.rev; i-- {
		if p := &a.parts[i]; p.rest == m.rest {
			p.seat, p.shade = p.seat || !m.shade, p.shade || m.shade
			return
		}
	}
	p := part{slot: m.slot, rest: m.rest, rev: m.rev, weight: m.weight, seat: !m.shade, shade: m.shade}
	if p.alien = m.epoch == own.epoch && m.limit != own.limit; p.alien {
		a.aliens++
	}
	a.sum += p.weight
	a.parts = append(a.parts, p)
}

// gone takes out a key that was deleted.
func (a *ahead) gone(m *member) {
	if m.chair {
		if m.slot == a.chair.slot {
			a.chair = member{}
		}
		return
	}
	i := slices.IndexFunc(a.parts, func(p part) bool { return p.slot == m.slot && p.rest == m.rest })
	if i < 0 {
		return
	}
	p := &a.parts[i]
	p.seat, p.shade = p.seat && m.shade, p.shade && !m.shade
	if p.seat || p.shade {
		return
	}
	a.sum -= p.weight
	if p.alien {
		a.aliens--
	}
	a.parts = slices.Delete(a.parts, i, i+1)
}

// grants is the rule. limit 0 is no limit.
func (a *ahead) grants(weight int64) bool {
	return !a.doubt && a.aliens == 0 && a.chair.slot == "" && (a.limit == 0 || a.beyond == 0 && a.sum+weight <= a.limit)
}

// blind says that the claim may be due as far as is known, and not all is known.
func (a *ahead) blind(weight int64) bool {
	return a.doubt || a.beyond > 0 && a.limit > 0 && a.sum+weight <= a.limit
}

// rank is the number of waiting claims before this one.
func (a *ahead) rank() int {
	if a.arranged() {
		return a.better
	}
	if len(a.parts) == 0 {
		return max(0, a.beyond-1)
	}
	waiting := a.beyond
	var sum int64
	for i := 0; i < len(a.parts); {
		rev, weight := a.parts[i].rev, int64(0)
		for ; i < len(a.parts) && a.parts[i].rev == rev; i++ {
			weight += a.parts[i].weight
		}
		if sum += weight; !a.seats(rev, sum) {
			waiting++
		}
	}
	return waiting
}

// seats says that a claim has a seat, given the weights up to its own.
func (a *ahead) seats(rev, sum int64) bool { return a.limit == 0 || rev <= a.floor || sum <= a.limit }
