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

// observe starts an observer and returns when its first change has come: the port does not say
// when Observe has begun to listen, so a few grants are spent on finding out.
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
			r.broken("Observe is told about every change of an announced key", "nothing", "a seat and an end")
		}
		c := r.announced(key)
		r.hold(c)
		r.release(c, lease.WasHeld)
	}
	return o
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

	want := []string{
		fmt.Sprint("seated ", g1.Token), fmt.Sprint("meta ", g1.Token), fmt.Sprint("ended ", g1.Token),
		fmt.Sprint("seated ", g2.Token), fmt.Sprint("ended ", g2.Token),
	}
	names := map[lease.ChangeKind]string{lease.ChangeSeated: "seated", lease.ChangeEnded: "ended", lease.ChangeMeta: "meta"}
	for give := r.deadline(); ; r.pause() {
		var got []string
		for _, c := range o.list() {
			if c.Token >= g1.Token {
				got = append(got, fmt.Sprint(names[c.Kind], " ", c.Token))
			}
		}
		if slices.Equal(got, want) {
			break
		}
		if slices.Contains(got, want[len(want)-1]) || time.Now().After(give) {
			r.broken("Observe is told about every change, once and in order", got, want)
		}
	}
	changes := o.list()
	for i := 1; i < len(changes); i++ {
		same(r, fmt.Sprintf("Prev is the grant of the change before (change %d of %+v)", i, changes), changes[i].Prev, changes[i-1].Token)
	}
}

func announceOthers(r *rig) {
	o := r.observe("k")
	r.hold(r.announced("other"))
	last := r.announced("k")
	g := r.hold(last)
	for give := r.deadline(); ; r.pause() {
		changes := o.list()
		if n := len(changes); n > 0 && changes[n-1].Token == g.Token {
			for i := 1; i < n; i++ {
				same(r, "changes are for their own key, without a gap", changes[i].Prev, changes[i-1].Token)
			}
			return
		}
		if time.Now().After(give) {
			r.broken("Observe is told about every change", fmt.Sprintf("%+v", changes), g.Token)
		}
	}
}
