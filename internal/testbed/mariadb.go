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

const mariadbEnv = "MARIADB_DSN"

// mariadbDirs are where packages keep the programs, outside of the PATH of some users.
var mariadbDirs = []string{"/usr/sbin", "/opt/homebrew/opt/mariadb/bin", "/usr/local/opt/mariadb/bin"}

// mariadbInit makes the user and the database of the tests.
const mariadbInit = `CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';
GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS test;
`

// MariaDBOptions are the settings of a server. Nil means the defaults.
type MariaDBOptions struct {
	// Args are further arguments, such as "--sync-binlog=1". They win over the settings made here.
	Args []string
}

// MariaDB is one MariaDB server on a loopback port, with one user, root, who needs no password, and
// one database, test. It is made by [StartMariaDB] or [LaunchMariaDB]; the zero value is not usable.
// All methods may be called from any goroutine.
type MariaDB struct{ database }

// StartMariaDB starts a server that ends with the test, and returns when it is ready. Without the
// programs it skips the test, or fails it where CONCORD_REQUIRE names mariadb. A test that fails
// logs the end of the server's log.
func StartMariaDB(tb testing.TB, opts *MariaDBOptions) *MariaDB {
	tb.Helper()
	NeedMariaDB(tb)
	return startDatabase(tb, "mariadb", func(dir string) (*MariaDB, error) {
		return LaunchMariaDB(context.Background(), dir, opts)
	})
}

// NeedMariaDB skips the test, or fails it where CONCORD_REQUIRE names mariadb, if no server can be
// started here and none is named by MARIADB_DSN.
func NeedMariaDB(tb testing.TB) {
	tb.Helper()
	if _, err := FindMariaDB(); err != nil && os.Getenv(mariadbEnv) == "" {
		missing(tb, "mariadb", err)
	}
}

// MariaDBDSN returns what MARIADB_DSN says: the address of a server, as go-sql-driver/mysql writes
// it, for tests that do no harm to it. Empty if there is none.
func MariaDBDSN() string { return os.Getenv(mariadbEnv) }

// FindMariaDB returns the path of mariadbd. The program that makes an empty database must be there
// too.
func FindMariaDB() (string, error) {
	if _, err := findProgram("mariadb-install-db", mariadbDirs...); err != nil {
		return "", err
	}
	return findProgram("mariadbd", mariadbDirs...)
}

// LaunchMariaDB starts a server outside a test, with its files in dir, and returns when it is ready.
// The end of ctx ends the wait for it, not the server: the caller must call Stop. Where this process
// is root, the server runs as mysql or nobody, who must be able to reach dir and is made its owner.
func LaunchMariaDB(ctx context.Context, dir string, opts *MariaDBOptions) (*MariaDB, error) {
	if opts == nil {
		opts = &MariaDBOptions{}
	}
	program, err := FindMariaDB()
	if err != nil {
		return nil, err
	}
	installer, err := findProgram("mariadb-install-db", mariadbDirs...)
	if err != nil {
		return nil, err
	}
	user, err := serverUser("mysql", "nobody")
	if err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "init.sql")
	if err := os.WriteFile(script, []byte(mariadbInit), 0o644); err != nil {
		return nil, err
	}
	return onFreePorts(1, nil, func(ports []int) (*MariaDB, error) {
		m := &MariaDB{database{
			name: "mariadb", program: program, port: ports[0], dir: dir, user: user,
			end: syscall.SIGTERM, ready: mariadbReady,
		}}
		m.args = append([]string{
			"--no-defaults", "--datadir=" + m.data(), "--port=" + strconv.Itoa(m.port), "--bind-address=127.0.0.1",
			"--socket=" + filepath.Join(dir, "socket"), "--pid-file=" + filepath.Join(dir, "pid"), "--init-file=" + script,
			"--skip-name-resolve", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M",
		}, opts.Args...)
		err := m.prepare(ctx, installer, "--no-defaults", "--datadir="+m.data(),
			"--auth-root-authentication-method=normal", "--skip-test-db")
		if err != nil {
			return nil, err
		}
		err = m.start(ctx)
		return m, err
	})
}

// DSN returns the address for go-sql-driver/mysql. It stays the same over restarts.
func (m *MariaDB) DSN() string { return fmt.Sprintf("root@tcp(%s)/test", m.Addr()) }

// mariadbReady reads the log, which the server says so in.
func mariadbReady(d *database, _ *process, logged int) bool {
	return bytes.Contains(d.log()[logged:], []byte("ready for connections"))
}
