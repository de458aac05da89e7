package main

import (
	"testing"
	"time"
)

// at is a second of the hour after which the tests' ticks come.
func at(second float64) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(second * float64(time.Second)))
}

func mustParse(t *testing.T, s string) *job {
	t.Helper()
	j, err := parseJob(s)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestMissedTicks(t *testing.T) {
	for _, c := range []struct {
		job       string
		last, now float64
		tick      float64
		left      int
	}{
		{"j catchup:3 * * * * * *", 10, 10.9, 11, 0}, // none is due
		{"j catchup:3 * * * * * *", 10, 11, 11, 0},   // one is, to the instant
		{"j catchup:3 * * * * * *", 10, 13.5, 11, 0}, // as many as are kept
		{"j catchup:3 * * * * * *", 10, 14, 12, 1},   // one more
		{"j catchup:3 * * * * * *", 10, 100, 98, 87},
		{"j catchup:1 * * * * * *", 10, 12, 12, 1},
		{"j skip * * * * * *", 10, 10.9, 11, 0},
		{"j skip * * * * * *", 10, 11.2, 11, 0},
		{"j skip * * * * * *", 10, 12, 12, 1},
		{"j skip * * * * * *", 10, 100, 100, 89},
		{"j skip */5 * * * * *", 10, 27, 25, 2},           // 15 and 20
		{"j catchup:2 */2 * * * *", 0, 600, 480, 3},       // minutes 2, 4 and 6; 8 and 10 are kept
		{"j skip * * * * * *", 20, 10, 21, 0},             // a clock that was set back waits
		{"j catchup:9 0 12 1 1 *", 0, 60, 43200, 0},       // far away
		{"j skip 0 12 1 1 *", 0, 50000, 43200, 0},         // late, but the latest
		{"j catchup:9 @hourly", 0, 7200.5, 3600, 0},       // a name for an expression
		{"j catchup:100 * * * * * *", 0, 100, 1, 0},       // the most that is kept
		{"j catchup:100 * * * * * *", 0, 101, 2, 1},       // and one more
		{"j skip * * * * * *", 10.7, 11.2, 11, 0},         // fractions do not count
		{"j skip 0 0 12 1 1 *", 43199.5, 43200, 43200, 0}, // with a field of seconds
	} {
		tick, left, err := mustParse(t, c.job).due(at(c.last), at(c.now))
		if err != nil || !tick.Equal(at(c.tick)) || left != c.left {
			t.Errorf("%s, last %v, now %v: tick %v, left %d, %v; want %v and %d", c.job, c.last, c.now, tick.Sub(at(0)).Seconds(), left, err, c.tick, c.left)
		}
	}
}

// Whatever is missed, each tick is run or left out, in order, and never both.
func TestEachTickOnce(t *testing.T) {
	for _, policy := range []string{"skip", "catchup:1", "catchup:4", "catchup:100"} {
		j := mustParse(t, "j "+policy+" * * * * * *")
		last, now, ran, left := at(0), 0.0, 0, 0
		for _, pause := range []float64{1, 1, 7, 0.5, 0.5, 30, 2, 1, 1} {
			now += pause
			for {
				tick, missed, err := j.due(last, at(now))
				if err != nil || !tick.After(last) {
					t.Fatalf("%s: %v after %v, %v", policy, tick, last, err)
				}
				if tick.After(at(now)) {
					break
				}
				if behind := int(at(now).Sub(tick).Seconds()) + 1; behind > j.keep {
					t.Errorf("%s: a tick is run that is %d behind", policy, behind)
				}
				last, ran, left = tick, ran+1, left+missed
			}
		}
		if ran+left != int(now) || last != at(now) {
			t.Errorf("%s: %d run and %d left out of %v, up to %v", policy, ran, left, now, last)
		}
	}
}

func TestBadJobs(t *testing.T) {
	for _, s := range []string{
		"", "j", "j skip", "j skip x", "j skip 61 * * * * *", "j skip * * * *", "j skip 0 0 30 2 *", "j skip 0 0 1 1 * * 2030",
		"j skip * * * * * 2030", "j often * * * * *", "j catchup * * * * *", "j catchup:0 * * * * *", "j catchup:101 * * * * *",
		"j catchup:x * * * * *",
	} {
		if j, err := parseJob(s); err == nil {
			t.Errorf("%q was taken, as %s", s, j)
		}
	}
	if distinct([]*job{{name: "a"}, {name: "b"}, {name: "a"}}) == nil {
		t.Error("two jobs of one name were taken")
	}
	if err := distinct(exampleJobs()); err != nil {
		t.Error(err)
	}
}

// A job is told to a replica process as the text that it came from.
func TestJobText(t *testing.T) {
	for _, j := range exampleJobs() {
		if again := mustParse(t, j.String()); *again != *j {
			t.Errorf("%+v became %+v", *j, *again)
		}
	}
}
