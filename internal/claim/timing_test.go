package claim

import (
	"testing"
	"time"

	"github.com/concord-go/concord/lease"
)

func TestDeadline(t *testing.T) {
	sent := time.Now()
	for _, c := range []struct{ left, want time.Duration }{
		{100 * time.Millisecond, 94900 * time.Microsecond}, // less 0.1 % and the least margin of 5 ms
		{10 * time.Second, 9790 * time.Millisecond},        // less 10 ms and a fiftieth
		{time.Hour, time.Hour - 3600*time.Millisecond - 250*time.Millisecond},
	} {
		if got := deadline(sent, c.left, Margin(c.left)).Sub(sent); got != c.want {
			t.Errorf("deadline with %v left is %v after the send, want %v", c.left, got, c.want)
		}
	}
}

func TestAttemptTimeout(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		100 * time.Millisecond: 20 * time.Millisecond,
		time.Second:            time.Second / 6,
		time.Hour:              500 * time.Millisecond,
	} {
		if got := attemptTimeout(ttl); got != want {
			t.Errorf("attempt timeout of %v is %v, want %v", ttl, got, want)
		}
	}
	if got := batchTimeout(15*time.Second, 10_000); got != 3*time.Second {
		t.Errorf("timeout of a batch of 10000 is %v, want 3s", got)
	}
}

func TestHeartbeat(t *testing.T) {
	const ttl, window = 30 * time.Second, 3 * time.Second
	for _, c := range []struct {
		a         lease.Answer
		low, high time.Duration
	}{
		{lease.Answer{Pushed: true, Next: time.Hour}, 4 * time.Second, 6 * time.Second},
		{lease.Answer{Pushed: false, Next: time.Hour}, 800 * time.Millisecond, 1200 * time.Millisecond},
		{lease.Answer{Pushed: true, Next: time.Second}, time.Second, 1200 * time.Millisecond},
		{lease.Answer{Pushed: true, Next: time.Second, Rank: 20}, 1500 * time.Millisecond, 1800 * time.Millisecond},
		{lease.Answer{}, 5 * time.Millisecond, 5 * time.Millisecond},
	} {
		for range 200 {
			if got := heartbeat(ttl, window, c.a); got < c.low || got > c.high {
				t.Fatalf("heartbeat after %+v is %v, want %v to %v", c.a, got, c.low, c.high)
			}
		}
	}
}

func TestSuspended(t *testing.T) {
	const m = 2 * time.Second
	for _, c := range []struct {
		wall, monotonic, margin time.Duration
		want                    bool
	}{
		{time.Hour, time.Hour, 0, false},
		{5 * time.Second, 4 * time.Second, 0, false},
		{5*time.Second + 1, 4 * time.Second, 0, true},
		{5*time.Second + 1, 4 * time.Second, m, false},
		{7 * time.Second, 4 * time.Second, m, true},
		{0, time.Hour, 0, false}, // stepped back
	} {
		if got := suspended(c.wall, c.monotonic, c.margin); got != c.want {
			t.Errorf("suspended(wall %v, monotonic %v, margin %v) = %v", c.wall, c.monotonic, c.margin, got)
		}
	}
}
