package backendtest_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

// mutantVariable names the mutant that a second run of this test binary examines.
const mutantVariable = "BACKENDTEST_MUTANT"

// TestMutants proves that the suites can fail: each broken backend is examined in a process of its
// own, and the case that is there for it must fail.
func TestMutants(t *testing.T) {
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) { notice(t, "TestLeasesOfMutant", name, m.noticed) })
	}
	for name, m := range brokenMarks {
		t.Run(name, func(t *testing.T) { notice(t, "TestFencesOfMutant", name, m.noticed) })
	}
	for name, m := range brokenRates {
		t.Run(name, func(t *testing.T) { notice(t, "TestLimitsOfMutant", name, m.noticed) })
	}
}

func notice(t *testing.T, test, mutant, noticed string) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	full := test + "/" + strings.ReplaceAll(noticed, " ", "_")
	var pattern []string
	for _, part := range strings.Split(full, "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run="+strings.Join(pattern, "/"), "-test.timeout=1m")
	// Whether a random list of operations meets a fault is up to its seed. This one does, each time.
	cmd.Env = append(os.Environ(), mutantVariable+"="+mutant, "BACKENDTEST_SEED=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--- FAIL: "+full+" ") || !strings.Contains(string(out), "broken promise: ") {
		t.Errorf("the case %q did not notice; the run ended with %v:\n%s", noticed, err, out)
	}
}

func TestLeasesOfMutant(t *testing.T) {
	m, ok := mutants[os.Getenv(mutantVariable)]
	if !ok {
		t.Skip("runs as a process of TestMutants")
	}
	backendtest.SetPatience(2 * time.Second)
	backendtest.Leases(t, func(t *testing.T) lease.Backend { return m.make(newMemory(t).Leases()) })
}

func TestFencesOfMutant(t *testing.T) {
	m, ok := brokenMarks[os.Getenv(mutantVariable)]
	if !ok {
		t.Skip("runs as a process of TestMutants")
	}
	backendtest.Fences(t, func(t *testing.T) fence.Marks { return m.make(newMemory(t).Fences()) })
}

func TestLimitsOfMutant(t *testing.T) {
	m, ok := brokenRates[os.Getenv(mutantVariable)]
	if !ok {
		t.Skip("runs as a process of TestMutants")
	}
	backendtest.Limits(t, func(t *testing.T) ratelimit.Backend { return m.make(newMemory(t).Limits()) })
}
