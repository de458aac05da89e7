package ratefaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
	"github.com/concord-go/concord/ratelimit"
)

// A server loses its scripts again and again. Each call is answered, and is counted once.
func TestScriptFlush(t *testing.T) {
	t.Parallel()
	server := testbed.StartRedis(t, nil)
	s := stores.OfRedis(server)
	total := counter("total")
	f := launch(t, 2, orders{Store: s, Limits: []ratelimit.Limit{total}, Callers: 16, Timeout: patience})
	const flushes = 200
	for range flushes {
		_, err := server.Command("SCRIPT", "FLUSH")
		suite.Must(t, err)
		time.Sleep(5 * time.Millisecond) // for calls between
	}
	o := f.end(t)
	if n := o.fallback().calls(); n > 0 {
		t.Errorf("%d calls were not answered", n)
	}
	through, all := o.counted().calls(), used(t, s, total)
	if all != through {
		t.Errorf("%d units are counted, %d calls were let through", all, through)
	}
	again := o.requests - o.calls()
	if again < flushes/2 {
		t.Errorf("%d scripts were sent again after %d flushes: the test shows little", again, flushes)
	}
	t.Logf("%d flushes, %d calls, %d requests more than calls", flushes, through, again)
}
