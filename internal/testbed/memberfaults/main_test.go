package memberfaults

import (
	"testing"

	"github.com/concord-go/concord/internal/testbed/suite"
)

func TestMain(m *testing.M) {
	suite.Main(m, suite.Parallel, func(string) int { return runChild() })
}
