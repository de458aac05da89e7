package sqlfaults

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/sqlbackend"
)

// TestForget deletes what was not raised for long, in more than one batch, and nothing else.
func TestForget(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		const old, young = 230, 20
		ctx := bounded(t)
		for i := range old + young {
			name := fmt.Sprintf("%c\xff %d", i%7, i)
			if err := p.Fences().Raise(ctx, name, 5); err != nil {
				t.Fatal(err)
			}
			if i == old-1 {
				p.exec(t, "UPDATE "+p.marks()+" SET raised_at = raised_at - 7200")
			}
		}
		if err := p.Fences().Raise(ctx, fmt.Sprintf("%c\xff %d", 0, 0), 5); err != nil { // an old one, raised again
			t.Fatal(err)
		}
		if n, err := p.Forget(ctx, 3*time.Hour); n != 0 || err != nil {
			t.Errorf("Forget of 3 h: %d, %v, want none", n, err)
		}
		if n, err := p.Forget(ctx, time.Hour); n != old-1 || err != nil {
			t.Errorf("Forget of 1 h: %d, %v, want %d", n, err, old-1)
		}
		if n := p.rows(t); n != young+1 {
			t.Errorf("%d marks are left, want %d", n, young+1)
		}
		if _, err := p.Forget(ctx, time.Hour-1); !errors.Is(err, sqlbackend.ErrInvalid) {
			t.Errorf("Forget of less than 1 h: %v, want invalid", err)
		}
	})
}

// TestForgetWaitsForAGuard: a mark that is being raised while it is found to be old stays.
func TestForgetWaitsForAGuard(t *testing.T) {
	run := func(t *testing.T, p *place) {
		ctx := bounded(t)
		p.writes(t, ctx, 5, 1)
		p.exec(t, "UPDATE "+p.marks()+" SET raised_at = 1")
		result := make(chan int64, 1)
		err := p.Guard().Tx(ctx, resource, 6, func(*sql.Tx) error {
			go func() {
				n, err := p.join(t, p.db, nil).Forget(ctx, time.Hour)
				if err != nil {
					t.Error(err)
				}
				result <- n
			}()
			select { // long enough to arrive; if it came later it would find a young mark
			case n := <-result:
				t.Errorf("Forget did not wait, and deleted %d", n)
			case <-time.After(200 * time.Millisecond):
			}
			return nil
		})
		if n := <-result; n != 0 || err != nil {
			t.Errorf("%d deleted, %v", n, err)
		}
		p.stands(t, ctx, 6, 1)
	}
	t.Run("PostgreSQL", func(t *testing.T) { run(t, onPostgres(t, nil)) })
	t.Run("MariaDB", func(t *testing.T) { run(t, onMariaDB(t, nil)) })
}
