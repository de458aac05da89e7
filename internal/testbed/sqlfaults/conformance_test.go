package sqlfaults

import (
	"database/sql"
	"testing"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/backend/sqlbackend"
	"github.com/concord-go/concord/fence"
)

func TestFences(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *place{
		"PostgreSQL": func(t testing.TB) *place { return onPostgres(t, nil) },
		"MariaDB":    func(t testing.TB) *place { return onMariaDB(t, nil) },
		"SQLite":     onSQLite,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backendtest.Fences(t, func(t *testing.T) fence.Marks { return open(t).Fences() })
		})
	}
}

// TestFencesOfGuard runs the same suite on marks that are raised in a transaction each.
func TestFencesOfGuard(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *place{
		"PostgreSQL": func(t testing.TB) *place { return onPostgres(t, nil) },
		"MariaDB":    func(t testing.TB) *place { return onMariaDB(t, nil) },
		"MariaDB, read committed": func(t testing.TB) *place {
			return onMariaDB(t, &sqlbackend.Options{Isolation: sql.LevelReadCommitted})
		},
		"MariaDB, serializable": func(t testing.TB) *place {
			return onMariaDB(t, &sqlbackend.Options{Isolation: sql.LevelSerializable})
		},
		"SQLite": onSQLite,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backendtest.Fences(t, func(t *testing.T) fence.Marks {
				p := open(t)
				return &inTransactions{p.Fences(), p.Guard()}
			})
		})
	}
}
