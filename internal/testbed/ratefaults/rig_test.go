package ratefaults

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed/child"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/ratelimit"
)

const (
	// slack is how much later than promised a decision may come on a busy machine.
	slack = time.Second

	// patience is a Timeout that is not over on a busy machine.
	patience = 10 * time.Second
)

// counter is a limit that refuses nothing and forgets nothing during a test: what was counted can be read
// off it.
func counter(name string) ratelimit.Limit {
	return ratelimit.Limit{Name: name, N: 1 << 30, Per: 366 * 24 * time.Hour, Algorithm: ratelimit.FixedWindow}
}

// each has every unit asked for by itself, on an engine that is not asked otherwise.
var each = &ratelimit.Allowance{Block: 1, Life: 10 * time.Millisecond}

// exact returns the allowance with which a store decides on every call.
func exact(s stores.Store) *ratelimit.Allowance {
	if s.Kind == stores.Etcd {
		return each
	}
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// fleet are processes that call.
type fleet struct {
	list    []*child.Child
	ledgers []string // the files of each
	began   time.Time
}

// launch starts processes that call, all by the same orders, and returns when they are about to.
func launch(t *testing.T, processes int, o orders) *fleet {
	t.Helper()
	f := &fleet{}
	for i := range processes {
		o.Ledger = filepath.Join(t.TempDir(), strconv.Itoa(i))
		text, err := json.Marshal(o)
		suite.Must(t, err)
		// The race detector has each process wait for a second before it ends, unless it is told not to.
		f.list = append(f.list, child.Start(t, roleCaller, ordersEnv+"="+string(text), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")))
		f.ledgers = append(f.ledgers, o.Ledger)
	}
	for _, c := range f.list {
		c.Says("ready")
	}
	f.began = time.Now()
	for _, c := range f.list {
		c.Tell("call")
	}
	return f
}

// asked returns how many decisions the engine has made, for each process.
func (f *fleet) asked(t *testing.T) (list []int64) {
	t.Helper()
	for _, c := range f.list {
		c.Tell("look")
		n, err := strconv.ParseInt(c.Says("engine"), 10, 64)
		suite.Must(t, err)
		list = append(list, n)
	}
	return list
}

// served returns when the engine has made so many decisions more for each process.
func (f *fleet) served(t *testing.T, more int64) {
	t.Helper()
	before := f.asked(t)
	suite.Wait(t, "the engine decides", func() bool {
		for i, n := range f.asked(t) {
			if n < before[i]+more {
				return false
			}
		}
		return true
	})
}

// outcome is what processes have gone through.
type outcome struct {
	ledger
	each     []ledger      // of each process
	requests int64         // that their clients have sent
	took     time.Duration // for which they were to call
}

// end has the processes end, in good order.
func (f *fleet) end(t *testing.T) *outcome {
	t.Helper()
	o := &outcome{took: time.Since(f.began)}
	for _, c := range f.list {
		c.Tell("stop")
	}
	for i, c := range f.list {
		n, err := strconv.ParseInt(c.Says("sent"), 10, 64)
		suite.Must(t, err)
		o.requests += n
		suite.Must(t, c.End())
		l, err := readLedger(f.ledgers[i])
		suite.Must(t, err)
		o.each = append(o.each, l)
		o.ledger = append(o.ledger, l...)
	}
	return o
}

// inTime checks that each decision came within the timeout.
func (o *outcome) inTime(t *testing.T, timeout time.Duration) {
	t.Helper()
	if d := o.longest(); d > timeout+slack {
		t.Errorf("a decision took %v, want %v at most", d, timeout)
	}
}

// used returns how many units of a counter the engine has counted.
func used(t *testing.T, s stores.Store, l ratelimit.Limit) int64 {
	t.Helper()
	n, err := stores.Connect(s, nil)
	suite.Must(t, err)
	defer func() { suite.Must(t, n.End(context.Background())) }()
	at, err := limiter(n, l, &ratelimit.Options{Timeout: patience})
	suite.Must(t, err)
	defer func() { suite.Must(t, at.Close(context.Background())) }()
	d, err := at.Peek(suite.Soon(t), l.Name, 1)
	suite.Must(t, err)
	if d.Source != ratelimit.FromEngine {
		t.Fatalf("%v has answered", d.Source)
	}
	return l.N - d.Remaining
}
