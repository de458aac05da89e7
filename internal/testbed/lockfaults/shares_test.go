package lockfaults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

// The model of what several can hold: the weights in use never exceed the limit, and each writer
// has a larger token than the one before. As with a lock, an acquire of unknown outcome adds no
// operation.
type shares struct {
	used int64
	last fence.Token
}

// change is a share that begins or ends.
type change struct {
	begins bool
	weight int64
	token  fence.Token // of a writer
}

func sharesModel(limit int64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return shares{} },
		Step: func(state, input, _ any) (bool, any) {
			s, c := state.(shares), input.(change)
			if !c.begins {
				s.used -= c.weight
				return s.used >= 0, s
			}
			s.used += c.weight
			if c.token != 0 {
				if c.token <= s.last {
					return false, s
				}
				s.last = c.token
			}
			return s.used <= limit, s
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
	}
}

// shared is what a lease, a share and a lease to write have in common.
type shared interface {
	Context() context.Context
	Deadline() time.Time
	Release(context.Context) error
}

// sharing is a client of a history: it acquires something of some weight.
type sharing func(ctx context.Context, dice *rand.Rand, key string) (s shared, weight int64, token fence.Token, err error)

// sharesHistory lets clients acquire and release, checks what they saw, and reports how many shares
// there were.
func sharesHistory(t *testing.T, seed uint64, limit int64, clients []sharing, rounds int) {
	start := time.Now()
	now := func() int64 { return int64(time.Since(start)) }
	var mu sync.Mutex
	ops := map[string][]porcupine.Operation{}
	var made, unknown, lapsed int
	var wg sync.WaitGroup
	for id, acquire := range clients {
		dice := rand.New(rand.NewPCG(seed, uint64(id)))
		wg.Go(func() {
			for n := range rounds {
				key := historyKeys[(id+n)%len(historyKeys)]
				patience := eventually
				if dice.IntN(5) == 0 {
					patience = time.Duration(dice.IntN(5000)) * time.Microsecond
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				call := now()
				s, weight, token, err := acquire(ctx, dice, key)
				ret := now()
				gaveUp := ctx.Err() != nil
				cancel()
				if err != nil {
					if !gaveUp && !errors.Is(err, lock.ErrUncertain) && !errors.Is(err, lock.ErrUnavailable) {
						t.Errorf("client %d: %v", id, err)
						return
					}
					mu.Lock()
					unknown++
					mu.Unlock()
					continue
				}
				lapses := dice.IntN(30) == 0
				if lapses {
					<-s.Context().Done()
				} else {
					time.Sleep(time.Duration(dice.IntN(1000)) * time.Microsecond)
				}
				endCall := now()
				end := s.Release(context.Background())
				endRet := now()
				deadline := int64(s.Deadline().Sub(start))
				if errors.Is(end, lock.ErrUncertain) {
					endRet = open
				} else if end != nil && !errors.Is(end, lock.ErrNotHeld) {
					t.Errorf("client %d: %v", id, end)
				}
				mu.Lock()
				made++
				if lapses {
					lapsed++
				}
				ops[key] = append(ops[key],
					porcupine.Operation{ClientId: id, Input: change{true, weight, token}, Call: call, Return: ret},
					porcupine.Operation{ClientId: id, Input: change{false, weight, 0}, Call: min(endCall, deadline), Return: endRet})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for key, history := range ops {
		if len(history) > maxOperations {
			t.Errorf("%s: %d operations, more than %d", key, len(history), maxOperations)
		}
		if r := porcupine.CheckOperationsTimeout(sharesModel(limit), history, checkTime); r != porcupine.Ok {
			t.Errorf("%s: the history of %d operations is %v", key, len(history), r)
		}
	}
	if made == 0 || unknown == 0 || lapsed == 0 {
		t.Errorf("%d shares, %d of unknown outcome, %d lapsed: none may be zero", made, unknown, lapsed)
	}
	t.Logf("%d shares in %v, %d of unknown outcome, %d lapsed", made, round(time.Since(start)), unknown, lapsed)
}

// sharesOptions lets leases lapse soon.
func sharesOptions() *lock.Options {
	return &lock.Options{TTL: 150 * time.Millisecond, NoRenew: true, Hooks: &lock.Hooks{}}
}

// closing closes what a client used.
func closing(t *testing.T, c interface{ Close(context.Context) error }) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventually)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// readersAndWriters returns clients of which every other call is a write.
func readersAndWriters(t *testing.T, join func() lease.Backend) []sharing {
	var clients []sharing
	for range maxClients {
		locks, err := lock.NewRW(join(), sharesOptions())
		if err != nil {
			t.Fatal(err)
		}
		closing(t, locks)
		clients = append(clients, func(ctx context.Context, dice *rand.Rand, key string) (shared, int64, fence.Token, error) {
			if dice.IntN(3) > 0 {
				s, err := locks.AcquireRead(ctx, key)
				return s, 1, 0, err
			}
			w, err := locks.AcquireWrite(ctx, key)
			if err != nil {
				return nil, 0, 0, err
			}
			token := w.Token()
			return w, lease.MaxWeight, token, nil
		})
	}
	return clients
}

const permits = 5

func permitHolders(t *testing.T, join func() lease.Backend) []sharing {
	var clients []sharing
	for range maxClients {
		s, err := lock.NewSemaphore(join(), permits, sharesOptions())
		if err != nil {
			t.Fatal(err)
		}
		closing(t, s)
		clients = append(clients, func(ctx context.Context, dice *rand.Rand, key string) (shared, int64, fence.Token, error) {
			weight := 1 + dice.Int64N(permits)
			share, err := s.Acquire(ctx, key, weight)
			return share, weight, 0, err
		})
	}
	return clients
}

// engines join processes to an engine.
var engines = map[string]func(t *testing.T, seed uint64) func() lease.Backend{
	"memory": func(t *testing.T, _ uint64) func() lease.Backend {
		be, err := memorybackend.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		closing(t, be)
		return be.Leases
	},
	"redis": func(t *testing.T, _ uint64) func() lease.Backend {
		return sharesOnRedis(t, nil)
	},
	"redis with lost replies": func(t *testing.T, seed uint64) func() lease.Backend {
		f := newFaults(t, seed)
		t.Cleanup(func() {
			for _, h := range f.hits() {
				if h.n == 0 {
					t.Errorf("%s: never happened", h.what)
				}
			}
		})
		return sharesOnRedis(t, f.on)
	},
}

func sharesOnRedis(t *testing.T, through func(*redis.Options) *redis.Options) func() lease.Backend {
	server := testbed.StartRedis(t, nil)
	return func() lease.Backend {
		c := recommended.Redis(server.Addr())
		if through != nil {
			c = through(c)
		}
		return newProcessWith(t, c, nil).be.Leases()
	}
}

func TestHistoryOfReadersAndWriters(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			seed := faultnet.Seed(t)
			sharesHistory(t, seed, lease.MaxWeight, readersAndWriters(t, engine(t, seed)), 100)
		})
	}
}

func TestHistoryOfPermits(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			seed := faultnet.Seed(t)
			sharesHistory(t, seed, permits, permitHolders(t, engine(t, seed)), 100)
		})
	}
}

