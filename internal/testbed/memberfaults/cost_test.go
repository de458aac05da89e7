package memberfaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed/stores"
)

// What docs/operations.md states: the requests of a minute of a process that has nothing to do, with the
// default TTL.
var perMinute = map[string]struct{ member, watcher int64 }{
	stores.Redis: {18, 84},
	stores.Etcd:  {30, 18},
}

func TestRequestsOfAnIdleGroup(t *testing.T) {
	t.Parallel()
	stores.Every(t, func(t *testing.T, s stores.Store) {
		const (
			// start ends after the first renewal and the first look, which send their scripts along: they
			// arrive in as many pieces as the machine likes.
			start  = 7 * time.Second
			window = 20 * time.Second
		)
		var sent []func() int64
		part := func() *process {
			t.Helper()
			r := &stores.Route{Calls: &stores.Calls{}}
			if s.Kind == stores.Redis { // the pings of a subscription, too
				r = &stores.Route{Network: newNetwork(t)}
				sent = append(sent, func() int64 { return int64(r.Network.Counts().Requests.Chunks) })
			} else {
				sent = append(sent, r.Calls.Sent)
			}
			return open(t, s, 0, r)
		}
		join(t, part(), "idle")
		w := watch(t, part())
		w.settles(t, 1)
		time.Sleep(start)
		before := []int64{sent[0](), sent[1]()}
		views := len(w.shown())
		time.Sleep(window)
		most := perMinute[s.Kind]
		for i, most := range []int64{most.member, most.watcher} {
			n := (sent[i]() - before[i]) * int64(time.Minute/window)
			part := []string{"member", "watcher"}[i]
			if n > most || n == 0 {
				t.Errorf("%s: %d requests in a minute, want 1 to %d", part, n, most)
			}
			t.Logf("%s: %d requests in a minute", part, n)
		}
		if n := len(w.shown()); n != views {
			t.Errorf("%d views of a group in which nothing happened", n-views)
		}
	})
}
