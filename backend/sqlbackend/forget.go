package sqlbackend

import (
	"context"
	"time"
)

const (
	minForget   = time.Hour
	forgetBatch = 100
)

// Forget deletes the marks that were last raised longer than age ago, and returns how many. It is
// meant for a job that runs now and then, where resources come and go; without it marks stay for
// ever.
//
// It takes away protection: a holder that was paused for longer than age, or wakes up with a token
// that old, is not refused any more. So age, which is at least 1 h, must be far above any pause to
// be survived. A day costs little.
//
// The age is measured by the database's clock, in seconds. Marks are deleted in batches, each its own
// transaction that locks nothing but what it deletes, so Forget may run beside everything else, and
// after an error those of the batches before are gone. Its user needs the right to delete.
func (b *Backend) Forget(ctx context.Context, age time.Duration) (int64, error) {
	const verb = "forget"
	if age < minForget {
		return 0, b.fail(ctx, verb, &InvalidError{Field: "age", Problem: "must be at least 1h"})
	}
	var total int64
	for above := ""; ; {
		batch, err := await(ctx, b, verb, func() (forgotten, error) { return b.forget(ctx, above, age) })
		total += batch.count
		if err != nil || batch.last == "" {
			return total, err
		}
		above = batch.last
	}
}

// forgotten is what came of one batch.
type forgotten struct {
	last  string // the highest resource that was looked at, "" if there was none
	count int64
}

func (b *Backend) forget(ctx context.Context, above string, age time.Duration) (forgotten, error) {
	names, err := b.engine.stale(ctx, b.db, above, age, forgetBatch)
	if err != nil || len(names) == 0 {
		return forgotten{}, err
	}
	count, err := b.engine.forget(ctx, b.db, names, age)
	return forgotten{names[len(names)-1], count}, err
}
