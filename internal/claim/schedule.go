package claim

import (
	"container/heap"
	"time"
)

// schedule is the set of holds, ordered by their next renewal. A hold that is not renewed is in it
// with a due time that never comes.
type schedule struct{ holds byDue }

// never is far enough ahead.
const never = 100 * 365 * 24 * time.Hour

func (s *schedule) add(h *Hold) { heap.Push(&s.holds, h) }
func (s *schedule) has(h *Hold) bool {
	return h.index < len(s.holds) && s.holds[h.index] == h
}

func (s *schedule) first() *Hold {
	if len(s.holds) == 0 {
		return nil
	}
	return s.holds[0]
}

func (s *schedule) remove(h *Hold) {
	if s.has(h) {
		heap.Remove(&s.holds, h.index)
	}
}

// move gives a hold another due time.
func (s *schedule) move(h *Hold, due time.Time) {
	if s.has(h) {
		h.due = due
		heap.Fix(&s.holds, h.index)
	}
}

// take returns the holds due at or before limit and moves each out of the way until then.
func (s *schedule) take(limit, then time.Time) []*Hold {
	var due []*Hold
	for len(s.holds) > 0 && !s.holds[0].due.After(limit) {
		h := s.holds[0]
		due = append(due, h)
		s.move(h, then)
	}
	return due
}

// drain empties the schedule and returns what was in it.
func (s *schedule) drain() []*Hold {
	all := s.holds
	s.holds = nil
	return all
}

type byDue []*Hold

func (b byDue) Len() int           { return len(b) }
func (b byDue) Less(i, j int) bool { return b[i].due.Before(b[j].due) }
func (b byDue) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].index, b[j].index = i, j
}

func (b *byDue) Push(x any) {
	h := x.(*Hold)
	h.index = len(*b)
	*b = append(*b, h)
}

func (b *byDue) Pop() any {
	last := len(*b) - 1
	h := (*b)[last]
	(*b)[last] = nil
	*b = (*b)[:last]
	return h
}
