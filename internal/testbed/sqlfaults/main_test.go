package sqlfaults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/concord-go/concord/internal/testbed"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Connections break on purpose here, and the driver would print each.
	if err := mysql.SetLogger(log.New(io.Discard, "", 0)); err != nil {
		panic(err)
	}
	// The tests that run in parallel mostly wait, and the default is one for each core.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	code := m.Run()
	err := errors.Join(sharedPostgres.stop(), sharedMariaDB.stop())
	if code == 0 {
		err = errors.Join(err, goleak.Find())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sqlfaults:", err)
		code = 1
	}
	os.Exit(code)
}

// shared is a server that is started when a test first needs it and ends with the last test.
type shared[T interface{ Stop() }] struct {
	launch func(ctx context.Context, dir string) (T, error)

	once   sync.Once
	server T
	dir    string
	err    error
}

func (s *shared[T]) get(tb testing.TB) T {
	tb.Helper()
	s.once.Do(func() {
		if s.dir, s.err = os.MkdirTemp("", "sqlfaults-"); s.err == nil {
			s.server, s.err = s.launch(context.Background(), s.dir)
		}
	})
	if s.err != nil {
		tb.Fatal(s.err)
	}
	return s.server
}

func (s *shared[T]) stop() error {
	s.once.Do(func() { s.err = errors.New("never started") })
	if s.err == nil {
		s.server.Stop()
	}
	return os.RemoveAll(s.dir)
}

var (
	sharedPostgres = &shared[*testbed.Postgres]{launch: func(ctx context.Context, dir string) (*testbed.Postgres, error) {
		return testbed.LaunchPostgres(ctx, dir, nil)
	}}
	sharedMariaDB = &shared[*testbed.MariaDB]{launch: func(ctx context.Context, dir string) (*testbed.MariaDB, error) {
		return testbed.LaunchMariaDB(ctx, dir, nil)
	}}
)
