package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
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

// observe starts an observer of the key k and returns when it is told that it is listening.
func (r *rig) observe() *observer {
	r.Helper()
	o := &observer{}
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan error, 1)
	go func() {
		done <- r.be.Observe(ctx, "k", func(c lease.Change) {
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
	same(r, "Observe tells first that it has begun to listen", o.list()[0].Kind, lease.ChangeGap)
	return o
}

// seated, proclaimed and left are changes as they should be told.
func seated(c lease.Claim, token uint64) lease.Change {
	return lease.Change{Kind: lease.ChangeSeated, Party: told(c, token)}
}

func proclaimed(c lease.Claim, token uint64, meta string) lease.Change {
	c.Meta = []byte(meta)
	return lease.Change{Kind: lease.ChangeMeta, Party: told(c, token)}
}

func left(token uint64) lease.Change {
	return lease.Change{Kind: lease.ChangeEnded, Party: lease.Party{Token: token}}
}

// told is a claim as observers see it.
func told(c lease.Claim, token uint64) lease.Party {
	return lease.Party{Attempt: c.Attempt, Owner: c.Owner, Meta: c.Meta, Token: token, Weight: c.Weight, Priority: c.Priority}
}

// is waits until as many changes have come as are wanted after the first, and compares them.
func (o *observer) is(r *rig, promise string, want ...lease.Change) {
	r.Helper()
	want = append([]lease.Change{{Kind: lease.ChangeGap}}, want...)
	for give := r.deadline(); len(o.list()) < len(want) && time.Now().Before(give); {
		r.pause()
	}
	if got := o.list(); len(got) < len(want) || !slices.EqualFunc(got[:len(want)], want, sameChange) {
		r.broken(promise, fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
	}
}

func sameChange(a, b lease.Change) bool {
	x, y := a.Party, b.Party
	meta := bytes.Equal(x.Meta, y.Meta)
	x.Meta, y.Meta = nil, nil
	return a.Kind == b.Kind && meta && reflect.DeepEqual(x, y)
}

func (r *rig) announced(key string) lease.Claim {
	c := r.claim(key)
	c.Announce, c.Owner, c.Meta = true, "somebody", []byte{0, ' ', 0xff}
	return c
}

func announceChanges(r *rig) {
	o := r.observe()
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

	o.is(r, "Observe is told about every change, once and in order, and by whom",
		seated(first, g1.Token), proclaimed(first, g1.Token, "new"), left(g1.Token),
		seated(second, g2.Token), left(g2.Token))
}

func announceOthers(r *rig) {
	o := r.observe()
	r.hold(r.announced("other"))
	first := r.announced("k")
	g := r.hold(first)
	r.release(first, lease.WasHeld)
	o.is(r, "changes are for their own key", seated(first, g.Token), left(g.Token))
}

// announceLapse: nobody but the observer looks at the key.
func announceLapse(r *rig) {
	o := r.observe()
	c := r.brief()
	c.Announce = true
	g := r.hold(c)
	o.is(r, "Observe is told that a holder came", seated(c, g.Token))
	start := time.Now()
	o.is(r, "Observe is told that a holder has lapsed, though nobody uses the key", seated(c, g.Token), left(g.Token))
	if most := r.life(c.TTL) + r.caps.ExpiryLate + lease.MaxNotice; time.Since(start) > most {
		r.broken("Observe is told of a lapse in time", time.Since(start), fmt.Sprintf("at most %v", most))
	}
}

// announceMembers: many hold at the same time, come and go, and one lapses.
func announceMembers(r *rig) {
	if !r.caps.Limits {
		r.Skip("the engine has no limit 0")
	}
	o := r.observe()
	var want []lease.Change
	join := func(c lease.Claim) (lease.Claim, uint64) {
		c.Announce, c.Limit = true, 0
		g := r.hold(c)
		want = append(want, seated(c, g.Token))
		return c, g.Token
	}
	join(r.claim("k"))
	for range 3 {
		c, token := join(r.claim("k"))
		r.release(c, lease.WasHeld)
		want = append(want, left(token))
	}
	brief, token := join(r.brief())
	r.lapse(brief)
	want = append(want, left(token))
	o.is(r, "Observe is told about every member that comes, goes and lapses", want...)
	join(r.claim("k"))
	o.is(r, "Observe goes on after a lapse", want...)
}
