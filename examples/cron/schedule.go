package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

const maxCatchUp = 100

// job is a line of the schedule.
type job struct {
	name string
	expr string // a cron expression, in UTC
	keep int    // of ticks that were missed, so many of the latest are run
	skip bool   // the job needs only the latest, so the others are no loss
}

// exampleJobs is the schedule unless flags give another.
func exampleJobs() []*job {
	return []*job{
		{name: "bill", expr: "* * * * * *", keep: maxCatchUp},
		{name: "report", expr: "*/2 * * * * *", keep: 5},
		{name: "clean", expr: "* * * * * *", keep: 1, skip: true},
	}
}

// parseJob reads "name policy expression".
func parseJob(s string) (*job, error) {
	words := strings.Fields(s)
	if len(words) < 3 {
		return nil, errors.New(`a job is a name, a policy and a cron expression, as in "bill catchup:10 * * * * * *"`)
	}
	j := &job{name: words[0], expr: strings.Join(words[2:], " "), keep: 1, skip: words[1] == "skip"}
	if !j.skip {
		n, found := strings.CutPrefix(words[1], "catchup:")
		keep, err := strconv.Atoi(n)
		if !found || err != nil || keep < 1 || keep > maxCatchUp {
			return nil, fmt.Errorf("job %s: the policy must be skip or catchup:1 to catchup:%d, not %q", j.name, maxCatchUp, words[1])
		}
		j.keep = keep
	}
	if fields, _ := gronx.Segments(j.expr); len(fields) > 6 && fields[6] != "*" {
		return nil, fmt.Errorf("job %s: a schedule that ends, with a year, is not taken: %q", j.name, j.expr)
	}
	if _, err := j.next(time.Now()); err != nil { // an expression can be correct and never come true
		return nil, err
	}
	return j, nil
}

// distinct refuses two jobs of one name, which would share one line in the ledger.
func distinct(jobs []*job) error {
	seen := map[string]bool{}
	for _, j := range jobs {
		if seen[j.name] {
			return fmt.Errorf("there are two jobs with the name %q", j.name)
		}
		seen[j.name] = true
	}
	return nil
}

// String is what -job takes.
func (j *job) String() string {
	policy := "skip"
	if !j.skip {
		policy = fmt.Sprint("catchup:", j.keep)
	}
	return j.name + " " + policy + " " + j.expr
}

// next is the first tick after t.
func (j *job) next(t time.Time) (time.Time, error) {
	next, err := gronx.NextTickAfter(j.expr, t.UTC(), false)
	if err != nil {
		return time.Time{}, fmt.Errorf("job %s: %q: %w", j.name, j.expr, err)
	}
	return next, nil
}

// due is the tick to run when last is the one the job has come to: the earliest of those up to now
// that the policy keeps, or the first after now. left is how many ticks before it the policy leaves out.
//
// A tick is missed when nobody led, or when an earlier run took too long, or failed too often.
func (j *job) due(last, now time.Time) (tick time.Time, left int, err error) {
	var kept []time.Time
	for t := last; ; {
		if t, err = j.next(t); err != nil {
			return t, 0, err
		}
		if t.After(now) {
			kept = append(kept, t)
			return kept[0], left, nil
		}
		if kept = append(kept, t); len(kept) > j.keep {
			kept = kept[1:]
			left++
		}
	}
}
