package membership_test

import (
	"context"
	"fmt"
	"testing"
)

func BenchmarkPick(b *testing.B) {
	for _, s := range strategies {
		for _, n := range []int{3, 100} {
			weights := make([]int, n)
			for i := range weights {
				weights[i] = 1 + i%3
			}
			p := picker(b, s, weighted(weights...)...)
			b.Run(fmt.Sprintf("%v/members=%d", s, n), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					ctx := context.Background()
					for pb.Next() {
						got, err := p.Pick(ctx)
						if err != nil {
							b.Error(err)
						}
						got.Done()
					}
				})
			})
		}
	}
}
