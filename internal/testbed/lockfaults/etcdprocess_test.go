package lockfaults

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
)

func TestEtcdKilledHolderIsFollowedAfterItsTTL(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			t.Parallel()
			e, list := startEtcd(t, nodes, 1, &lock.Options{TTL: leastTTL})
			p := list[0]
			c := startChild(t, roleEtcdHolder, strings.Join(e.Endpoints(), ","), leastTTL)
			token := holds(t, c)
			next := p.later(t, childKey)
			c.Signal(os.Kill)
			killed := time.Now()
			if err := c.End(); err == nil {
				t.Error("the holder ended in good order")
			}
			g := await(t, next)
			took := g.at.Sub(killed)
			// It had been renewed at most a third of the TTL before, and etcd looks for ends twice a second.
			if took < leastTTL*2/3-100*time.Millisecond || took > leastTTL+time.Second+slack {
				t.Errorf("granted %v after the death", took)
			}
			if g.Token() <= token {
				t.Errorf("token %v after %v", g.Token(), token)
			}
			release(t, g.Lease)
			t.Logf("granted %v after the death of a holder with a TTL of %v", round(took), leastTTL)
		})
	}
}

// The cluster changes its leader just when the holder dies: the new leader begins to count anew.
func TestEtcdKilledHolderAndLeader(t *testing.T) {
	t.Parallel()
	e, list := startEtcd(t, 3, 1, &lock.Options{TTL: 8 * time.Second})
	p := list[0]
	c := startChild(t, roleEtcdHolder, strings.Join(e.Endpoints(), ","), leastTTL)
	holds(t, c)
	next := p.later(t, childKey)
	leader := theLeader(t, e)
	c.Signal(os.Kill)
	killed := time.Now()
	leader.Kill()
	if err := c.End(); err == nil {
		t.Error("the holder ended in good order")
	}
	g := await(t, next)
	took := g.at.Sub(killed)
	if took > 2*leastTTL+5*time.Second+slack {
		t.Errorf("granted %v after the death", took)
	}
	release(t, g.Lease)
	t.Logf("granted %v after the death of holder and leader, with a TTL of %v", round(took), leastTTL)
}

func TestEtcdPausedHolderIsFencedOut(t *testing.T) {
	t.Parallel()
	e, list := startEtcd(t, 1, 1, nil)
	p := list[0]
	c := startChild(t, roleEtcdHolder, e.Endpoints()[0], leastTTL)
	token := holds(t, c)
	c.Tell("guarded")
	if got := c.Says("fenced"); got != "false <nil>" {
		t.Fatalf("the holder's own write: %s", got)
	}
	c.Signal(syscall.SIGSTOP)
	paused := time.Now()
	g := await(t, p.later(t, childKey))
	t.Logf("taken over %v after the holder was paused", round(g.at.Sub(paused)))
	if g.Token() <= token {
		t.Errorf("token %v after %v", g.Token(), token)
	}
	ctx := t.Context()
	if err := p.be.Guard().Raise(ctx, childData, g.Token()); err != nil {
		t.Fatal(err)
	}
	if err := p.guarded(ctx, g.Token(), childData, "ours"); err != nil {
		t.Fatal(err)
	}
	data := func(want string) {
		t.Helper()
		if v, err := p.data(ctx, childData); err != nil || v != want {
			t.Errorf("the data is %q (%v), want %q", v, err, want)
		}
	}

	c.Signal(syscall.SIGCONT)
	c.Tell("look")
	if got := c.Says("valid"); got != "false" {
		t.Error("the paused holder believes in its lease")
	}
	cause := c.Says("lost")
	if cause != lock.Expired.String() && cause != lock.Unreachable.String() {
		t.Errorf("cause %q, want expired or unreachable", cause)
	}
	c.Tell("guarded")
	got := c.Says("fenced")
	if !strings.HasPrefix(got, "true ") || !strings.Contains(got, fence.ErrFenced.Error()) {
		t.Errorf("the late guarded write: %s, want it fenced", got)
	}
	data("ours")
	t.Logf("cause %s, late write: %s", cause, got)

	// The same write without the token is what the fence is there for.
	c.Tell("bare")
	if got := c.Says("written"); got != "<nil>" {
		t.Fatal(got)
	}
	data("child, bare")
	if !g.Valid(0) {
		t.Errorf("the new holder was lost meanwhile")
	}
	release(t, g.Lease)
}

func TestEtcdTerminatedHolderHandsOverAtOnce(t *testing.T) {
	t.Parallel()
	e, list := startEtcd(t, 1, 1, &lock.Options{TTL: time.Minute})
	c := startChild(t, roleEtcdHolder, e.Endpoints()[0], time.Minute)
	holds(t, c)
	next := list[0].later(t, childKey)
	asked := time.Now()
	c.Signal(syscall.SIGTERM)
	g := await(t, next)
	if got := c.Says("released"); got != "<nil>" {
		t.Errorf("release: %s", got)
	}
	if err := c.End(); err != nil {
		t.Errorf("the holder ended with %v", err)
	}
	if d := g.at.Sub(asked); d > slack {
		t.Errorf("handed over after %v", d)
	}
	release(t, g.Lease)
	t.Logf("handed over %v after the signal", round(g.at.Sub(asked)))
}
