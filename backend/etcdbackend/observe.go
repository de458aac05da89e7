package etcdbackend

import (
	"context"
	"crypto/rand"
	mrand "math/rand/v2"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"

	"github.com/concord-go/concord/lease"
)

// Observe implements [lease.Backend], with a watch of its own on the line of the key. It reads the line
// once and follows it: who is seated is worked out from what the watch tells, without a request. A
// permission that is missing ends it with that error.
//
// The watch is asked for a sign of life when it was quiet for 5 s. Without one in another 5 s there is
// a gap, and another one when the line could be read again.
func (l *leases) Observe(ctx context.Context, key string, notify func(lease.Change)) error {
	const verb = "observe"
	b := l.b
	if err := b.ready(ctx, verb); err != nil {
		return err
	}
	if err := lease.ValidateKey(key); err != nil {
		return fail(ctx, verb, err)
	}
	o := &observer{b: b, name: b.id + "-" + rand.Text(), line: b.names.line(key), notify: notify}
	var failure error
	ended := make(chan struct{})
	started := b.work.start(func(life context.Context) {
		defer close(ended)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		failure = o.run(ctx)
	})
	if !started {
		return fail(ctx, verb, lease.ErrClosed)
	}
	<-ended
	switch {
	case ctx.Err() != nil:
		return fail(ctx, verb, ctx.Err())
	case failure != nil:
		return fail(ctx, verb, failure)
	}
	return fail(ctx, verb, lease.ErrClosed)
}

// observer is one call of Observe.
type observer struct {
	b      *Backend
	name   string // of its watches
	line   string
	notify func(lease.Change)

	scene *scene    // nil while it is not known what is true
	at    int64     // everything up to this revision was told
	sure  int64     // nothing has happened between that and this
	heard time.Time // when the watch was last known to have missed nothing
}

// run keeps the watch until ctx ends, or the server refuses it. Each session goes on where the one
// before was.
func (o *observer) run(ctx context.Context) error {
	o.heard = time.Now()
	pause := time.Duration(0)
	for n := 0; ; n++ {
		opened, err := o.session(ctx, n)
		if ctx.Err() != nil {
			return nil
		}
		if opened {
			pause = 0
		} else if err = o.b.hub.why(ctx, err); !temporary(err) {
			return err
		}
		if since := time.Since(o.heard); since > o.b.hub.pace.every+o.b.hub.pace.wait {
			o.forget()
		}
		if pause == 0 { // once, not at every try
			o.b.opt.Logger.Warn("etcdbackend: watch of an observer lost", "error", err)
		}
		pause = min(max(2*pause, reopenMin), reopenMax)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause/2 + mrand.N(pause/2)):
		}
	}
}

// forget tells a gap: what is true has to be read anew.
func (o *observer) forget() {
	if o.scene == nil {
		return
	}
	o.scene, o.at, o.sure = nil, 0, 0
	o.notify(lease.Change{Kind: lease.ChangeGap})
}

// session opens the watch on a stream of its own, as [hub.session] does, and receives until it fails.
func (o *observer) session(ctx context.Context, n int) (opened bool, err error) {
	ctx = metadata.AppendToOutgoingContext(clientv3.WithRequireLeader(ctx), "concord-watch", o.name+"-"+strconv.Itoa(n))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	giveUp := time.AfterFunc(openWait, cancel)
	defer giveUp.Stop()
	changes := o.b.client.Watch(ctx, o.line, watchOptions(max(o.at, o.sure))...)
	defer drain(changes)
	defer cancel()

	pace := o.b.hub.pace
	tick := time.NewTimer(pace.every)
	defer tick.Stop()
	var since time.Time // from when on a sign of life has been asked for; zero = all is well
	for {
		var r clientv3.WatchResponse
		var ok bool
		select {
		case r, ok = <-changes:
		case <-tick.C:
			if since.IsZero() {
				since = time.Now()
			} else if time.Since(since) > pace.wait {
				return opened, errSilent
			}
			tick.Reset(min(askAgain, pace.wait))
			if err := o.b.client.RequestProgress(ctx); err != nil {
				return opened, err
			}
			continue
		}
		switch err := r.Err(); {
		case !ok && !opened:
			return opened, errSilent
		case !ok:
			return opened, errCanceled
		case err != nil:
			if r.CompactRevision != 0 {
				o.forget() // what was missed is not to be had any more
			}
			return opened, err
		case r.Created:
			giveUp.Stop()
			opened = true
			if o.scene == nil {
				if err := o.begin(ctx); err != nil {
					return opened, err
				}
				o.heard = time.Now()
			} else { // is it past what happened meanwhile?
				since = time.Now()
				tick.Reset(0)
			}
		default:
			o.follow(r)
			o.heard, since = time.Now(), time.Time{}
			tick.Reset(pace.every)
		}
	}
}

// begin reads the line, and tells that changes after that are told. The watch stands already, so none
// of them is missed.
func (o *observer) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	r, err := o.b.client.Txn(ctx).Then(clientv3.OpGet(o.line, clientv3.WithPrefix(), inOrder)).Commit()
	if err != nil {
		return err
	}
	o.scene, o.at = newScene(r.Responses[0].GetResponseRange().Kvs), r.Header.Revision
	o.notify(lease.Change{Kind: lease.ChangeGap})
	return nil
}

// follow tells of one response. A revision is never spread over two of them, and what is true is
// told of whole revisions only.
func (o *observer) follow(r clientv3.WatchResponse) {
	for i := 0; i < len(r.Events); {
		rev := r.Events[i].Kv.ModRevision
		for ; i < len(r.Events) && r.Events[i].Kv.ModRevision == rev; i++ {
			if rev > o.at {
				o.scene.take(r.Events[i])
			}
		}
		if rev <= o.at {
			continue
		}
		o.at = rev
		for _, c := range o.scene.changes() {
			o.notify(c)
		}
	}
	if r.IsProgressNotify() {
		o.sure = max(o.sure, r.Header.Revision)
	}
}
