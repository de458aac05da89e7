package testbed

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// requireEnv names the servers that must not be missing, separated by commas.
const requireEnv = "CONCORD_REQUIRE"

// missing ends the test because the named server cannot be had: it fails where the server is
// required and skips elsewhere.
func missing(tb testing.TB, server string, err error) {
	tb.Helper()
	if required(os.Getenv(requireEnv), server) {
		tb.Fatalf("%s is required by %s: %v", server, requireEnv, err)
	}
	tb.Skipf("needs %s: %v", server, err)
}

func required(list, server string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(s string) bool {
		return strings.TrimSpace(s) == server
	})
}
