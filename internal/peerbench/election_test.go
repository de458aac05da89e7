package peerbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// settled is how long after the last candidate came a leader resigns: all wait by then.
const settled = 150 * time.Millisecond

// BenchmarkResign compares how long it takes from the resignation of a leader to the next one, when others
// wait.
func BenchmarkResign(b *testing.B) {
	for _, candidates := range []int{2, 16, 64} {
		b.Run(fmt.Sprintf("etcd/%d", candidates), func(b *testing.B) {
			resign(b, etcdServer(b), candidates, concordElection, etcdElection, concordTransfer)
		})
	}
}

// resign lets the kinds take turns, and compares the first with the others by their medians.
func resign(b *testing.B, s server, candidates int, kinds ...electoral) {
	races := make([]*race, len(kinds))
	took := make([][]time.Duration, len(kinds))
	for i, k := range kinds {
		races[i] = newRace(b, s, candidates, k)
	}
	b.ReportAllocs()
	for b.Loop() {
		for i, k := range kinds {
			patiently(kind{name: k.name}, func() {
				d, err := races[i].handOver(b.Context())
				if err != nil {
					b.Fatalf("%s: %v", k.name, err)
				}
				took[i] = append(took[i], d)
			})
		}
	}
	b.ReportMetric(0, "ns/op")
	median := func(i int) float64 {
		slices.Sort(took[i])
		return float64(took[i][len(took[i])/2])
	}
	for i, k := range kinds {
		b.ReportMetric(median(i), k.name+"-ns/hand-over")
		if i > 0 {
			b.ReportMetric(median(i)/median(0), "x-"+k.name)
		}
	}
}

// race is one election with all its candidates, of whom one leads and the others wait.
type race struct {
	candidates []candidate
	elected    chan elected
	leader     int
	cancel     context.CancelFunc
	ctx        context.Context // of campaigns
	running    sync.WaitGroup
}

// elected says who leads from when on, or why not.
type elected struct {
	who int
	at  time.Time
	err error
}

// newRace opens candidates and has all of them stand until the end of the benchmark.
func newRace(b *testing.B, s server, candidates int, k electoral) *race {
	b.Helper()
	r := &race{elected: make(chan elected, candidates)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	b.Cleanup(func() {
		r.cancel()
		r.running.Wait()
		for _, c := range r.candidates {
			if err := c.close(); err != nil {
				b.Errorf("%s: close: %v", k.name, err)
			}
		}
	})
	for i := range candidates {
		c, err := k.open(s, strconv.Itoa(i))
		if err != nil {
			b.Fatalf("%s: %v", k.name, err)
		}
		r.candidates = append(r.candidates, c)
		r.stand(i)
	}
	first := <-r.elected
	if first.err != nil {
		b.Fatalf("%s: %v", k.name, first.err)
	}
	r.leader = first.who
	return r
}

func (r *race) stand(who int) {
	r.running.Go(func() {
		err := r.candidates[who].campaign(r.ctx)
		r.elected <- elected{who, time.Now(), err}
	})
}

// handOver is one turn: the leader resigns while all others wait, and stands again.
func (r *race) handOver(ctx context.Context) (time.Duration, error) {
	old := r.leader
	for {
		n, err := r.candidates[old].standing(ctx)
		if err != nil {
			return 0, err
		}
		if n == len(r.candidates) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(settled)
	start := time.Now()
	if err := r.candidates[old].resign(ctx); err != nil {
		return 0, err
	}
	next := <-r.elected
	switch {
	case next.err != nil:
		return 0, next.err
	case next.who == old:
		return 0, errors.New("the leader has followed itself")
	}
	r.leader = next.who
	r.stand(old)
	return next.at.Sub(start), nil
}
