package lockfaults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/faultnet"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// workload is what the clients of one history do.
type workload struct {
	clients int             // default maxClients
	rounds  int             // of each client, at most
	until   <-chan struct{} // ends the clients before that; nil: nothing does
	ttl     time.Duration   // default 3 s
	hold    time.Duration   // the longest that a lease is held before it is released, default 1 ms
	tries   float64         // share of TryAcquire
	hasty   float64         // share of acquires that give up soon
	lapses  float64         // share of the leases of every third client that are held until they are lost
	revoke  bool            // one client is an operator who ends leases by force
	seed    uint64
}

// hit is a fault and how often it has happened, which must not be never.
type hit struct {
	what string
	n    int
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
		select {
		case <-h.work.until:
			return
		default:
		}
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
			time.Sleep(time.Duration(dice.Float64() * float64(h.work.hold)))
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

// run performs the workload and checks its history. join returns the Locker of a further process,
// and hits, on a network with faults, what they have hit.
func (w workload) run(t *testing.T, join func(*lock.Options) *lock.Locker, hits func() []hit) {
	w.clients, w.ttl = cmp.Or(w.clients, maxClients), cmp.Or(w.ttl, 3*time.Second)
	w.hold = cmp.Or(w.hold, time.Millisecond)
	h := &history{start: time.Now(), work: w}
	clients := w.clients
	stop, operator := make(chan struct{}), sync.WaitGroup{}
	if w.revoke {
		clients--
		locks := join(&lock.Options{Hooks: &lock.Hooks{}})
		operator.Go(func() { h.operator(t, clients, locks, stop) })
	}
	var wg sync.WaitGroup
	for i := range clients {
		o := &lock.Options{TTL: w.ttl, Hooks: &lock.Hooks{}}
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
		ops := h.operations(t, key, hits != nil)
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
	text := fmt.Sprintf("%d leases in %v", count[acquired], round(took))
	happened := func(h hit, wanted bool) {
		if wanted && h.n == 0 {
			t.Errorf("%s: never happened", h.what)
		}
		text += fmt.Sprintf(", %d %s", h.n, h.what)
	}
	happened(hit{"refused", count[refused]}, w.tries > 0)
	happened(hit{"of unknown outcome", h.unknown}, w.hasty > 0)
	happened(hit{"lost", h.lost}, w.lapses > 0)
	happened(hit{"revoked", count[revoked]}, w.revoke)
	if hits != nil {
		for _, h := range hits() {
			happened(h, true)
		}
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

// onRedis joins processes on one server, each with a client of its own. through, if not nil, puts
// faults into the client's options.
func onRedis(t *testing.T, through func(*redis.Options) *redis.Options) func(*lock.Options) *lock.Locker {
	server := testbed.StartRedis(t, nil)
	return func(o *lock.Options) *lock.Locker {
		c := recommended.Redis(server.Addr())
		if through != nil {
			c = through(c)
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
	w.seed = faultnet.Seed(t)
	w.run(t, inMemory(t), nil)
}

func TestHistoryOfTurmoilOnRedis(t *testing.T) {
	w := turmoil
	w.seed = faultnet.Seed(t)
	w.run(t, onRedis(t, nil), nil)
}

func TestHistoryOfTurmoilWithLostRepliesOnRedis(t *testing.T) {
	w := turmoil
	w.seed = faultnet.Seed(t)
	f := newFaults(t, w.seed)
	w.run(t, onRedis(t, f.on), f.hits)
}
