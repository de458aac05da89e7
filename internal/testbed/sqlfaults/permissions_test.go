package sqlfaults

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/check"
	"github.com/concord-go/concord/backend/sqlbackend"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/lease"
)

// TestPermissions works under a user who has what docs/security.md grants, and under one who lacks
// some of it.
func TestPermissions(t *testing.T) {
	run := func(t *testing.T, p *place, be *sqlbackend.Backend, grant func(what, table string)) {
		ctx := bounded(t)
		finds(t, be, check.LevelError, "commands", "denied")
		if err := be.Guard().Raise(ctx, resource, 5); err == nil || errors.Is(err, lease.ErrUnavailable) {
			t.Errorf("raise without permission: %v, want an error that does not pass", err)
		}
		grant("SELECT, INSERT, UPDATE", p.marks())
		grant("SELECT, UPDATE", p.table)
		finds(t, be, check.LevelOK, "commands", "rolled back")
		user := *p
		user.Backend = be
		user.writes(t, ctx, 5, 1)
		if err := be.Fences().Raise(ctx, resource, 6); err != nil {
			t.Error(err)
		}
		user.refused(t, ctx, 5, 6)
		if err := be.CreateSchema(ctx); err != nil {
			t.Errorf("CreateSchema of a table that is there: %v", err)
		}

		p.exec(t, "UPDATE "+p.marks()+" SET raised_at = 1")
		if _, err := be.Forget(ctx, time.Hour); err == nil || errors.Is(err, lease.ErrUnavailable) {
			t.Errorf("forget without permission: %v, want an error that does not pass", err)
		}
		grant("DELETE", p.marks())
		if n, err := be.Forget(ctx, time.Hour); n != 1 || err != nil {
			t.Errorf("forget: %d, %v", n, err)
		}
	}
	t.Run("PostgreSQL", func(t *testing.T) {
		s := testbed.StartPostgres(t, nil)
		p := open(t, "pgx", s.URL(), sqlbackend.PostgreSQL, nil)
		p.exec(t, "CREATE ROLE app LOGIN")
		u, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.User("app")
		run(t, p, p.join(t, connect(t, "pgx", u.String()), nil), func(what, table string) {
			p.exec(t, "GRANT "+what+" ON "+table+" TO app")
		})
	})
	t.Run("MariaDB", func(t *testing.T) {
		s := testbed.StartMariaDB(t, nil)
		p := open(t, "mysql", s.DSN(), sqlbackend.MySQL, nil)
		p.exec(t, "CREATE USER app@'127.0.0.1'")
		p.exec(t, "GRANT USAGE ON *.* TO app@'127.0.0.1'")
		p.exec(t, "CREATE TABLE own (id INT)")
		p.exec(t, "GRANT SELECT ON own TO app@'127.0.0.1'") // else it could not enter the database
		dsn := strings.Replace(s.DSN(), "root@", "app@", 1)
		run(t, p, p.join(t, connect(t, "mysql", dsn), nil), func(what, table string) {
			p.exec(t, "GRANT "+what+" ON "+table+" TO app@'127.0.0.1'")
		})
	})
}
