package redisbackend_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/fence"
)

// Once per process: a client with short timeouts, a backend on it, and a check of both.
func Example() {
	client := redis.NewClient(&redis.Options{
		Addr:                  "localhost:6379",
		ContextTimeoutEnabled: true,
		ReadTimeout:           time.Second,
		DialTimeout:           time.Second,
		DialerRetries:         1,
	})
	defer client.Close()

	be, err := redisbackend.New(client, &redisbackend.Options{Prefix: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer be.Close(ctx)
	if err := be.Check(ctx); err != nil {
		log.Fatal(err)
	}
	// be.Leases() is what lock.New and election.New take.
}

// All problems of the options are reported at once.
func ExampleNew() {
	_, err := redisbackend.New(nil, &redisbackend.Options{Prefix: "my:shop"})
	fmt.Println(err)
	// Output:
	// redisbackend: client must not be nil
	// redisbackend: Prefix must have 1 to 64 bytes of printable ASCII without space, colon and braces
}

// The report is for people; run it from a start-up log or an admin command.
func ExampleBackend_Diagnose() {
	var be *redisbackend.Backend // made at the start of the process

	report, err := be.Diagnose(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(report)
	// redisbackend: prefix "shop"
	//   ok       clock        round trip 41µs, the server's clock is 0s from ours
	//   ok       version      Redis 7.0.15
	//   ok       mode         standalone
	//   ok       role         primary without replicas
	//   warning  persistence  append-only file is off: a restart forgets who holds what (set appendonly yes)
	//   ok       eviction     noeviction
	//   ok       layout       buckets=128 hash=fnv1a64
	//   ok       commands     all scripts run
	//   ok       push         publish and subscribe work
	//   ok       client       timeouts are as recommended
}

// Raise the mark, read, write. A holder that was paused and lost its lock meanwhile gets an error
// instead of overwriting the work of its successor.
func ExampleGuard() {
	pay := func(ctx context.Context, be *redisbackend.Backend, client *redis.Client, token fence.Token) error {
		const key = "order:42"
		guard := be.Guard()
		if err := guard.Raise(ctx, key, token); err != nil {
			return err
		}
		state, err := client.HGet(ctx, key, "state").Result()
		if err != nil || state != "open" {
			return err
		}
		err = guard.HSet(ctx, key, token, "state", "paid")
		var fenced *fence.FencedError
		if errors.As(err, &fenced) {
			log.Printf("somebody else took over with token %s", fenced.Mark)
		}
		return err
	}
	_ = pay // called under a lock, with lease.Token()
}

// A script of one's own under the same check.
func ExampleGuard_Run() {
	var be *redisbackend.Backend // made at the start of the process
	var token fence.Token        // of the lock: lease.Token()

	withdraw := redisbackend.NewGuardedScript(`
		local left = tonumber(redis.call('GET', KEYS[1]) or '0') - ARGV[1]
		if left < 0 then return redis.error_reply('SHORT of money') end
		redis.call('SET', KEYS[1], left)
		return left`)
	left, err := be.Guard().Run(context.Background(), withdraw, []string{"account:7"}, token, 25)
	if redis.HasErrorPrefix(err, "SHORT") {
		log.Print("not enough")
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println("left:", left.(int64))
}
