package peerbench

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/concord-go/concord/backend/etcdbackend"
	"github.com/concord-go/concord/election"
)

// candidate is one party that stands for election, as a process of its own would be: with its own client.
type candidate interface {
	// campaign returns when the candidate leads.
	campaign(ctx context.Context) error
	// resign ends its term.
	resign(ctx context.Context) error
	// standing is how many candidates stand, the one that leads included.
	standing(ctx context.Context) (int, error)
	close() error
}

// electoral is a way to elect that takes part.
type electoral struct {
	name string
	open func(s server, id string) (candidate, error)
}

var (
	concordElection = electoral{"concord", openConcordElection}
	concordTransfer = electoral{"transfer", openConcordTransfer}
	etcdElection    = electoral{"election", openEtcdElection}
)

const electionName = "leader"

// concordCandidate stands for package election.
type concordCandidate struct {
	*election.Election
	be     backend
	client *clientv3.Client
	term   *election.Leadership
}

func openConcordElection(s server, id string) (candidate, error) {
	return newConcordCandidate(s, "e", id)
}

func newConcordCandidate(s server, part, id string) (*concordCandidate, error) {
	client, err := clientv3.New(s.etcdConfig())
	if err != nil {
		return nil, err
	}
	be, err := etcdbackend.New(client, &etcdbackend.Options{Prefix: s.prefix + "-" + part})
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	e, err := election.New(be.Leases(), electionName, election.Candidate{ID: id}, &election.Options{TTL: ttl, Hooks: &election.Hooks{}})
	if err != nil {
		return nil, errors.Join(err, be.Close(context.Background()), client.Close())
	}
	return &concordCandidate{Election: e, be: be, client: client}, nil
}

func (c *concordCandidate) campaign(ctx context.Context) (err error) {
	c.term, err = c.Campaign(ctx)
	return err
}

func (c *concordCandidate) resign(ctx context.Context) error { return c.term.Resign(ctx) }

func (c *concordCandidate) standing(ctx context.Context) (int, error) {
	state, err := c.be.Leases().Inspect(ctx, "election/"+electionName)
	return len(state.Holders) + state.Waiting, err
}

func (c *concordCandidate) close() error {
	ctx := context.Background()
	return errors.Join(c.Close(ctx), c.be.Close(ctx), c.client.Close())
}

// transferring hands its term to a candidate whom it names.
type transferring struct {
	*concordCandidate
	to string
}

func openConcordTransfer(s server, id string) (candidate, error) {
	c, err := newConcordCandidate(s, "t", id)
	if err != nil {
		return nil, err
	}
	to := "0"
	if id == to {
		to = "1"
	}
	return transferring{c, to}, nil
}

func (c transferring) resign(ctx context.Context) error { return c.term.TransferTo(ctx, c.to) }

// etcdCandidate stands for the election of the etcd client.
type etcdCandidate struct {
	*concurrency.Election
	session *concurrency.Session
	client  *clientv3.Client
	prefix  string
	id      string
}

func openEtcdElection(s server, id string) (candidate, error) {
	client, err := clientv3.New(s.etcdConfig())
	if err != nil {
		return nil, err
	}
	session, err := concurrency.NewSession(client, concurrency.WithTTL(int(ttl/time.Second)))
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	prefix := s.prefix + "/" + electionName
	return etcdCandidate{concurrency.NewElection(session, prefix), session, client, prefix + "/", id}, nil
}

func (c etcdCandidate) campaign(ctx context.Context) error { return c.Campaign(ctx, c.id) }

func (c etcdCandidate) resign(ctx context.Context) error { return c.Resign(ctx) }

func (c etcdCandidate) standing(ctx context.Context) (int, error) {
	r, err := c.client.Get(ctx, c.prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return int(r.Count), nil
}

func (c etcdCandidate) close() error { return errors.Join(c.session.Close(), c.client.Close()) }
