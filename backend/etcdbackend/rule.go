package etcdbackend

// The rule, over the line of a key in the order of create revisions: a claim is granted when the
// weights of all before it plus its own are at most the limit. It never turns back, since claims
// before it can only go, and new ones get a later revision.

// ahead is what stands before one claim in the line of its key, as read at one revision.
type ahead struct {
	weights map[string]int64 // by name
	sum     int64
	beyond  int // how many more there may be that were not read
}

// aheadOf reads what stands before the claim made at revision own. The list is sorted and may
// have been cut; total is the number of claims in the whole line.
func aheadOf(list []member, own int64, total int) ahead {
	var a ahead
	for _, m := range list {
		if m.rev >= own {
			return a
		}
		if a.weights == nil {
			a.weights = make(map[string]int64, len(list))
		}
		a.weights[m.name] = m.weight
		a.sum += m.weight
	}
	a.beyond = max(0, total-len(list)-1) // the claim itself is among those that were not read
	return a
}

// gone takes out a claim that was deleted.
func (a *ahead) gone(name string) {
	a.sum -= a.weights[name]
	delete(a.weights, name)
}

// grants is the rule. limit 0 is no limit.
func (a *ahead) grants(weight, limit int64) bool {
	return limit == 0 || a.beyond == 0 && a.sum+weight <= limit
}

// blind says that all that was read has gone and more may stand before the claim.
func (a *ahead) blind() bool { return a.beyond > 0 && len(a.weights) == 0 }

// rank is the number of waiting claims before this one, at a limit of 1: all but the holder.
func (a *ahead) rank() int { return max(0, len(a.weights)+a.beyond-1) }
