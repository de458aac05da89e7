package backendtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/concord-go/concord/lease"
)

// observer collects the changes of one key.
type observer struct {
	mu      sync.Mutex
	changes []lease.Change
}

func (o *observer) list() []lease.Change {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.changes)
}

// observe starts an observer and returns when it is told that it is listening.
func (r *rig) observe(key string) *observer {
	r.Helper()
	o := &observer{}
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan error, 1)
	go func() {
		done <- r.be.Observe(ctx, key, func(c lease.Change) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.changes = append(o.changes, c)
		})
	}()
	r.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				r.Errorf("broken promise: Observe returns the error of its ctx\n\tgot:  %v\n\twant: %v", err, context.Canceled)
			}
		case <-time.After(patience):
			r.Errorf("broken promise: Observe returns when its ctx has ended")
		}
	})
	for give := r.deadline(); len(o.list()) == 0; r.pause() {
		if time.Now().After(give) {
			r.broken("Observe tells when it has begun to listen", "nothing", "a gap")
		}
	}
	same(r, "Observe tells first that it has begun to listen", o.list()[0], lease.Change{Kind: lease.ChangeGap})
	return o
}

// is waits until as many changes have come as are wanted, and compares them.
func (o *observer) is(r *rig, promise string, want []lease.Change) {
	r.Helper()
	for give := r.deadline(); len(o.list()) < len(want) && time.Now().Before(give); {
		r.pause()
	}
	if got := o.list(); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		r.broken(promise, fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
	}
}

func (r *rig) announced(key string) lease.Claim {
	c := r.claim(key)
	c.Announce = true
	return c
}

func announceChanges(r *rig) {
	o := r.observe("k")
	first, second := r.announced("k"), r.announced("k")
	g1 := r.hold(first)
	r.wait(second)
	item := renewal(first, false)
	item.MetaSeq, item.Meta = 1, []byte("new")
	r.renew(item)
	item.MetaSeq, item.Meta = 1, []byte("copy of it")
	r.renew(item)
	r.release(first, lease.WasHeld)
	g2 := r.becomes("a release grants to the next waiter", second)
	r.revoke("Revoke finds the seat", lease.Revocation{Key: "k", Token: g2.Token, Force: true}, true)

	o.is(r, "Observe is told about every change, once and in order", []lease.Change{
		{Kind: lease.ChangeGap},
		{Kind: lease.ChangeSeated, Token: g1.Token},
		{Kind: lease.ChangeMeta, Token: g1.Token},
		{Kind: lease.ChangeEnded, Token: g1.Token},
		{Kind: lease.ChangeSeated, Token: g2.Token},
		{Kind: lease.ChangeEnded, Token: g2.Token},
	})
}

func announceOthers(r *rig) {
	o := r.observe("k")
	r.hold(r.announced("other"))
	first := r.announced("k")
	g := r.hold(first)
	r.release(first, lease.WasHeld)
	o.is(r, "changes are for their own key", []lease.Change{
		{Kind: lease.ChangeGap}, {Kind: lease.ChangeSeated, Token: g.Token}, {Kind: lease.ChangeEnded, Token: g.Token},
	})
}

// announceMembers: many hold at the same time, come and go, and one lapses.
func announceMembers(r *rig) {
	if !r.caps.Limits {
		r.Skip("the engine has no limit 0")
	}
	o := r.observe("k")
	want := []lease.Change{{Kind: lease.ChangeGap}}
	join := func(c lease.Claim) (lease.Claim, uint64) {
		c.Announce, c.Limit = true, 0
		g := r.hold(c)
		want = append(want, lease.Change{Kind: lease.ChangeSeated, Token: g.Token})
		return c, g.Token
	}
	leave := func(token uint64) { want = append(want, lease.Change{Kind: lease.ChangeEnded, Token: token}) }
	join(r.claim("k"))
	for range 3 {
		c, token := join(r.claim("k"))
		r.release(c, lease.WasHeld)
		leave(token)
	}
	brief, token := join(r.brief())
	r.lapse(brief)
	leave(token)
	join(r.claim("k")) // a verb on the key notices the end, at the latest
	o.is(r, "Observe is told about every member that comes, goes and lapses", want)
}
