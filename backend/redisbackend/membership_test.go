package redisbackend_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/concord-go/concord/membership"
)

// Members of several processes come, change and go, and a watcher sees it.
func TestMembership(t *testing.T) {
	client, prefix := testClient(t)
	open := func() *membership.Group {
		g, err := membership.New(testLeases(t, client, prefix), "api", &membership.Options{TTL: 2 * time.Second, Hooks: &membership.Hooks{}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeSoon(t, g.Close) })
		return g
	}
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var last membership.View
	views := 0
	watcher := open()
	var wg sync.WaitGroup
	wg.Go(func() {
		for v, err := range watcher.Watch(ctx) {
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			mu.Lock()
			last, views = v, views+1
			mu.Unlock()
		}
	})
	shows := func(check func(v membership.View) bool) {
		t.Helper()
		waitFor(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return views > 0 && check(last)
		})
	}
	shows(func(v membership.View) bool { return len(v.Members) == 0 })
	const n = 20
	var all []*membership.Registration
	for i := range n {
		r, err := open().Join(ctx, membership.Member{ID: fmt.Sprintf("pod-%02d", i), Weight: 1})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	shows(func(v membership.View) bool { return len(v.Members) == n })
	if err := all[3].Update(ctx, membership.Member{ID: "pod-03", Weight: 7}); err != nil {
		t.Fatal(err)
	}
	shows(func(v membership.View) bool { return v.Members[3].Weight == 7 })
	if err := all[5].Leave(ctx); err != nil {
		t.Fatal(err)
	}
	shows(func(v membership.View) bool { return len(v.Members) == n-1 && v.Members[5].ID == "pod-06" })

	keys := client.Keys(ctx, "*"+prefix+"*").Val()
	if n := client.Del(ctx, keys...).Val(); n == 0 { // all join again
		t.Fatal("nothing was lost")
	}
	time.Sleep(4 * time.Second)
	members, err := watcher.Members(ctx)
	if err != nil || len(members) != n-1 || members[3].Weight != 7 {
		t.Errorf("%d members, %v", len(members), err)
	}
	shows(func(v membership.View) bool { return len(v.Members) == n-1 && v.Stale == nil })
	stop()
	wg.Wait()
}
