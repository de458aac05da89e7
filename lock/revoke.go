package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// RevokeOptions say how to revoke. nil means at once and without a reason.
type RevokeOptions struct {
	// Reason reaches the holder in its [LostError]: at most 256 bytes.
	Reason string
	// Grace asks the holder to leave instead of ending its lease: its context ends at once, and it
	// keeps the lock until it releases it or Grace has passed. A holder that does not listen keeps
	// it until its TTL ends. At most 24 h.
	Grace time.Duration

	_ struct{}
}

// Revoke ends somebody's lease or share: that of key with exactly the given token, as Inspect or a
// [HeldError] told it. The holder's context ends as soon as it hears of it, at the latest with its
// next renewal. Until then it believes that it holds the lock, so a revoked holder is kept from
// harm by its token only. The cause is [Revoked], but [BackendLost] where the message did not reach
// the holder and its renewal finds that the engine does not know it any more.
//
// If that lease has ended already the error is [ErrNotHeld].
func (f *front) Revoke(ctx context.Context, key string, token fence.Token, o *RevokeOptions) error {
	var opt RevokeOptions
	if o != nil {
		opt = *o
	}
	var errs []error
	errs = append(errs, lease.ValidateKey(key), token.Validate())
	if len(opt.Reason) > lease.MaxReason {
		errs = append(errs, &InvalidError{Field: "Reason", Problem: fmt.Sprintf("must have at most %d bytes", lease.MaxReason)})
	}
	if opt.Grace < 0 || opt.Grace > lease.MaxTTL {
		errs = append(errs, &InvalidError{Field: "Grace", Problem: fmt.Sprintf("must be 0 to %v", lease.MaxTTL)})
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("lock: revoke: %w", err)
	}
	if token.Epoch() != f.opt.Epoch {
		return f.wrap("revoke", key, 0, ErrNotHeld)
	}
	found, err := claim.Ask(ctx, f.keeper, func(ctx context.Context) (bool, error) {
		return f.keeper.Backend().Revoke(ctx, lease.Revocation{
			Key: key, Token: token.Sequence(), Reason: opt.Reason, Grace: opt.Grace, Force: opt.Grace == 0,
		})
	})
	if err == nil && !found {
		err = ErrNotHeld
	}
	return f.wrap("revoke", key, 0, err)
}
