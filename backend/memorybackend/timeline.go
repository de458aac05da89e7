package memorybackend

import (
	"container/heap"
	"time"
)

// timed is something that ends and knows its own place in a timeline.
type timed interface {
	ends() time.Time
	place() *int
}

// timeline is a heap of things by the time they end, the earliest first.
type timeline[T timed] []T

func (l *timeline[T]) add(x T)    { heap.Push((*byEnd[T])(l), x) }
func (l *timeline[T]) moved(x T)  { heap.Fix((*byEnd[T])(l), *x.place()) }
func (l *timeline[T]) remove(x T) { heap.Remove((*byEnd[T])(l), *x.place()) }

// first returns the earliest thing that has ended at now.
func (l timeline[T]) first(now time.Time) (x T, ok bool) {
	if len(l) == 0 || now.Before(l[0].ends()) {
		return x, false
	}
	return l[0], true
}

// byEnd is the timeline as container/heap wants it.
type byEnd[T timed] []T

func (h byEnd[T]) Len() int           { return len(h) }
func (h byEnd[T]) Less(i, j int) bool { return h[i].ends().Before(h[j].ends()) }

func (h byEnd[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].place(), *h[j].place() = i, j
}

func (h *byEnd[T]) Push(x any) {
	*x.(T).place() = len(*h)
	*h = append(*h, x.(T))
}

func (h *byEnd[T]) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	clear((*h)[last:])
	*h = (*h)[:last]
	return x
}
