// Package suite runs the tests of a package that kill and pause servers and processes.
package suite

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/concord-go/concord/internal/testbed/child"
)

// Parallel is how many tests run at a time of those that run in parallel, where they mostly wait. The default
// of go test is one for each core.
const Parallel = "8"

// patience is how long goroutines have to end after the tests.
const patience = 10 * time.Second

// Main is the main func of a test binary. In a child it runs what the child was started to be; run may be
// nil where there are none. Else it runs the tests, and fails if goroutines are left.
func Main(m *testing.M, parallel string, run func(role string) int) {
	redis.SetLogger(silent{})
	if role := child.Role(); role != "" {
		os.Exit(run(role))
	}
	flag.Parse()
	if parallel != "" {
		if err := flag.Set("test.parallel", parallel); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if code == 0 {
		if err := left(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// left reports goroutines that are left. A client of Redis that was closed goes on for up to a second if
// its server was down: it tries once a second whether that is back.
func left() (err error) {
	for give := time.Now().Add(patience); time.Now().Before(give); {
		if err = goleak.Find(); err == nil {
			return nil
		}
	}
	return err
}

// silent keeps the words of go-redis about servers that are gone, thousands in some suites, from hiding
// those of the tests.
type silent struct{}

// Printf does nothing.
func (silent) Printf(context.Context, string, ...any) {}
