package etcdbackend

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"

	"github.com/concord-go/concord/lease"
)

const (
	openWait  = 2 * time.Second        // for a member to accept the watch
	askAgain  = 100 * time.Millisecond // a member that is behind does not answer at all
	reopenMin = 50 * time.Millisecond
	reopenMax = 2 * time.Second
)

// pace is how often a sign of life is asked for, and how long it may take. Without one the watch
// is opened anew, and that may be at another member.
type pace struct{ every, wait time.Duration }

var calm = pace{every: 5 * time.Second, wait: 5 * time.Second}

// hub keeps the watch of this backend object, on the deletions of all claims of the prefix and on
// the words to holders, and hands events to those who watch an attempt. It is opened before the
// first claim is made and kept: a watch that is opened for each wait may be served late, and costs
// a request.
type hub struct {
	b       *Backend
	pace    pace
	once    sync.Once
	ready   chan struct{} // closed when the watch was first opened
	refused chan error    // tells those who wait for that why it never will be

	// heard is when the watch was last known to have missed nothing, as a duration since start;
	// 0 = it is not.
	heard atomic.Int64
	lost  time.Time // when it was not any more; of the goroutine that runs it

	mu      sync.Mutex
	watches map[lease.Attempt]*watch
}

// start is the origin of instants kept as numbers: monotonic, and never zero.
var start = time.Now().Add(-time.Second)

func newHub(b *Backend) *hub {
	return &hub{b: b, pace: calm, ready: make(chan struct{}), refused: make(chan error), watches: map[lease.Attempt]*watch{}}
}

// open starts the watch with the first call and returns when it stands.
func (h *hub) open(ctx context.Context) error {
	h.once.Do(func() { h.b.work.start(h.run) })
	select {
	case <-h.ready:
		return nil
	default:
	}
	select {
	case <-h.ready:
		return nil
	case err := <-h.refused:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-h.b.work.ctx.Done():
		return lease.ErrClosed
	}
}

// healthy says that whatever was deleted is known of, but for the last moments.
func (h *hub) healthy() bool {
	heard := time.Duration(h.heard.Load())
	return heard != 0 && time.Since(start) < heard+h.pace.every+h.pace.wait
}

func (h *hub) alive() { h.heard.Store(int64(time.Since(start))) }

// run keeps the watch until ctx ends. Each session goes on where the one before was, so that
// nothing is missed; only when that is no longer possible is there a gap.
func (h *hub) run(ctx context.Context) {
	at := progress{}
	h.lost = time.Now()
	pause := time.Duration(0)
	for n := 0; ctx.Err() == nil; n++ {
		opened, err := h.session(ctx, n, &at)
		if heard := h.heard.Swap(0); heard != 0 {
			h.lost = start.Add(time.Duration(heard))
		}
		if ctx.Err() != nil {
			return
		}
		if opened {
			pause = 0
		} else {
			err = h.why(ctx, err)
		}
		if pause == 0 { // once, not at every try
			h.b.opt.Logger.Warn("etcdbackend: watch lost, claims that wait fall back to asking", "error", err)
		}
		pause = min(max(2*pause, reopenMin), reopenMax)
		h.rest(ctx, pause/2+rand.N(pause/2), err)
	}
}

// why finds out whether a watch that did not stand is refused by the server: the client makes any
// error of it, and a read of the same names the right one.
func (h *hub) why(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, maxAttempt)
	defer cancel()
	few := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(1)}
	names := h.b.names
	_, refusal := h.b.client.Txn(ctx).Then(clientv3.OpGet(names.claims, few...), clientv3.OpGet(names.words, few...)).Commit()
	if refusal != nil && !temporary(refusal) {
		return refusal
	}
	return err
}

// rest waits before the next session. If there is no sense in waiting for that, since the server
// refuses the watch, callers are told so meanwhile.
func (h *hub) rest(ctx context.Context, pause time.Duration, err error) {
	refused := h.refused
	if temporary(err) {
		refused = nil
	}
	for timer := time.After(pause); ; {
		select {
		case <-ctx.Done():
			return
		case <-timer:
			return
		case refused <- err:
		}
	}
}

// progress is up to which revision each of the two watches has told everything.
type progress struct {
	deletions int64
	words     int64
}

var (
	errSilent   = errors.New("no sign of life from the watch")
	errCanceled = errors.New("watch ended")
)

