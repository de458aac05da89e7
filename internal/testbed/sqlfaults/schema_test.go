package sqlfaults

import (
	"sync"
	"testing"

	"github.com/concord-go/concord/fence"
)

// TestSchemaIsMadeByManyAtOnce: processes that start together all make the table.
func TestSchemaIsMadeByManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		const processes, rounds = 8, 5
		ctx := bounded(t)
		for range rounds {
			p.exec(t, "DROP TABLE "+p.marks())
			var all sync.WaitGroup
			for i := range processes {
				be := p.join(t, p.db, nil)
				all.Go(func() {
					if err := be.CreateSchema(ctx); err != nil {
						t.Error(err)
					}
					if err := be.Fences().Raise(ctx, resource, fence.Token(1+i)); err != nil && !isFenced(err) {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if mark, err := p.Fences().Mark(ctx, resource); mark != processes || err != nil {
				t.Errorf("the mark is %v, %v, want %d", mark, err, processes)
			}
		}
	})
}
