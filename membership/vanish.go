package membership

import (
	"cmp"
	"slices"
	"time"
)

// maxSettle bounds the time for which a member that has vanished is shown in any case.
const maxSettle = time.Second

// vanished is a member whose seat has ended although it did not say that it leaves. It may be back on
// another one.
type vanished struct {
	member  Member
	settles time.Time // is shown until then: engines end the seats of many one after the other
	judged  bool      // that is over, or it was one of too many before
	until   time.Time // is remembered
	kept    bool      // is shown until then or until it is back: it was one of too many
}

// vanish notes who has vanished since the last view, and forgets who was away for too long. now are
// those that are present.
func (w *watcher) vanish(now []Member) {
	at := time.Now()
	gone := map[string]bool{}
	for i := range w.present {
		id := w.present[i].ID
		if _, seated := w.seats[w.tokens[i]]; !seated && !w.left[id] {
			gone[id] = true
		}
	}
	w.vanished = slices.DeleteFunc(w.vanished, func(v vanished) bool {
		return gone[v.member.ID] || w.left[v.member.ID] || !at.Before(v.until)
	})
	ttl := w.group.opt.TTL
	for i := range w.present {
		if gone[w.present[i].ID] {
			w.vanished = append(w.vanished, vanished{
				member: w.present[i], settles: at.Add(min(ttl/8, maxSettle)), until: at.Add(ttl / 2),
			})
		}
	}
	// Those that are back already speak for an engine that was away, not against it.
	stayed := len(now)
	for i := range w.vanished {
		if w.vanished[i].among(now) {
			stayed--
		}
	}
	settled := func(v vanished) bool { return !v.judged && !at.Before(v.settles) }
	if slices.ContainsFunc(w.vanished, settled) {
		tooMany := len(w.vanished) > stayed
		for i := range w.vanished {
			if v := &w.vanished[i]; tooMany || settled(*v) {
				v.judged, v.kept = true, v.kept || tooMany
			}
		}
	}
	w.present, w.tokens = now, w.seats.tokens()
	clear(w.left)
}

// withVanished adds those that are shown still, reports whether any of them is kept, and sets the alarm
// for when that changes.
func (w *watcher) withVanished(members []Member) (all []Member, kept bool) {
	all = slices.Clone(members)
	w.alarm = time.Time{}
	for i := range w.vanished {
		v := &w.vanished[i]
		settling := !v.judged
		if (settling || v.kept) && !v.among(members) {
			all = append(all, v.member)
			kept = kept || v.kept
		}
		next := v.until
		if settling {
			next = v.settles
		}
		if w.alarm.IsZero() || next.Before(w.alarm) {
			w.alarm = next
		}
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return all, kept
}

// among reports whether the member is among some that are ordered by ID.
func (v *vanished) among(members []Member) bool {
	_, found := slices.BinarySearchFunc(members, v.member.ID, byID)
	return found
}

func byID(m Member, id string) int { return cmp.Compare(m.ID, id) }
