package redisbackend

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// What a script is asked holds no instant of this process: the server's clock alone decides, however far
// those of its clients are apart.
func TestQuestionsHoldNoInstant(t *testing.T) {
	names := newNames("p")
	for a := ratelimit.TokenBucket; a <= ratelimit.StrictWindow; a++ {
		p := hourly(t, a, 10)
		for kind := ratelimit.OpTake; kind <= ratelimit.OpReset; kind++ {
			op := &ratelimit.Op{Kind: kind, Key: "k", Policy: p, N: 1, MaxWait: time.Second}
			synctest.Test(t, func(t *testing.T) {
				before := values(newQuestion(names, op).args)
				time.Sleep(time.Hour)
				if after := values(newQuestion(names, op).args); after != before {
					t.Errorf("%v, kind %d: asked %s, an hour later %s", a, kind, before, after)
				}
			})
		}
	}
}

// values writes down arguments, many of which are pointers.
func values(args []any) string {
	var text string
	for _, arg := range args {
		switch v := arg.(type) {
		case *string:
			arg = *v
		case *int64:
			arg = *v
		}
		text += fmt.Sprintf("%v ", arg)
	}
	return text
}