// session opens the two watches on a stream of their own and receives until one fails. opened
// says that they stood.
func (h *hub) session(ctx context.Context, n int, at *progress) (opened bool, err error) {
	// The client shares a stream between watches whose ctx has the same metadata. One of our own
	// ends with us, and the next may go to another member. It also makes progress ours alone: the
	// server answers only when all watches of a stream have caught up.
	ctx = metadata.AppendToOutgoingContext(clientv3.WithRequireLeader(ctx), "concord-watch", h.b.id+"-"+strconv.Itoa(n))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	giveUp := time.AfterFunc(openWait, cancel)
	defer giveUp.Stop()

	names := h.b.names
	deletions := h.b.client.Watch(ctx, names.claims, watchOptions(at.deletions, clientv3.WithFilterPut())...)
	words := h.b.client.Watch(ctx, names.words, watchOptions(at.words, clientv3.WithFilterDelete())...)
	defer drain(deletions)
	defer drain(words)
	defer cancel()

	tick := time.NewTimer(h.pace.every)
	defer tick.Stop()
	var since time.Time // from when on a sign of life has been asked for; zero = all is well
	for {
		var r clientv3.WatchResponse
		var ok, isWord bool
		select {
		case r, ok = <-deletions:
		case r, ok = <-words:
			isWord = true
		case <-tick.C:
			if since.IsZero() {
				since = time.Now()
			} else if time.Since(since) > h.pace.wait {
				return opened, errSilent
			}
			tick.Reset(min(askAgain, h.pace.wait))
			if err := h.b.client.RequestProgress(ctx); err != nil {
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
				*at = progress{} // what was missed is not to be had any more
			}
			return opened, err
		case isWord:
			h.words(r, at)
		case r.Created:
			giveUp.Stop()
			opened = true
			if at.deletions == 0 {
				at.deletions, at.words = r.Header.Revision, r.Header.Revision
				h.b.table.gap(r.Header.Revision, time.Since(h.lost))
				h.alive()
				h.openedFirst()
			} else { // is it past what happened meanwhile?
				since = time.Now()
				tick.Reset(0)
			}
		default:
			h.deletions(r, at)
			if r.IsProgressNotify() || h.heard.Load() != 0 {
				h.alive()
				since = time.Time{}
				tick.Reset(h.pace.every)
			}
		}
	}
}

// watchOptions begins with the last revision that was told of, once more: a server gives no sign of
// life for a watch that begins in its future, which on an idle cluster the one after is.
func watchOptions(last int64, filter ...clientv3.OpOption) []clientv3.OpOption {
	options := slices.Concat(filter, []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithCreatedNotify()})
	if last != 0 {
		options = append(options, clientv3.WithRev(last))
	}
	return options
}

// drain waits until a cancelled watch has let go of its channel.
func drain(ch clientv3.WatchChan) {
	for range ch {
	}
}

func (h *hub) openedFirst() {
	select {
	case <-h.ready:
	default:
		close(h.ready)
	}
}

// deletions handles one response of the watch on claims. Its events have one revision each, but
// a revision is never spread over two responses.
func (h *hub) deletions(r clientv3.WatchResponse, at *progress) {
	for _, e := range r.Events {
		h.b.table.deleted(string(e.Kv.Key), e.Kv.ModRevision)
		at.deletions = e.Kv.ModRevision
	}
	if r.IsProgressNotify() {
		at.deletions = max(at.deletions, r.Header.Revision)
	}
	h.b.table.caughtUp(at.deletions)
}

// words handles one response of the watch on words to holders.
func (h *hub) words(r clientv3.WatchResponse, at *progress) {
	for _, e := range r.Events {
		at.words = e.Kv.ModRevision
		line, slot := cut(string(e.Kv.Key))
		if isBell(slot) { // a note to nobody
			continue
		}
		w, err := parseWord(e.Kv.Value)
		if err != nil {
			h.b.opt.Logger.Debug("etcdbackend: word to a holder not understood", "key", string(e.Kv.Key), "error", err)
			continue
		}
		line = h.b.names.claims + line[len(h.b.names.words):]
		if w.kind == hasSeat {
			h.b.table.give(line, slot, e.Kv.ModRevision)
		} else {
			h.b.table.ask(line, slot, w)
		}
	}
	if r.IsProgressNotify() {
		at.words = max(at.words, r.Header.Revision)
	}
}
