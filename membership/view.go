package membership

// View is a group at one moment, and how it differs from the view before it.
type View struct {
	// Members are all members in the order of their IDs. The slice is shared: do not change it.
	Members []Member

	// Joined, Updated and Left tell the difference, in the same order: who is new, whose description
	// is new, and who is gone, be it that it left or that it was lost. In the first view all are new.
	Joined, Updated, Left []Member

	// Stale says why the view may be out of date: it matches [ErrUnavailable] while the engine does not
	// answer, and [ErrVanished] while members are shown that should be back soon. nil if nothing speaks
	// for it.
	Stale error
}

// changed reports whether the members differ from those of the view before.
func (v *View) changed() bool { return len(v.Joined)+len(v.Updated)+len(v.Left) > 0 }

// compare returns the view of now after the one of before. Both are ordered by ID.
func compare(before, now []Member) View {
	v := View{Members: now}
	for i, j := 0, 0; i < len(before) || j < len(now); {
		switch {
		case j == len(now) || i < len(before) && before[i].ID < now[j].ID:
			v.Left = append(v.Left, before[i])
			i++
		case i == len(before) || now[j].ID < before[i].ID:
			v.Joined = append(v.Joined, now[j])
			j++
		default:
			if !before[i].equal(&now[j]) {
				v.Updated = append(v.Updated, now[j])
			}
			i++
			j++
		}
	}
	return v
}
