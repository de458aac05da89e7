package claim

import "sync"

// Each calls f for 0 to n-1, several at a time, and returns when all calls have.
func Each(n int, f func(i int)) {
	const workers = 32
	var wg sync.WaitGroup
	todo := make(chan int)
	for range min(workers, n) {
		wg.Go(func() {
			for i := range todo {
				f(i)
			}
		})
	}
	for i := range n {
		todo <- i
	}
	close(todo)
	wg.Wait()
}
