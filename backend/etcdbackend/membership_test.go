package etcdbackend

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/membership"
)

// Members of several processes come, change and go, and a watcher sees it.
func TestMembership(t *testing.T) {
	const n = 20
	be, _ := processes(t, n+1)
	open := func(be *Backend) *membership.Group {
		g, err := membership.New(be.Leases(), "api", &membership.Options{TTL: 2 * time.Second, Hooks: &membership.Hooks{}})
		return closing(t, g, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var last membership.View
	views, least := 0, n
	watcher := open(be[n])
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
			last, views, least = v, views+1, min(least, len(v.Members))
			mu.Unlock()
		}
	})
	shows := func(what string, check func(v membership.View) bool) {
		t.Helper()
		eventually(t, what, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return views > 0 && check(last)
		})
	}
	shows("nobody", func(v membership.View) bool { return len(v.Members) == 0 })
	var all []*membership.Registration
	for i := range n {
		r, err := open(be[i]).Join(ctx, membership.Member{ID: fmt.Sprintf("pod-%02d", i), Weight: 1})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	shows("all", func(v membership.View) bool { return len(v.Members) == n })
	if err := all[3].Update(ctx, membership.Member{ID: "pod-03", Weight: 7}); err != nil {
		t.Fatal(err)
	}
	shows("the update", func(v membership.View) bool { return v.Members[3].Weight == 7 })
	if err := all[5].Leave(ctx); err != nil {
		t.Fatal(err)
	}
	shows("that one left", func(v membership.View) bool { return len(v.Members) == n-1 && v.Members[5].ID == "pod-06" })

	mu.Lock()
	least = n
	mu.Unlock()
	gone, err := connect(t, endpoints(t)).Delete(ctx, be[0].names.line("membership/api"), clientv3.WithPrefix()) // all join again
	if err != nil || gone.Deleted < n-1 {
		t.Fatalf("%+v, %v", gone, err)
	}
	time.Sleep(3 * time.Second)
	shows("all again", func(v membership.View) bool { return len(v.Members) == n-1 && v.Stale == nil })
	members, err := watcher.Members(ctx)
	if err != nil || len(members) != n-1 || members[3].Weight != 7 {
		t.Errorf("%d members, %v", len(members), err)
	}
	mu.Lock()
	if least < n-1 { // they were back in a moment
		t.Errorf("only %d members at times", least)
	}
	mu.Unlock()
	stop()
	wg.Wait()
}
