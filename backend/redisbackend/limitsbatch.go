package redisbackend

import (
	"context"
	"slices"
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
	by  *limitCall // whose it is, where calls share a request
}

// batch sorts ops by the node that keeps their keys, and asks all nodes at the same time.
func (l *limits) batch(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
	list := make([]asked, len(ops))
	for i := range ops {
		list[i] = asked{question: newQuestion(l.b.names, &ops[i]), out: &out[i]}
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
	l.send(ctx, node, list)
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
		if len(nodes) == 1 {
			l.send(ctx, node, list)
		} else {
			all.Go(func() { l.send(ctx, node, list) })
		}
	}
	all.Wait()
}

// send asks one node.
func (l *limits) send(ctx context.Context, node pipeliner, list []asked) {
	if l.lanes != nil {
		l.lanes.ask(ctx, node, list)
	} else {
		l.pipelines(ctx, node, list)
	}
}

// pipelines asks one node, in as many requests as it takes.
func (l *limits) pipelines(ctx context.Context, node pipeliner, list []asked) {
	for len(list) > 0 {
		n := min(len(list), maxPipeline)
		l.pipeline(ctx, node, list[:n])
		list = list[n:]
	}
}

// pipeline asks one node in one request. What it says that it has not executed is asked again in the next
// one, or where else the library finds it.
func (l *limits) pipeline(ctx context.Context, node pipeliner, list []asked) {
	var unknown, moved bool
	for range migrations {
		if list, unknown, moved = l.request(ctx, node, list, unknown); len(list) < 2 || moved {
			break
		}
	}
	for _, a := range list {
		*a.out = l.settle(ctx, a.question)
	}
}

// request returns those that have to be asked again, and whether the node does not know a script, or keeps
// a key no more. load sends the scripts along.
func (l *limits) request(ctx context.Context, node pipeliner, list []asked, load bool) (again []asked, unknown, moved bool) {
	pipe := node.Pipeline()
	commands := make([]command, len(list))
	var loaded []*script
	for i, a := range list {
		a.args[0], a.args[1] = argEvalSha, a.script.digest
		if load && !slices.Contains(loaded, a.script) {
			a.args[0], a.args[1] = argEval, a.script.source
			loaded = append(loaded, a.script)
		}
		commands[i] = command{redis.NewCmd(ctx, a.args...)}
		_ = pipe.Process(ctx, commands[i]) // only queues
	}
	_, failed := pipe.Exec(ctx)
	if failed != nil {
		l.b.lookAgain(ctx, failed)
	}

	due := make([]bool, len(list))
	for i, a := range list {
		reply, err := commands[i].Result()
		if err == nil && reply == nil {
			err = failed
		}
		var d ratelimit.Decision
		done := false
		switch {
		case err == nil:
			d, done, err = a.answer(reply)
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			unknown, err = true, nil
		case redis.HasErrorPrefix(err, "MOVED"), redis.HasErrorPrefix(err, "ASK"):
			moved, err = true, nil
		default:
			err = l.b.explain(err)
		}
		switch {
		case err != nil:
			*a.out = ratelimit.Outcome{Err: fail(ctx, verbLimit, err)}
		case done:
			*a.out = ratelimit.Outcome{Decision: d}
		default:
			due[i] = true
		}
	}
	return inTurn(ctx, list, due), unknown, moved
}

// inTurn returns what is due again. A question after which a later one of the same caller on the same key
// was or may have been executed is not: it would come out of order.
func inTurn(ctx context.Context, list []asked, due []bool) (again []asked) {
	if !slices.Contains(due, true) {
		return nil
	}
	type turn struct {
		by   *limitCall
		name string
	}
	later := map[turn]bool{}
	for i, a := range slices.Backward(list) {
		switch t := (turn{a.by, a.name}); {
		case !due[i]:
			later[t] = true
		case later[t]:
			*a.out = ratelimit.Outcome{Err: fail(ctx, verbLimit, errOvertaken)}
		default:
			again = append(again, a)
		}
	}
	slices.Reverse(again)
	return again
}
