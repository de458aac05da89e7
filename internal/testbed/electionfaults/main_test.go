package electionfaults

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/concord-go/concord/internal/testbed/child"
)

func TestMain(m *testing.M) {
	if child.Role() == roleCandidate {
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
			fmt.Fprintln(os.Stderr, "electionfaults:", err)
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
