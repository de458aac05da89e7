package redisbackend

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// The scripts. A file whose header starts with "-- fragment:" is put before the body of a verb.
var (
	//go:embed lua/clock.lua
	luaClock string
	//go:embed lua/steps.lua
	luaSteps string
	//go:embed lua/extend.lua
	luaExtend string
	//go:embed lua/acquire_free.lua
	luaAcquireFree string
	//go:embed lua/ask.lua
	luaAsk string
	//go:embed lua/acquire.lua
	luaAcquire string
	//go:embed lua/acquire_all.lua
	luaAcquireAll string
	//go:embed lua/hold.lua
	luaHold string
	//go:embed lua/wait.lua
	luaWait string
	//go:embed lua/release_sole.lua
	luaReleaseSole string
	//go:embed lua/release.lua
	luaRelease string
	//go:embed lua/revoke.lua
	luaRevoke string
	//go:embed lua/inspect.lua
	luaInspect string
	//go:embed lua/seats.lua
	luaSeats string
	//go:embed lua/look.lua
	luaLook string
	//go:embed lua/now.lua
	luaNow string
	//go:embed lua/limit_bucket.lua
	luaLimitBucket string
	//go:embed lua/limit.lua
	luaLimit string

	scriptAcquire    = newScript(luaClock + luaAcquireFree + luaSteps + luaAsk + luaAcquire)
	scriptAcquireAll = newScript(luaClock + luaSteps + luaAsk + luaAcquireAll)
	scriptHold       = newScript(luaClock + luaSteps + luaExtend + luaHold)
	scriptWait       = newScript(luaClock + luaSteps + luaExtend + luaWait)
	scriptRelease    = newScript(luaClock + luaReleaseSole + luaSteps + luaRelease)
	scriptRevoke     = newScript(luaClock + luaSteps + luaRevoke)
	scriptInspect    = newScript(luaClock + luaInspect)
	scriptSeats      = newScript(luaClock + luaSeats)
	scriptLook       = newScript(luaClock + luaSteps + luaLook)

	scriptLimitBucket = newScript(luaNow + luaLimitBucket)
	scriptLimit       = newScript(luaNow + luaLimit)
)

// script is a Lua script and its digest, both ready to be sent.
type script struct {
	source any
	digest any
}

func newScript(source string) *script {
	sum := sha1.Sum([]byte(source))
	return &script{source: source, digest: hex.EncodeToString(sum[:])}
}

// Arguments that do not change are boxed once.
var (
	argEvalSha any = "evalsha"
	argEval    any = "eval"

	argYes  any = "1"
	argNo   any = "0"
	argNone any = ""
)

func flag(b bool) any {
	if b {
		return argYes
	}
	return argNo
}

// command is a command that the client library must not send again by itself: when an answer is
// lost, only the caller knows whether a second copy does harm, and how long it waits for it.
type command struct{ *redis.Cmd }

// NoRetry is part of redis.Cmder.
func (command) NoRetry() bool { return true }

// do sends one command.
func (b *Backend) do(ctx context.Context, args ...any) (any, error) {
	cmd := command{redis.NewCmd(ctx, args...)}
	if err := b.client.Process(ctx, cmd); err != nil {
		b.lookAgain(ctx, err)
		return nil, b.explain(err)
	}
	return cmd.Result()
}

// lookAgain has the client of a cluster ask who keeps what when it did not get an answer, for the
// node may have been replaced. By itself the library does so only where it may send again.
func (b *Backend) lookAgain(ctx context.Context, err error) {
	var answer redis.Error
	if b.cluster == nil || errors.As(err, &answer) || errors.Is(err, context.Canceled) {
		return
	}
	b.cluster.ReloadState(ctx)
}

// eval runs a script by its digest, and by its source where the server does not know it (which
// loads it). args starts with two free places, followed by the number of keys, the keys and the
// arguments. sent is the instant before the request was sent whose reply is returned.
func (b *Backend) eval(ctx context.Context, s *script, args []any) (reply any, sent time.Time, err error) {
	args[0], args[1] = argEvalSha, s.digest
	sent = time.Now()
	reply, err = b.do(ctx, args...)
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		args[0], args[1] = argEval, s.source
		sent = time.Now()
		reply, err = b.do(ctx, args...)
	}
	return reply, sent, err
}
