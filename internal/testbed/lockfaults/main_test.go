package lockfaults

import (
	"testing"

	"github.com/concord-go/concord/internal/testbed/suite"
)

func TestMain(m *testing.M) { suite.Main(m, suite.Parallel, runChild) }
