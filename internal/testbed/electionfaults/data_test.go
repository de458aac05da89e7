package electionfaults

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/testbed/stores"
)

// data is what leaders write to.
const data = "data"

// write writes to the data beside the claims, guarded by a term.
func write(ctx context.Context, n *stores.Node, term election.Term, value string) error {
	if n.Etcd != nil {
		_, err := n.Etcd.Guard().Txn(ctx, data, term, clientv3.OpPut(data, value))
		return err
	}
	return n.Redis.Guard().Set(ctx, data, term, value, 0)
}

// read returns the data beside the claims.
func read(ctx context.Context, n *stores.Node) (string, error) {
	if n.Etcd == nil {
		return n.RedisClient.Get(ctx, data).Result()
	}
	got, err := n.EtcdClient.Get(ctx, data)
	if err != nil || len(got.Kvs) == 0 {
		return "", err
	}
	return string(got.Kvs[0].Value), nil
}
