package concordhttp

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/concord-go/concord/fence"
)

// Raise makes token known to the server before its holder reads anything: from then on requests of
// earlier holders are refused. client must have a [Transport] that may send tokens to url, where the
// server has [Fence.RaiseHandler]. nil means that the server has said so, in so many words: that a
// proxy answers is not enough.
//
// The error is a [*fence.FencedError] if a later holder was there first. After any other error the
// mark may have been raised or not, and Raise may be repeated.
func Raise(ctx context.Context, client *http.Client, url, resource string, token fence.Token) error {
	req, err := http.NewRequestWithContext(WithToken(ctx, resource, token), http.MethodPost, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("concordhttp: raise %q: %w", resource, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("concordhttp: raise %q: %w", resource, err)
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, resp.Body, maxProblem) // so that the connection can be used again
		_ = resp.Body.Close()
	}()
	if err := Refused(resp); err != nil {
		return fmt.Errorf("concordhttp: raise: %w", err)
	}
	if resp.StatusCode != http.StatusNoContent || resp.Header.Get(HeaderToken) != token.String() {
		return fmt.Errorf("concordhttp: raise %q: the server answered %s", resource, resp.Status)
	}
	return nil
}
