package concordhttp

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurnsGoInOrderAndAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := turns{all: map[string]*turn{}}
		first, err := all.take(t.Context(), "r")
		if err != nil {
			t.Fatal(err)
		}
		other, err := all.take(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		other()
		var order []int
		for i := range 3 {
			go func() {
				leave, err := all.take(t.Context(), "r")
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				leave()
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := all.take(ctx, "r"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("take = %v", err)
		}
		if len(order) != 0 {
			t.Errorf("%v had their turn beside the first", order)
		}
		first()
		synctest.Wait()
		if len(order) != 3 || order[0] != 0 || order[1] != 1 || order[2] != 2 {
			t.Errorf("order %v", order)
		}
		if len(all.all) != 0 {
			t.Errorf("%d resources are remembered", len(all.all))
		}
	})
}
