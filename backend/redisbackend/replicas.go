package redisbackend

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxReplicaWait bounds the wait for replicas, so that it ends before the client gives the
// connection up.
const maxReplicaWait = 500 * time.Millisecond

// ReplicasError reports a grant or renewal that fewer replicas confirmed than
// Options.WaitReplicas asks for. It may be undone by a fail-over, so it does not count, though the
// server has executed it. It matches lease.ErrUnavailable: asking again may help.
type ReplicasError struct {
	Want int // Options.WaitReplicas
	Got  int // confirmed in time
}

// Error gives both numbers.
func (e *ReplicasError) Error() string {
	return fmt.Sprintf("%d of %d replicas have confirmed", e.Got, e.Want)
}

// pipeliner is what is needed of a client to wait for replicas on the connection of a write.
type pipeliner interface{ Pipeline() redis.Pipeliner }

// commit is eval, and with WaitReplicas it waits on the same connection until that many replicas
// have what the script wrote. short tells that this was not confirmed.
func (b *Backend) commit(ctx context.Context, s *script, args []any) (reply any, sent time.Time, short, err error) {
	if b.opt.WaitReplicas == 0 {
		reply, sent, err = b.eval(ctx, s, args)
		return reply, sent, nil, err
	}
	args[0], args[1] = argEvalSha, s.digest
	reply, sent, short, err = b.evalAndWait(ctx, args)
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		args[0], args[1] = argEval, s.source
		reply, sent, short, err = b.evalAndWait(ctx, args)
	}
	return reply, sent, short, err
}

// evalAndWait sends a script and WAIT together. WAIT is only about what its connection has written.
func (b *Backend) evalAndWait(ctx context.Context, args []any) (reply any, sent time.Time, short, err error) {
	node, err := b.keeper(ctx, args)
	if err != nil {
		return nil, time.Time{}, nil, err
	}
	limit := maxReplicaWait
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)*3/4)
	}
	pipe := node.Pipeline()
	eval := command{redis.NewCmd(ctx, args...)}
	wait := command{redis.NewCmd(ctx, "wait", b.opt.WaitReplicas, max(1, limit.Milliseconds()))}
	_ = pipe.Process(ctx, eval) // only queues
	_ = pipe.Process(ctx, wait)
	sent = time.Now()
	_, _ = pipe.Exec(ctx) // the error is that of the command it belongs to
	if reply, err = eval.Result(); err != nil {
		return nil, sent, nil, b.redirected(ctx, err)
	}
	confirmed, err := wait.Int()
	switch {
	case err != nil:
		short = fmt.Errorf("wait for replicas: %w", err)
	case confirmed < b.opt.WaitReplicas:
		short = &ReplicasError{Want: b.opt.WaitReplicas, Got: confirmed}
	}
	return reply, sent, short, nil
}

// keeper returns a client of the node that keeps the first key of a script.
func (b *Backend) keeper(ctx context.Context, args []any) (pipeliner, error) {
	if b.cluster == nil {
		return b.client.(pipeliner), nil // New has made sure of it
	}
	key, _ := args[3].(*string)
	return b.cluster.MasterForKey(ctx, *key)
}

// redirected handles an answer by which a node of a cluster points to another one. Here the
// library does not follow, so the caller has to ask again, when it knows better.
func (b *Backend) redirected(ctx context.Context, err error) error {
	b.lookAgain(ctx, err)
	if b.cluster != nil && (redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK")) {
		b.cluster.ReloadState(ctx)
	}
	return b.explain(err)
}
