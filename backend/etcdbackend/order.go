package etcdbackend

import "slices"

// In a line of limit 1 more than age can count. A seat that was handed to a chosen claim, or given by
// priority, has a seat key; its revision is the token, so tokens rise whoever is chosen. While there
// is one, that claim is seated and nobody else. Without one the first of the line is, unless there are
// priorities: then the seat is empty, and the first of the line has to give it to the best, which may
// be itself. Only who is seated, or is the first in a line without a seat, makes a seat key, in a step
// that compares that its own claim is still there. So there is one at most.
//
// The rule stays in force for those who do not know of all this: they read the line when they come,
// and whoever comes with the first priority of a line, or has no seat key and hands his seat to a
// chosen claim, rings a bell. The end of a seat key is a bell by itself.

// scan notes what a range of a line says, which is sorted by create revision. Claims from revision
// end on are behind.
func (v *view) scan(line []entry, end int64) {
	for i := range line {
		m := &line[i].member
		switch {
		case m.chair:
			v.chair = *m
			continue
		case m.rev < end:
			v.list = append(v.list, *m)
		default:
			v.behind = append(v.behind, *m)
		}
		v.sorted = v.sorted || m.priority != 0
	}
}

// arranged says that more than age counts in the line.
func (v *view) arranged() bool { return v.sorted || v.chair.slot != "" }

// arrange looks at what counts more than age.
func (a *ahead) arrange(v *view, own *member) {
	a.sorted = v.sorted || own.priority != 0
	if v.chair.slot != own.slot {
		a.chair = v.chair
	}
	if !a.arranged() {
		return
	}
	var floor int64
	all := slices.Concat(v.list, v.behind)
	for i := range all {
		floor = max(floor, all[i].floor)
	}
	for i := range all {
		m := &all[i]
		seated := m.slot == v.chair.slot || v.chair.slot == "" && i == 0 && m.rev <= floor
		before := m.priority > own.priority || m.priority == own.priority && m.rev < own.rev
		if !seated && before && !m.shade && !m.rest && m.slot != own.slot {
			a.better++
		}
	}
}

// arranged says that more than age counts in the line.
func (a *ahead) arranged() bool { return a.sorted || a.chair.slot != "" }

// token is that of the claim while it is granted.
func (c *claim) token() uint64 { return uint64(max(c.rev, c.chair)) }

// takesKey says that the claim cannot be granted without a seat key: there are priorities, or one that
// came later may have been granted before, so that its revision is no token any more.
func (c *claim) takesKey() bool {
	return !c.shared() && c.ahead.epoch == 0 && (c.priority != 0 || !c.fresh && (c.passed || c.ahead.sorted))
}

// due says that the claim is the first in a line whose seat is empty, and has to give it to somebody.
func (c *claim) due() bool { return c.ready() && c.takesKey() }

// ready says that the rule grants a waiting claim.
func (c *claim) ready() bool {
	return c.state == waiting && c.agrees() && c.ahead.grants(c.weight) && c.lives() > 0
}

// given grants a waiting claim that has a seat key.
func (c *claim) given() bool {
	if c.state != waiting || c.rev == 0 || c.chair < c.rev || c.lives() == 0 {
		return false
	}
	c.state, c.worked = granted, true
	return true
}
