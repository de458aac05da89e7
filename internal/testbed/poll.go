package testbed

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// untilPoll is the pause between two looks. One look asks up to nine servers.
const untilPoll = 20 * time.Millisecond

// until returns when condition holds, that is, returns nil. It asks again and again until ctx
// ends; the error then says what was waited for and what condition said last.
func until(ctx context.Context, what string, condition func() error) error {
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, errors.Join(ctx.Err(), err))
		case <-time.After(untilPoll):
		}
	}
}