func TestSharesCheckerRefusesDoctoredHistories(t *testing.T) {
	at := func(id int, c change, call, ret int64) porcupine.Operation {
		return porcupine.Operation{ClientId: id, Input: c, Call: call, Return: ret}
	}
	begin := func(id int, w int64, token fence.Token, call int64) porcupine.Operation {
		return at(id, change{true, w, token}, call, call+1)
	}
	end := func(id int, w, call int64) porcupine.Operation { return at(id, change{false, w, 0}, call, call+1) }
	for name, c := range map[string]struct {
		history []porcupine.Operation
		want    porcupine.CheckResult
	}{
		"sound":             {[]porcupine.Operation{begin(0, 3, 1, 0), end(0, 3, 10), begin(1, 1, 0, 20), begin(2, 2, 0, 20), end(1, 1, 30), end(2, 2, 30)}, porcupine.Ok},
		"beyond the limit":  {[]porcupine.Operation{begin(0, 3, 0, 0), begin(1, 1, 0, 5), end(0, 3, 10), end(1, 1, 10)}, porcupine.Illegal},
		"an older token":    {[]porcupine.Operation{begin(0, 3, 2, 0), end(0, 3, 10), begin(1, 3, 1, 20), end(1, 3, 30)}, porcupine.Illegal},
		"an end for nobody": {[]porcupine.Operation{end(0, 3, 0), begin(0, 3, 0, 10)}, porcupine.Illegal},
	} {
		if r := porcupine.CheckOperationsTimeout(sharesModel(3), c.history, checkTime); r != c.want {
			t.Errorf("%s: %v, want %v", name, r, c.want)
		}
	}
}
