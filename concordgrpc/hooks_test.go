package concordgrpc_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/concord-go/concord/concordgrpc"
)

func TestHooks(t *testing.T) {
	var log bytes.Buffer
	count := 0
	h := concordgrpc.JoinHooks(nil, &concordgrpc.Hooks{}, &concordgrpc.Hooks{Resolved: func(concordgrpc.Info) { count++ }},
		concordgrpc.LogHooks(slog.New(slog.NewTextHandler(&log, nil))))
	h.Resolved(concordgrpc.Info{Target: "t1", Addresses: 3})
	if count != 1 || log.Len() > 0 {
		t.Errorf("%d calls, logged %q", count, log.String())
	}
	h.Resolved(concordgrpc.Info{Target: "t2", Err: errors.New("nobody")})
	h.Unwatched(concordgrpc.Info{Target: "t3", Err: errors.New("closed")})
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if count != 2 || len(lines) != 2 || !strings.Contains(lines[0], "target=t2 addresses=0 error=nobody") || !strings.Contains(lines[1], "target=t3") {
		t.Errorf("%d calls, logged %q", count, lines)
	}
	concordgrpc.LogHooks(nil).Resolved(concordgrpc.Info{})
}
