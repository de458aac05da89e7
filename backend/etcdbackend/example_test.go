package etcdbackend_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/backend/etcdbackend"
	"github.com/concord-go/concord/fence"
)

// Once per process: a client, a backend on it, and a check of both.
func Example() {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            []string{"etcd-0:2379", "etcd-1:2379", "etcd-2:2379"},
		DialTimeout:          2 * time.Second,
		DialKeepAliveTime:    5 * time.Second,
		DialKeepAliveTimeout: 2 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	be, err := etcdbackend.New(client, &etcdbackend.Options{Prefix: "shop"})
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
	_, err := etcdbackend.New(nil, &etcdbackend.Options{Prefix: "my shop"})
	fmt.Println(err)
	// Output:
	// etcdbackend: client must not be nil
	// etcdbackend: Prefix must have 1 to 64 bytes of printable ASCII without space
}

// The report is for people; run it from a start-up log or an admin command.
func ExampleBackend_Diagnose() {
	var be *etcdbackend.Backend // made at the start of the process

	report, err := be.Diagnose(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(report)
	// etcdbackend: prefix "shop"
	//   ok       version      etcd-0:2379: etcd 3.7.3
	//   ok       alarms       none
	//   ok       commands     all requests are served, a lock was taken and released in 4.1ms
	//   ok       watch        gets through
}

// A write under the token of a lock. A holder that was paused for too long is refused.
func ExampleGuard_Txn() {
	var be *etcdbackend.Backend // made at the start of the process
	var token fence.Token       // of the lock that is held

	ctx := context.Background()
	guard := be.Guard()
	if err := guard.Raise(ctx, "orders/42", token); err != nil { // before reading
		log.Fatal(err)
	}
	_, err := guard.Txn(ctx, "orders/42", token,
		clientv3.OpPut("/orders/42/state", "paid"),
		clientv3.OpDelete("/orders/42/draft"))
	if errors.Is(err, fence.ErrFenced) {
		return // somebody else has the lock now
	}
}
