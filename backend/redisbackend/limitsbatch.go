package redisbackend

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/ratelimit"
)

// maxPipeline is how many ops go into one request, so that no other client waits long behind them.
const maxPipeline = 128

// asked is a question of a batch, and where its answer goes.
type asked struct {
	*question
	out *ratelimit.Outcome
}

// batch sorts ops by the node that keeps their keys, and asks all nodes at the same time.
func (l *limits) batch(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
	list := make([]asked, len(ops))
	for i := range ops {
		list[i] = asked{newQuestion(l.b.names, &ops[i]), &out[i]}
	}
	if l.b.cluster != nil {
		l.spread(ctx, list)
		return
	}
	node, ok := l.b.client.(pipeliner)
	if !ok {
		for _, a := range list {
			*a.out = l.settle(ctx, a.question)
		}
		return
	}
	l.pipelines(ctx, node, list)
}

// spread is batch in a cluster.
func (l *limits) spread(ctx context.Context, list []asked) {
	nodes := map[pipeliner][]asked{}
	for _, a := range list {
		node, err := l.b.keeper(ctx, a.args)
		if err != nil {
			l.b.lookAgain(ctx, err)
			*a.out = ratelimit.Outcome{Err: fail(ctx, verbLimit, l.b.explain(err))}
			continue
		}
		nodes[node] = append(nodes[node], a)
	}
	var all sync.WaitGroup
	for node, list := range nodes {
		all.Go(func() { l.pipelines(ctx, node, list) })
	}
	all.Wait()
}

// pipelines asks one node, in as many requests as it takes.
func (l *limits) pipelines(ctx context.Context, node pipeliner, list []asked) {
	for len(list) > 0 {
		n := min(len(list), maxPipeline)
		l.pipeline(ctx, node, list[:n])
		list = list[n:]
	}
}

// pipeline asks one node in one request. What it says that it has not executed is asked again, unless a
// later op on the same key was executed: then it would come out of order.
func (l *limits) pipeline(ctx context.Context, node pipeliner, list []asked) {
	pipe := node.Pipeline()
	commands := make([]command, len(list))
	for i, a := range list {
		a.args[0], a.args[1] = argEvalSha, a.script.digest
		commands[i] = command{redis.NewCmd(ctx, a.args...)}
		_ = pipe.Process(ctx, commands[i]) // only queues
	}
	_, failed := pipe.Exec(ctx)
	if failed != nil {
		l.b.lookAgain(ctx, failed)
	}

	again := make([]bool, len(list))
	later := map[string]bool{} // keys of which a later op was or may have been executed
	for i := len(list) - 1; i >= 0; i-- {
		a := list[i]
		reply, err := commands[i].Result()
		if err == nil && reply == nil {
			err = failed
		}
		var d ratelimit.Decision
		done := false
		switch {
		case err == nil:
			if d, done, err = a.answer(reply); err == nil && !done {
				again[i] = true
			}
		case redis.HasErrorPrefix(err, "NOSCRIPT"), redis.HasErrorPrefix(err, "MOVED"), redis.HasErrorPrefix(err, "ASK"):
			again[i], err = true, nil
		default:
			err = l.b.explain(err)
		}
		if again[i] && later[a.name] {
			again[i], err = false, errOvertaken
		} else if !again[i] {
			later[a.name] = true
		}
		if err != nil {
			err = fail(ctx, verbLimit, err)
		}
		*a.out = ratelimit.Outcome{Decision: d, Err: err}
	}
	for i, a := range list {
		if again[i] {
			*a.out = l.settle(ctx, a.question)
		}
	}
}
