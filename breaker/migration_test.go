package breaker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/breaker/gobreakerengine"
)

// What docs/migration.md shows as the new code: the settings stay, or become options.
func TestMigratedCode(t *testing.T) {
	settings := gobreaker.Settings{
		Timeout: 10 * time.Second, MaxRequests: 3,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.Requests >= 20 && c.TotalFailures*2 >= c.Requests },
	}
	for name, o := range map[string]breaker.Options{
		"settings": {Engine: gobreakerengine.New(settings, nil)},
		"options":  {OpenFor: 10 * time.Second, Probes: 3, MinCalls: 20, FailureRate: 0.5},
	} {
		synctest.Test(t, func(t *testing.T) {
			o.Hooks = &breaker.Hooks{}
			br, err := breaker.New("payments", &o)
			if err != nil {
				t.Fatal(err)
			}
			charge := func(err error) error {
				_, err = breaker.Do(t.Context(), br, func(context.Context) (string, error) { return "", err })
				return err
			}
			for range 10 {
				_ = charge(nil)
			}
			for range 9 {
				_ = charge(errDown)
			}
			if br.State() != breaker.Closed {
				t.Errorf("%s: %v after 19 calls", name, br.State())
			}
			_ = charge(errDown)
			if err := charge(nil); br.State() != breaker.Open || !errors.Is(err, breaker.ErrRejected) {
				t.Errorf("%s: %v after 20 calls, half of which failed, and then %v", name, br.State(), err)
			}
			time.Sleep(15 * time.Second) // longer than its jitter
			for range 3 {
				if err := charge(nil); err != nil {
					t.Errorf("%s: a probe: %v", name, err)
				}
			}
			if br.State() != breaker.Closed {
				t.Errorf("%s: %v after three probes", name, br.State())
			}
		})
	}
}
