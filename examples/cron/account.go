package main

import (
	"context"
	"time"
)

// account is what became of the ticks of a schedule.
type account struct {
	due, once, twice, skipped, dropped, lost int
	again                                    int // runs beyond the first of a tick
}

func (a *account) add(b account) {
	a.due += b.due
	a.once += b.once
	a.twice += b.twice
	a.skipped += b.skipped
	a.dropped += b.dropped
	a.lost += b.lost
	a.again += b.again
}

// account works out the ticks of a job that were due after start and up to end, and looks for each of them in the ledger.
// If the schedule was broken off, those after the last tick of the job are not asked for.
func (l *ledger) account(ctx context.Context, j *job, start, end time.Time, broken bool) (a account, err error) {
	if broken {
		var last int64
		if err := l.db.QueryRowContext(ctx, l.sql("SELECT last FROM cron_jobs WHERE job = ?"), j.name).Scan(&last); err != nil {
			return a, err
		}
		end = time.Unix(last, 0)
	}
	recorded, err := l.count(ctx, "SELECT tick, count(*) FROM cron_ticks WHERE job = ? GROUP BY tick", j)
	if err != nil {
		return a, err
	}
	begun, err := l.count(ctx, "SELECT tick, count(*) FROM cron_runs WHERE job = ? GROUP BY tick", j)
	if err != nil {
		return a, err
	}
	left, err := l.count(ctx, "SELECT after, before FROM cron_left WHERE job = ?", j)
	if err != nil {
		return a, err
	}
	var before int64 // ticks before it are left out
	for t := time.Unix(start.Unix(), 0); ; {
		before = max(before, left[t.Unix()])
		if t, err = j.next(t); err != nil || t.After(end) {
			return a, err
		}
		a.due++
		a.again += max(0, int(begun[t.Unix()])-1)
		switch n := recorded[t.Unix()]; {
		case n > 1:
			a.twice++
		case n == 1:
			a.once++
		case t.Unix() >= before:
			a.lost++
		case j.skip:
			a.skipped++
		default:
			a.dropped++
		}
	}
}

// count reads pairs of numbers about a job.
func (l *ledger) count(ctx context.Context, query string, j *job) (map[int64]int64, error) {
	rows, err := l.db.QueryContext(ctx, l.sql(query), j.name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	pairs := map[int64]int64{}
	for rows.Next() {
		var a, b int64
		if err := rows.Scan(&a, &b); err != nil {
			return nil, err
		}
		pairs[a] = b
	}
	return pairs, rows.Err()
}
