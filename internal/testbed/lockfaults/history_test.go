package lockfaults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/lock"
)

// workload is what the clients of one history do.
type workload struct {
	rounds int     // of each client
	tries  float64 // share of TryAcquire
	hasty  float64 // share of acquires that give up soon
	lapses float64 // share of the leases of every third client that are held until they are lost
	revoke bool    // one client is an operator who ends leases by force
	seed   uint64
}

var historyKeys = []string{"a", "b"}

// unrepeated is shorter than the time after which a request without an answer is sent again.
const unrepeated = int64(400 * time.Millisecond)

// record is what one client saw of one lease, or one attempt to get or end one.
type record struct {
	client    int
	action    action // acquired, refused, revoked or notRevoked
	key       string
	token     fence.Token
	call, ret int64
	uncertain bool // of a revocation: nobody knows

	// Of a lease that was acquired, how it ended.
	deadline, endCall, endRet int64
	end                       error
}

// history collects records of many clients.
type history struct {
	start time.Time
	work  workload

	mu      sync.Mutex
	records []record
	unknown int // acquires with unknown outcome
	lost    int // leases that were lost
}

func (h *history) now() int64 { return int64(time.Since(h.start)) }

func (h *history) add(r record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.records = append(h.records, r)
}

// client acquires and releases.
func (h *history) client(t *testing.T, id int, locks *lock.Locker, lapses bool) {
	dice := rand.New(rand.NewPCG(h.work.seed, uint64(id)))
	for n := range h.work.rounds {
		key := historyKeys[(id+n)%len(historyKeys)]
		patience := eventually
		acquire := locks.Acquire
		switch d := dice.Float64(); {
		case d < h.work.tries:
			acquire = locks.TryAcquire
		case d < h.work.tries+h.work.hasty:
			patience = time.Duration(dice.IntN(5000)) * time.Microsecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		r := record{client: id, action: acquired, key: key, call: h.now()}
		l, err := acquire(ctx, key)
		r.ret = h.now()
		gaveUp := ctx.Err() != nil
		cancel()
		var held *lock.HeldError
		switch {
		case errors.As(err, &held):
			r.action, r.token = refused, held.Token
			h.add(r)
			continue
		case gaveUp && errors.Is(err, context.DeadlineExceeded), errors.Is(err, lock.ErrUncertain), errors.Is(err, lock.ErrUnavailable):
			h.mu.Lock()
			h.unknown++
			h.mu.Unlock()
			continue
		case err != nil:
			t.Errorf("client %d: %v", id, err)
			return
		}
		r.token = l.Token()
		if lapses && dice.Float64() < h.work.lapses {
			<-l.Context().Done()
		} else {
			time.Sleep(time.Duration(dice.IntN(1000)) * time.Microsecond)
		}
		r.endCall = h.now()
		r.end = l.Release(context.Background())
		r.endRet = h.now()
		r.deadline = int64(l.Deadline().Sub(h.start))
		if errors.Is(r.end, lock.ErrLost) {
			h.mu.Lock()
			h.lost++
			h.mu.Unlock()
		}
		h.add(r)
	}
}

// operator ends leases by force until stop is closed.
func (h *history) operator(t *testing.T, id int, locks *lock.Locker, stop <-chan struct{}) {
	for n := 0; n < h.work.rounds; n++ {
		select {
		case <-stop:
			return
		case <-time.After(3 * time.Millisecond):
		}
		ctx, cancel := context.WithTimeout(context.Background(), eventually)
		key := historyKeys[n%len(historyKeys)]
		s, err := locks.Inspect(ctx, key)
		if err != nil || s.Holder == nil {
			cancel()
			continue
		}
		r := record{client: id, action: revoked, key: key, token: s.Holder.Token, call: h.now()}
		err = locks.Revoke(ctx, key, s.Holder.Token, nil)
		r.ret = h.now()
		cancel()
		switch {
		case errors.Is(err, lock.ErrNotHeld):
			r.action = notRevoked
		case errors.Is(err, lock.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
			r.uncertain = true
		case err != nil:
			t.Errorf("revoke: %v", err)
			return
		}
		h.add(r)
	}
}

// operations translates the records of one key. faulty means that answers were lost.
func (h *history) operations(t *testing.T, key string, faulty bool) []porcupine.Operation {
	known, targets := map[fence.Token]bool{}, map[fence.Token]bool{}
	for _, r := range h.records {
		if r.key == key && r.action == acquired {
			if known[r.token] {
				t.Errorf("%s: token %v was issued twice", key, r.token)
			}
			known[r.token] = true
		}
		if r.key == key && (r.action == revoked || r.action == notRevoked) {
			targets[r.token] = true
		}
	}
	var ops []porcupine.Operation
	for _, r := range h.records {
		if r.key != key {
			continue
		}
		o := operation{r.action, r.token, known[r.token]}
		switch {
		case r.uncertain:
			ops = append(ops, took(r.client, r.call, open, operation{ended, r.token, true}))
			continue
		case r.action == notRevoked && (faulty || r.ret-r.call > unrepeated): // by an unanswered first request it may have
			o = operation{ended, r.token, true}
		}
		ops = append(ops, took(r.client, r.call, r.ret, o))
		if r.action == acquired {
			ops = append(ops, h.endOf(t, r, targets[r.token]))
		}
	}
	return ops
}

// endOf is the end of a lease. The engine may let go of it at its deadline, and not before unless
// it is released or revoked.
func (h *history) endOf(t *testing.T, r record, target bool) porcupine.Operation {
	lapse := min(r.endCall, r.deadline)
	switch {
	case errors.Is(r.end, lock.ErrUncertain):
		return took(r.client, lapse, open, operation{ended, r.token, true})
	case r.end != nil && !errors.Is(r.end, lock.ErrNotHeld):
		t.Errorf("client %d: %v, want not held or uncertain", r.client, r.end)
	case r.deadline <= r.endRet, r.end == nil && target:
		return took(r.client, lapse, r.endRet, operation{ended, r.token, true})
	case r.end == nil:
		return took(r.client, r.endCall, r.endRet, operation{released, r.token, true})
	case !target:
		t.Errorf("client %d: the engine let go of %v %v before its deadline: %v",
			r.client, r.token, time.Duration(r.deadline-r.endRet), r.end)
	}
	return took(r.client, r.endCall, r.endRet, operation{gone, r.token, true})
}

// run performs the workload and checks its history. join returns the Locker of a further process.
func (w workload) run(t *testing.T, join func(*lock.Options) *lock.Locker, f *faults) {
	h := &history{start: time.Now(), work: w}
	clients := maxClients
	stop, operator := make(chan struct{}), sync.WaitGroup{}
	if w.revoke {
		clients--
		locks := join(&lock.Options{Hooks: &lock.Hooks{}})
		operator.Go(func() { h.operator(t, clients, locks, stop) })
	}
	var wg sync.WaitGroup
	for i := range clients {
		o := &lock.Options{TTL: 3 * time.Second, Hooks: &lock.Hooks{}}
		lapses := w.lapses > 0 && i%3 == 0
		if lapses {
			o.TTL, o.NoRenew = 300*time.Millisecond, true
		}
		locks := join(o)
		wg.Go(func() { h.client(t, i, locks, lapses) })
	}
	wg.Wait()
	close(stop)
	operator.Wait()
	took := time.Since(h.start)

	count := map[action]int{}
	for _, r := range h.records {
		count[r.action]++
	}
	for _, key := range historyKeys {
		ops := h.operations(t, key, f != nil)
		if len(ops) > maxOperations {
			t.Errorf("%s: %d operations, more than %d", key, len(ops), maxOperations)
		}
		if r := check(ops); r != porcupine.Ok {
			file := filepath.Join(t.ArtifactDir(), key+".html")
			t.Errorf("%s: the history of %d operations is %v, see %s (with -artifacts)", key, len(ops), r, file)
			_, info := porcupine.CheckOperationsVerbose(model, ops, checkTime)
			if err := porcupine.VisualizePath(model, info, file); err != nil {
				t.Error(err)
			}
		}
	}
	hit := func(what string, wanted bool, n int) {
		if wanted && n == 0 {
			t.Errorf("%s: never happened", what)
		}
	}
	hit("refused", w.tries > 0, count[refused])
	hit("given up", w.hasty > 0, h.unknown)
	hit("lost", w.lapses > 0, h.lost)
	hit("revoked", w.revoke, count[revoked])
	text := fmt.Sprintf("%d leases, %d refused, %d of unknown outcome, %d lost, %d revoked, in %v",
		count[acquired], count[refused], h.unknown, h.lost, count[revoked], round(took))
	if f != nil {
		hit("lost replies", true, int(f.replies.Load()))
		hit("lost requests", true, int(f.requests.Load()))
		hit("lost messages", true, int(f.messages.Load()))
		hit("late replies", true, int(f.delays.Load()))
		text += fmt.Sprintf("; %d replies, %d requests and %d messages lost, %d late",
			f.replies.Load(), f.requests.Load(), f.messages.Load(), f.delays.Load())
	}
	t.Log(text)
}

var (
	contention = workload{rounds: 240}
	turmoil    = workload{rounds: 240, tries: 0.2, hasty: 0.2, lapses: 0.04, revoke: true}
)

// inMemory joins processes on one memory backend.
func inMemory(t *testing.T) func(*lock.Options) *lock.Locker {
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	closing := func(c interface{ Close(context.Context) error }) {
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), eventually)
			defer cancel()
			if err := c.Close(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	closing(be)
	return func(o *lock.Options) *lock.Locker {
		locks, err := lock.New(be.Leases(), o)
		if err != nil {
			t.Fatal(err)
		}
		closing(locks)
		return locks
	}
}

// onRedis joins processes on one server, each with a client of its own.
func onRedis(t *testing.T, f *faults) func(*lock.Options) *lock.Locker {
	server := testbed.StartRedis(t, nil)
	return func(o *lock.Options) *lock.Locker {
		c := recommended(server.Addr())
		if f != nil {
			c = f.on(c)
		}
		return newProcessWith(t, c, o).locks
	}
}

func TestHistoryOfContentionInMemory(t *testing.T) {
	contention.run(t, inMemory(t), nil)
}

func TestHistoryOfContentionOnRedis(t *testing.T) {
	contention.run(t, onRedis(t, nil), nil)
}

func TestHistoryOfTurmoilInMemory(t *testing.T) {
	w := turmoil
	w.seed = newSeed(t)
	w.run(t, inMemory(t), nil)
}

func TestHistoryOfTurmoilOnRedis(t *testing.T) {
	w := turmoil
	w.seed = newSeed(t)
	w.run(t, onRedis(t, nil), nil)
}

func TestHistoryOfTurmoilWithLostRepliesOnRedis(t *testing.T) {
	w := turmoil
	w.seed = newSeed(t)
	f := &faults{loseReply: 0.02, loseRequest: 0.01, loseMessage: 0.02, delay: 0.02, dice: rand.New(rand.NewPCG(w.seed, 99))}
	w.run(t, onRedis(t, f), f)
}
