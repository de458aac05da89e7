package ratefaults

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

func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	if child.Role() == roleCaller {
		os.Exit(runChild())
	}
	flag.Parse()
	// The tests that run in parallel mostly wait, and the default is one for each core.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := m.Run()
	if code == 0 {
		if err := leaked(); err != nil {
			fmt.Fprintln(os.Stderr, "ratefaults:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked reports goroutines that are left. A client of Redis that was closed goes on for up to a second
// if its server was down: it tries once a second whether that is back.
func leaked() (err error) {
	for give := time.Now().Add(eventually); time.Now().Before(give); {
		if err = goleak.Find(); err == nil {
			return nil
		}
	}
	return err
}

// silent keeps the words of go-redis about servers that are gone from hiding those of the tests.
type silent struct{}

// Printf does nothing.
func (silent) Printf(context.Context, string, ...any) {}
