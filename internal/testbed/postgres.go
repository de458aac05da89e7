package testbed

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

const (
	postgresEnv = "POSTGRES_URL"

	// postgresStatus is the line of postmaster.pid that says "ready" when the server is.
	postgresStatus = 7
)

// postgresDirs are where packages keep the programs, outside of the PATH.
var postgresDirs = []string{"/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"}

// PostgresOptions are the settings of a server. Nil means the defaults.
type PostgresOptions struct {
	// Settings are further settings, such as "fsync=off". They win over those made here.
	Settings []string
}

// Postgres is one PostgreSQL server on a loopback port, with one superuser, postgres, who needs no
// password. It is made by [StartPostgres] or [LaunchPostgres]; the zero value is not usable. All
// methods may be called from any goroutine.
type Postgres struct{ database }

// StartPostgres starts a server that ends with the test, and returns when it is ready. Without the
// programs it skips the test, or fails it where CONCORD_REQUIRE names postgres. A test that fails
// logs the end of the server's log.
func StartPostgres(tb testing.TB, opts *PostgresOptions) *Postgres {
	tb.Helper()
	NeedPostgres(tb)
	return startDatabase(tb, "postgres", func(dir string) (*Postgres, error) {
		return LaunchPostgres(context.Background(), dir, opts)
	})
}

// NeedPostgres skips the test, or fails it where CONCORD_REQUIRE names postgres, if no server can be
// started here and none is named by POSTGRES_URL.
func NeedPostgres(tb testing.TB) {
	tb.Helper()
	if _, err := FindPostgres(); err != nil && os.Getenv(postgresEnv) == "" {
		missing(tb, "postgres", err)
	}
}

// PostgresURL returns what POSTGRES_URL says: the address of a server for tests that do no harm to
// it. Empty if there is none.
func PostgresURL() string { return os.Getenv(postgresEnv) }

// FindPostgres returns the directory of the programs postgres and initdb.
func FindPostgres() (string, error) {
	initdb, err := findProgram("initdb", postgresDirs...)
	if err != nil {
		return "", err
	}
	// Debian's links on the PATH lead to the directory with the rest.
	initdb, err = filepath.EvalSymlinks(initdb)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(initdb)
	if _, err := os.Stat(filepath.Join(dir, "postgres")); err != nil {
		return "", fmt.Errorf("no postgres beside %s", initdb)
	}
	return dir, nil
}

// LaunchPostgres starts a server outside a test, with its files in dir, and returns when it is
// ready. The end of ctx ends the wait for it, not the server: the caller must call Stop. Where this
// process is root, the server runs as postgres or nobody, who must be able to reach dir and is made
// its owner.
func LaunchPostgres(ctx context.Context, dir string, opts *PostgresOptions) (*Postgres, error) {
	if opts == nil {
		opts = &PostgresOptions{}
	}
	bin, err := FindPostgres()
	if err != nil {
		return nil, err
	}
	user, err := serverUser("postgres", "nobody")
	if err != nil {
		return nil, err
	}
	return onFreePorts(1, nil, func(ports []int) (*Postgres, error) {
		p := &Postgres{database{
			name: "postgres", program: filepath.Join(bin, "postgres"), port: ports[0], dir: dir, user: user,
			end: syscall.SIGINT, ready: postgresReady,
		}}
		p.args = []string{"-D", p.data()}
		for _, s := range append([]string{
			"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(p.port), "unix_socket_directories=", "shared_buffers=32MB",
		}, opts.Settings...) {
			p.args = append(p.args, "-c", s)
		}
		err := p.prepare(ctx, filepath.Join(bin, "initdb"), "-D", p.data(), "-U", "postgres", "-A", "trust",
			"-E", "UTF8", "--locale=C", "--no-sync")
		if err != nil {
			return nil, err
		}
		err = p.start(ctx)
		return p, err
	})
}

// URL returns the address for drivers. It stays the same over restarts.
func (p *Postgres) URL() string {
	return fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", p.Addr())
}

// postgresReady reads what the server writes about itself.
func postgresReady(d *database, proc *process, _ int) bool {
	text, err := os.ReadFile(filepath.Join(d.data(), "postmaster.pid"))
	lines := bytes.Split(text, []byte("\n"))
	return err == nil && len(lines) > postgresStatus &&
		string(lines[0]) == strconv.Itoa(proc.pid()) && string(bytes.TrimSpace(lines[postgresStatus])) == "ready"
}
