package faultnet

import (
	"math/rand/v2"
	"os"
	"strconv"
)

// seedEnv is the environment variable that repeats the seed of an earlier run.
const seedEnv = "CONCORD_SEED"

// Seed returns a new seed for a test and logs it, so that a run that fails prints how to repeat it:
// the environment variable CONCORD_SEED, if set, is the seed. t is a *testing.T or *testing.B.
func Seed(t interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
},
) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(seedEnv); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
	}
	t.Logf("%s=%d", seedEnv, seed)
	return seed
}
