package membership

import (
	"cmp"
	"slices"
	"time"
)

// vanished is a member whose seat has ended although it did not say that it leaves.
type vanished struct {
	member Member
	until  time.Time // is remembered
	kept   bool      // is shown: it was one of too many
}

// vanish notes who has vanished since the last view, and forgets who is back or was away for too long.
// now are those that are present.
func (w *watcher) vanish(now []Member) {
	at := time.Now()
	w.vanished = slices.DeleteFunc(w.vanished, func(v vanished) bool {
		_, back := slices.BinarySearchFunc(now, v.member.ID, byID)
		return back || w.left[v.member.ID] || !at.Before(v.until)
	})
	gone := compare(w.present, now).Left
	for i := range gone {
		if !w.left[gone[i].ID] {
			w.vanished = append(w.vanished, vanished{member: gone[i], until: at.Add(w.group.opt.TTL / 2)})
		}
	}
	if len(gone) > 0 && len(w.vanished) > len(now) {
		for i := range w.vanished {
			w.vanished[i].kept = true
		}
	}
	w.present = now
	clear(w.left)
}

// withVanished adds those that are kept.
func (w *watcher) withVanished(members []Member) []Member {
	all := slices.Clone(members)
	for i := range w.vanished {
		if w.vanished[i].kept {
			all = append(all, w.vanished[i].member)
		}
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func byID(m Member, id string) int { return cmp.Compare(m.ID, id) }
