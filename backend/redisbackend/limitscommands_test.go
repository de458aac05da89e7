package redisbackend

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/concord-go/concord/ratelimit"
)

// What a decision costs on the server: to read the state, and to write it if something is counted. The
// end of its life goes with what is written.
func TestCommandsOfALimit(t *testing.T) {
	client := connect(t, ownServer(t))
	be := open(t, client, nil)
	ctx := context.Background()
	others := []string{"config|resetstat", "info", "hello", "client|setinfo", "client|maint_notifications"} // of connections, and ours
	for a := ratelimit.TokenBucket; a <= ratelimit.StrictWindow; a++ {
		p := hourly(t, a, 5)
		decide(t, be, take(p, "first", 1)) // loads the script
		if err := client.ConfigResetStat(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			if d := decide(t, be, take(p, "k", 1)); d.Allowed != (i < 5) {
				t.Errorf("%v: call %d: %+v", a, i, d)
			}
		}
		got := map[string]int{}
		for line := range strings.Lines(client.Info(ctx, "commandstats").Val()) {
			name, rest, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
			var calls int
			if _, err := fmt.Sscanf(rest, "%d,", &calls); err == nil && !slices.Contains(others, name) {
				got[name] = calls
			}
		}
		if want := map[string]int{"evalsha": 8, "time": 8, "get": 8, "set": 5}; !maps.Equal(got, want) {
			t.Errorf("%v: %v, want %v", a, got, want)
		}
	}
}
