package memberfaults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/membership"
)

// sighting is one view as a watcher was shown it.
type sighting struct {
	membership.View
	at time.Time
}

// watcher follows a group and keeps every view.
type watcher struct {
	mu   sync.Mutex
	list []sighting
}

// watch has a process follow the group until the test ends. It returns when the first view has come.
// At the end every view must follow from the one before.
func watch(t testing.TB, p *process) *watcher {
	t.Helper()
	w := &watcher{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var last error
		for view, err := range p.Watch(ctx) {
			if last = err; err != nil {
				break
			}
			w.mu.Lock()
			w.list = append(w.list, sighting{view, time.Now()})
			w.mu.Unlock()
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("the watch ended with %v", last)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		for _, broken := range disorder(w.shown()) {
			t.Error(broken)
		}
	})
	suite.Wait(t, "the first view", func() bool { return len(w.shown()) > 0 })
	return w
}

func (w *watcher) shown() []sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

// sees returns the first view from an instant on of which done reports true, and waits for it.
func (w *watcher) sees(t testing.TB, what string, since time.Time, done func(v *sighting) bool) sighting {
	t.Helper()
	var found sighting
	suite.Wait(t, what, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i := len(w.list) - 1; i >= 0 && !w.list[i].at.Before(since); i-- {
			if done(&w.list[i]) {
				found = w.list[i]
			}
		}
		return !found.at.IsZero()
	})
	return found
}

// settles waits until the last view has n members and no doubt, and returns it.
func (w *watcher) settles(t testing.TB, n int) sighting {
	t.Helper()
	var last sighting
	suite.Wait(t, fmt.Sprint("the view has ", n, " members"), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		last = w.list[len(w.list)-1]
		return len(last.Members) == n && last.Stale == nil
	})
	return last
}

// since returns the views from an instant on, and the one that was in force then.
func (w *watcher) since(at time.Time) []sighting {
	list := w.shown()
	first := max(0, len(list)-1)
	for first > 0 && list[first].at.After(at) {
		first--
	}
	return list[first:]
}

// fewest returns how many members the smallest of some views has, and how many were shown as gone in all
// of them but the first.
func fewest(list []sighting) (least, gone int) {
	least = len(list[0].Members)
	for _, s := range list[1:] {
		least = min(least, len(s.Members))
		gone += len(s.Left)
	}
	return least, gone
}

// doubts reports whether one of some views has a doubt.
func doubts(list []sighting, doubt error) bool {
	return slices.ContainsFunc(list, func(s sighting) bool { return errors.Is(s.Stale, doubt) })
}

// has reports whether a member is in a view.
func (s *sighting) has(id string) bool {
	return slices.ContainsFunc(s.Members, func(m membership.Member) bool { return m.ID == id })
}

// disorder says where a view is not what its changes make of the one before, is out of order, or has
// an ID twice.
func disorder(list []sighting) (found []string) {
	known := map[string]membership.Member{}
	for n := range list {
		v := &list[n]
		for _, m := range v.Joined {
			if _, there := known[m.ID]; there {
				found = append(found, fmt.Sprintf("view %d: %q joins again", n, m.ID))
			}
			known[m.ID] = m
		}
		for _, m := range v.Updated {
			if _, there := known[m.ID]; !there {
				found = append(found, fmt.Sprintf("view %d: %q is new but was not there", n, m.ID))
			}
			known[m.ID] = m
		}
		for _, m := range v.Left {
			if _, there := known[m.ID]; !there {
				found = append(found, fmt.Sprintf("view %d: %q leaves and was not there", n, m.ID))
			}
			delete(known, m.ID)
		}
		if len(known) != len(v.Members) {
			found = append(found, fmt.Sprintf("view %d: %d members, its changes make %d", n, len(v.Members), len(known)))
		}
		for i, m := range v.Members {
			if k, there := known[m.ID]; !there || k.Weight != m.Weight {
				found = append(found, fmt.Sprintf("view %d: its changes do not make %+v", n, m))
			}
			if i > 0 && v.Members[i-1].ID >= m.ID {
				found = append(found, fmt.Sprintf("view %d: %q before %q", n, v.Members[i-1].ID, m.ID))
			}
		}
	}
	return found
}
