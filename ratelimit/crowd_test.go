package ratelimit_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

const crowd = 64

// gathering is an engine that answers nobody before all have asked.
type gathering struct {
	*ratelimit.Table
	came atomic.Int64
	all  chan struct{}
}

func (g *gathering) Capabilities() ratelimit.Capabilities { return ratelimit.Capabilities{Clock: true} }

func (g *gathering) Apply(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
	if g.came.Add(1) == crowd {
		close(g.all)
	}
	select {
	case <-g.all:
		out[0].Decision = g.Decide(ops[0])
	case <-ctx.Done():
		out[0].Err = ctx.Err()
	}
}

// Nobody waits while another call is on its way to the engine, on whatever key.
func TestCallsDoNotQueue(t *testing.T) {
	engine := &gathering{Table: ratelimit.NewTable(256), all: make(chan struct{})}
	l, err := ratelimit.New(engine, policy(t, ratelimit.Limit{Name: "l", N: crowd, Per: time.Hour}), &ratelimit.Options{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for i := range crowd {
		calls.Go(func() {
			d, err := l.Allow(t.Context(), fmt.Sprint("k", i%4))
			if err != nil || !d.Allowed || d.Source != ratelimit.FromEngine {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
	calls.Wait()
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
