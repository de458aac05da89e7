package sqlfaults

import (
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

func isUncertain(err error) bool {
	return errors.Is(err, lease.ErrUncertain) && !errors.Is(err, lease.ErrUnavailable)
}

func isFenced(err error) bool { return errors.Is(err, fence.ErrFenced) }

func mayPass(err error) bool {
	return errors.Is(err, lease.ErrUnavailable) && !errors.Is(err, lease.ErrUncertain)
}

// wantCode wants an error of the database with that code, which may pass.
func wantCode(t *testing.T, err error, state string, number uint16) {
	t.Helper()
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	switch {
	case errors.As(err, &pg) && pg.Code == state, errors.As(err, &my) && my.Number == number:
	default:
		t.Errorf("%v, want code %s or %d", err, state, number)
	}
	if !mayPass(err) {
		t.Errorf("%v does not say that it may pass", err)
	}
}
