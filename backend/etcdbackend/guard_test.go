package etcdbackend

import (
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/fence"
)

func TestGuardedTxn(t *testing.T) {
	client := connect(t, endpoints(t))
	be := open(t, client, nil)
	ctx, guard, key := within(t, 10*time.Second), be.Guard(), be.opt.Prefix+"/data"
	value := func() string {
		t.Helper()
		r, err := client.Get(ctx, key)
		if err != nil || len(r.Kvs) == 0 {
			t.Fatal(r, err)
		}
		return string(r.Kvs[0].Value)
	}
	put := func(token fence.Token, v string) error {
		_, err := guard.Txn(ctx, "r", token, clientv3.OpPut(key, v))
		return err
	}
	if err := put(5, "five"); err != nil {
		t.Fatal(err)
	}
	if err := put(5, "again"); err != nil || value() != "again" {
		t.Fatal(err, value())
	}
	if err := guard.Raise(ctx, "r", 9); err != nil {
		t.Fatal(err)
	}
	var fenced *fence.FencedError
	if err := put(8, "late"); !errors.As(err, &fenced) || *fenced != (fence.FencedError{Resource: "r", Token: 8, Mark: 9}) {
		t.Errorf("%v", err)
	}
	if value() != "again" {
		t.Errorf("a refused write was made: %q", value())
	}
	if m, err := be.Fences().Mark(ctx, "r"); err != nil || m != 9 {
		t.Errorf("mark %v, %v", m, err)
	}
	r, err := guard.Txn(ctx, "r", 10, clientv3.OpGet(key), clientv3.OpPut(key, "ten"), clientv3.OpGet(key))
	if err != nil || len(r.Responses) != 3 || string(r.Responses[2].GetResponseRange().Kvs[0].Value) != "ten" {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := guard.Txn(ctx, "r", 11); !errors.Is(err, ErrInvalid) {
		t.Errorf("no operations: %v", err)
	}
	if err := put(0, ""); !errors.Is(err, fence.ErrInvalid) {
		t.Errorf("no token: %v", err)
	}
	// A write that etcd refuses leaves the mark as it was.
	if _, err := guard.Txn(ctx, "r", 12, clientv3.OpPut(key, "1"), clientv3.OpPut(key, "2")); err == nil {
		t.Error("a key twice in one transaction")
	}
	if m, _ := be.Fences().Mark(ctx, "r"); m != 10 {
		t.Errorf("mark %v", m)
	}
}
