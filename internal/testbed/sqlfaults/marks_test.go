package sqlfaults

import (
	"context"
	"database/sql"

	"github.com/concord-go/concord/backend/sqlbackend"
	"github.com/concord-go/concord/fence"
)

// inTransactions are marks that are raised by Guard.Tx.
type inTransactions struct {
	fence.Marks
	guard *sqlbackend.Guard
}

func (m *inTransactions) Raise(ctx context.Context, resource string, token fence.Token) error {
	return m.guard.Tx(ctx, resource, token, func(*sql.Tx) error { return nil })
}
