package electionfaults

import (
	"testing"
	"time"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/stores"
	"github.com/concord-go/concord/internal/testbed/suite"
)

// A server of Redis is killed and restarted. With its append-only file the term goes on; without one it
// is forgotten, and the leader learns of that with its next renewal.
func TestRedisRestarted(t *testing.T) {
	t.Parallel()
	for kind, kept := range map[string]bool{"with append-only file": true, "without append-only file": false} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := &testbed.RedisOptions{AppendOnly: kept}
			if kept {
				o.Args = []string{"--appendfsync", "always"}
			}
			server := testbed.StartRedis(t, o)
			s := stores.OfRedis(server)
			c := newChronicle(t)
			list := start(t, s, c, 3, election.Options{TTL: failoverTTL})
			first := c.led(t)
			waiting(t, list[0], 2)
			gone := time.Now()
			server.Kill()
			suite.Must(t, server.Restart())
			away := time.Since(gone)
			back := time.Now()
			if !kept {
				old := c.over(t, first.term)
				if cause := causeOf(old.cause); cause != election.BackendLost {
					t.Errorf("cause %v, want backend lost", old.cause)
				}
				if d := old.ended.Sub(back); d > failoverTTL/3+slack {
					t.Errorf("the leader learnt of it after %v", d)
				}
			}
			leader := c.led(t)
			if kept != (leader.term == first.term) {
				t.Errorf("term %v after term %v", leader.term, first.term)
			}
			took := handOver(t, c, list)
			if took > takeOver(s, failoverTTL)+slack {
				t.Errorf("handed over in %v", took)
			}
			c.check(t, map[bool]promise{true: orderly, false: increasing}[kept])
			t.Logf("away for %v, the term was kept: %t; %d overlaps; handed over in %v", round(away), kept, c.overlaps(), round(took))
		})
	}
}
