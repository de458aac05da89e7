package etcdbackend

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/backend/check"
)

// oldest is the oldest version that works, and advised the oldest one without two faults that
// matter here: a leader that was replaced without noticing could end leases, and signs of life of
// a watch could overtake its events.
var (
	oldest  = [3]int{3, 5, 0}
	advised = [3]int{3, 5, 13}
)

// checkServers asks each endpoint of the client for its version and state.
func (b *Backend) checkServers(ctx context.Context, r *check.Report) error {
	const subject = "servers"
	client, ok := b.client.(interface {
		Endpoints() []string
		Status(ctx context.Context, endpoint string) (*clientv3.StatusResponse, error)
	})
	if !ok {
		r.Add(check.LevelOK, subject, "%T does not tell its endpoints", b.client)
		return nil
	}
	answered := 0
	var failure error
	for _, e := range client.Endpoints() {
		call, cancel := context.WithTimeout(ctx, 2*time.Second)
		s, err := client.Status(call, e)
		cancel()
		switch {
		case err != nil && temporary(err):
			failure = err
			r.Add(check.LevelWarning, subject, "%s does not answer: %v", e, err)
			continue
		case err != nil:
			r.Add(check.LevelWarning, subject, "%s does not tell its state: %v", e, err)
		case s.Leader == 0:
			r.Add(check.LevelError, subject, "%s has no leader: most members of the cluster are down or not connected", e)
		case s.IsLearner:
			r.Add(check.LevelWarning, subject, "%s is a learner: it serves nothing that is needed here", e)
		default:
			b.checkVersion(r, e, s.Version)
		}
		answered++
	}
	if answered == 0 && failure != nil {
		return fmt.Errorf("no answer from %s: %w", strings.Join(client.Endpoints(), ", "), failure)
	}
	if n := len(client.Endpoints()); n == 2 {
		r.Add(check.LevelWarning, subject, "2 endpoints: a cluster of two members is down when either is")
	}
	return nil
}

func (b *Backend) checkVersion(r *check.Report, endpoint, version string) {
	const subject = "version"
	var v [3]int
	for i, part := range strings.SplitN(version, ".", 3) {
		digits, _, _ := strings.Cut(part, "-")
		v[i], _ = strconv.Atoi(digits)
	}
	switch {
	case below(v, oldest):
		r.Add(check.LevelError, subject, "%s: etcd %s is too old, at least 3.5 is needed", endpoint, version)
	case below(v, advised):
		r.Add(check.LevelWarning, subject, "%s: etcd %s can end leases too early after a change of leader (3.5.13 or newer is advised)", endpoint, version)
	default:
		r.Add(check.LevelOK, subject, "%s: etcd %s", endpoint, version)
	}
}

func below(v, w [3]int) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

// checkAlarms looks for a full or damaged store.
func (b *Backend) checkAlarms(ctx context.Context, r *check.Report) error {
	const subject = "alarms"
	client, ok := b.client.(interface {
		AlarmList(ctx context.Context) (*clientv3.AlarmResponse, error)
	})
	if !ok {
		return nil
	}
	list, err := client.AlarmList(ctx)
	if err != nil {
		return barred(r, err, check.LevelOK, subject, "cannot be listed")
	}
	for _, a := range list.Alarms {
		switch a.Alarm {
		case etcdserverpb.AlarmType_NOSPACE:
			r.Add(check.LevelError, subject, "a member is out of space: claims can only be released (compact, defragment and disarm)")
		default:
			r.Add(check.LevelError, subject, "%s on member %x", a.Alarm, a.MemberID)
		}
	}
	if len(list.Alarms) == 0 {
		r.Add(check.LevelOK, subject, "none")
	}
	return nil
}

// checkWatch waits for the watch to be known to have missed nothing.
func (b *Backend) checkWatch(ctx context.Context, r *check.Report) error {
	const subject, patience = "watch", 2 * time.Second
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for give := time.Now().Add(patience); !b.hub.healthy(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if time.Now().After(give) {
			r.Add(check.LevelWarning, subject, "does not get through, waiters fall back to asking, and hand-offs are slower")
			return nil
		}
	}
	r.Add(check.LevelOK, subject, "gets through")
	return nil
}
