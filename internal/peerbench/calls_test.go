package peerbench

import (
	"context"
	"regexp"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

// scriptLine is a line of INFO commandstats. All contenders on Redis ask by script alone, and what
// a script calls is counted under other names.
var scriptLine = regexp.MustCompile(`(?m)^cmdstat_eval(?:sha)?:calls=(\d+),`)

// scriptCalls returns how many scripts the server has run so far.
func scriptCalls(b *testing.B, client *redis.Client) int64 {
	b.Helper()
	stats, err := client.Info(context.Background(), "commandstats").Result()
	if err != nil {
		b.Fatal(err)
	}
	var sum int64
	for _, m := range scriptLine.FindAllStringSubmatch(stats, -1) {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += n
	}
	return sum
}
