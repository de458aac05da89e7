package etcdbackend

import (
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/ratelimit"
)

// All calls of a process that come while a step is under way make one step together: two requests,
// however many they are.
func TestLimitCallsShareAStep(t *testing.T) {
	be, r := counted(t)
	p := limitPolicy(t, ratelimit.Limit{Name: "l", N: 1, Per: 24 * time.Hour, Burst: 500})
	take := ratelimit.Op{Kind: ratelimit.OpTake, Key: "k", Policy: p, N: 1}
	apply(t, be, take)
	name := be.names.limit(p.Shape(), "k")
	crowd := make([]ratelimit.Op, 200)
	for i := range crowd {
		crowd[i] = take
	}
	arrived, goOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	var first sync.Once
	r.on(func(commit func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error) {
		first.Do(func() { close(arrived); <-goOn })
		return commit()
	})
	r.take()
	one, many := make(chan []ratelimit.Outcome, 1), make(chan []ratelimit.Outcome, 1)
	go func() { one <- apply(t, be, take) }()
	<-arrived
	go func() { many <- apply(t, be, crowd...) }()
	eventually(t, "all stand in line", func() bool {
		be.limits.mu.Lock()
		defer be.limits.mu.Unlock()
		return len(be.limits.lines[name]) == len(crowd)
	})
	release()
	for i, o := range append(<-one, <-many...) {
		if o.Err != nil || o.Decision.Remaining != int64(498-i) {
			t.Errorf("call %d: %+v", i, o)
		}
	}
	if n := r.take().txns; n != 4 {
		t.Errorf("%d requests, want two for each of two steps", n)
	}
}

// However often others are faster, a call is decided in the end, and not refused while something is left.
func TestOvertakenLimit(t *testing.T) {
	const times = 20
	be, r := counted(t)
	other := open(t, r.Client, &Options{Prefix: be.opt.Prefix})
	take := ratelimit.Op{Kind: ratelimit.OpTake, Key: "k", Policy: limitPolicy(t, slow), N: 1}
	overtaken := 0
	r.on(func(commit func() (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error) {
		if overtaken < times {
			overtaken++
			if out := apply(t, other, take); out[0].Err != nil || !out[0].Decision.Allowed {
				t.Errorf("the other: %+v", out[0])
			}
		}
		return commit()
	})
	if out := apply(t, be, take); out[0].Err != nil || !out[0].Decision.Allowed || out[0].Decision.Remaining != 50-times-1 {
		t.Errorf("after %d others: %+v", overtaken, out[0])
	}
	if n := r.take(); overtaken != times || n.txns != times+1 {
		t.Errorf("overtaken %d times, %+v", overtaken, n)
	}
}
