package etcdbackend

import (
	"context"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/fence"
)

// marks is the port of package fence. A mark is a value of 20 digits, which compare as bytes the
// way tokens compare as numbers.
type marks struct{ b *Backend }

var _ fence.Marks = (*marks)(nil)

// Raise implements [fence.Marks].
func (m *marks) Raise(ctx context.Context, resource string, token fence.Token) error {
	_, err := m.write(ctx, "raise", resource, token, nil)
	return err
}

// Mark implements [fence.Marks].
func (m *marks) Mark(ctx context.Context, resource string) (fence.Token, error) {
	const verb = "mark"
	if err := fence.ValidateResource(resource); err != nil {
		return 0, fail(ctx, verb, err)
	}
	if err := m.b.ready(ctx, verb); err != nil {
		return 0, err
	}
	r, err := m.b.client.Txn(ctx).Then(clientv3.OpGet(m.b.names.mark(resource))).Commit()
	if err != nil {
		return 0, fail(ctx, verb, err)
	}
	kvs := r.Responses[0].GetResponseRange().Kvs
	if len(kvs) == 0 {
		return 0, nil
	}
	mark, err := parseMark(kvs[0].Value)
	if err != nil {
		return 0, fail(ctx, verb, err)
	}
	return mark, nil
}

// write raises the mark and runs ops in the same step, unless the mark is higher. The comparison
// of values is false for a key that is not there, so one request does for all cases.
func (m *marks) write(ctx context.Context, verb, resource string, token fence.Token, ops []clientv3.Op) (*clientv3.TxnResponse, error) {
	if err := fence.Validate(resource, token); err != nil {
		return nil, fail(ctx, verb, err)
	}
	if err := m.b.ready(ctx, verb); err != nil {
		return nil, err
	}
	name := m.b.names.mark(resource)
	r, err := m.b.client.Txn(ctx).
		If(clientv3.Compare(clientv3.Value(name), ">", token.Padded())).
		Then(clientv3.OpGet(name)).
		Else(append([]clientv3.Op{clientv3.OpPut(name, token.Padded())}, ops...)...).
		Commit()
	if err != nil {
		return nil, fail(ctx, verb, err)
	}
	if !r.Succeeded {
		r.Responses = r.Responses[1:]
		return r, nil
	}
	value := r.Responses[0].GetResponseRange().Kvs[0].Value
	mark, err := parseMark(value)
	if err != nil {
		return nil, fail(ctx, verb, err)
	}
	return nil, fail(ctx, verb, &fence.FencedError{Resource: resource, Token: token, Mark: mark})
}

func parseMark(value []byte) (fence.Token, error) {
	if len(value) != 20 {
		return 0, malformed(value)
	}
	t, err := fence.ParseToken(strings.TrimLeft(string(value), "0"))
	if err != nil {
		return 0, malformed(value)
	}
	return t, nil
}
