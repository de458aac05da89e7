package lockfaults

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/concord-go/concord/internal/testbed/child"
)

func TestMain(m *testing.M) {
	if role := child.Role(); role != "" {
		os.Exit(runChild(role))
	}
	flag.Parse()
	// The tests that run in parallel mostly wait, and the default is one for each core.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
