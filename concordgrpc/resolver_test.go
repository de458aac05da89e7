package concordgrpc_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/experimental/balancer/weight"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordgrpc"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/membership"
)

// clientConn stands for gRPC's side of a resolver.
type clientConn struct {
	resolver.ClientConn
	answer error // to UpdateState

	mu       sync.Mutex
	states   []resolver.State
	reported []error
}

func (c *clientConn) UpdateState(s resolver.State) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states = append(c.states, s)
	return c.answer
}

func (c *clientConn) ReportError(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reported = append(c.reported, err)
}

func (c *clientConn) ParseServiceConfig(text string) *serviceconfig.ParseResult {
	if strings.Contains(text, "nonsense") {
		return &serviceconfig.ParseResult{Err: errors.New("no such balancer")}
	}
	return &serviceconfig.ParseResult{}
}

// take returns the states since the last time, as "id@addr*weight …" of their endpoints.
func (c *clientConn) take() (list []string) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.states {
		var parts []string
		for _, e := range s.Endpoints {
			m, _ := concordgrpc.MemberOf(e)
			parts = append(parts, m.ID+"@"+e.Addresses[0].Addr+"*"+string(rune('0'+weight.FromEndpoint(e).Weight)))
		}
		list = append(list, strings.Join(parts, " "))
	}
	c.states = nil
	return list
}

func (c *clientConn) errors() []error {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.reported)
}

// bubble runs f in virtual time with a resolver of the group.
func bubble(t *testing.T, f func(t *testing.T, be *memorybackend.Backend, g *membership.Group, c *client, cc *clientConn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		be := store(t)
		g := open(t, be.Leases(), ttl)
		c, cc := &client{}, &clientConn{}
		r, err := concordgrpc.NewResolver(g, &concordgrpc.ResolverOptions{Hooks: c.hooks()})
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.Build(at(t, target), cc, resolver.BuildOptions{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // for the first view, of nobody
		f(t, be, g, c, cc)
		cc.take()
		res.Close()
		if more := cc.take(); len(more) > 0 {
			t.Errorf("told %q after Close", more)
		}
	})
}

// take returns what hooks were told since the last time.
func (c *client) take(list *[]concordgrpc.Info) []concordgrpc.Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := *list
	*list = nil
	return taken
}

func at(t *testing.T, target string) resolver.Target {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return resolver.Target{URL: *u}
}

func join(t *testing.T, g *membership.Group, m membership.Member) *membership.Registration {
	t.Helper()
	r, err := g.Join(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func shows(t *testing.T, cc *clientConn, want ...string) {
	t.Helper()
	if got := cc.take(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// Addresses come once, without members that have none, and with what is known of the member.
func TestAddresses(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, g *membership.Group, c *client, cc *clientConn) {
		shows(t, cc, "")
		a := join(t, g, membership.Member{ID: "a", Addr: "h1:80", Zone: "z1", Weight: 3, Meta: []byte("m")})
		time.Sleep(time.Second)
		join(t, g, membership.Member{ID: "b", Weight: 1})
		time.Sleep(time.Second)
		join(t, g, membership.Member{ID: "c", Addr: "h1:80", Weight: 1})
		time.Sleep(time.Second)
		join(t, g, membership.Member{ID: "d", Addr: "h2:80", Weight: 2})
		synctest.Wait()
		first := cc.states[1]
		shows(t, cc, "a@h1:80*3", "a@h1:80*3", "a@h1:80*3", "a@h1:80*3 d@h2:80*2")
		if m, ok := concordgrpc.MemberOf(first.Endpoints[0]); !ok || m.ID != "a" || m.Zone != "z1" || string(m.Meta) != "m" {
			t.Errorf("MemberOf = %+v, %v", m, ok)
		}
		if len(first.Addresses) != 1 || first.Addresses[0].Attributes != nil || first.Endpoints[0].Addresses[0].Attributes != nil {
			t.Errorf("addresses: %v", first)
		}
		time.Sleep(time.Second)
		if err := a.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		shows(t, cc, "c@h1:80*1 d@h2:80*2")
		if last, _ := c.last(); last.Addresses != 2 || last.Target != target || last.Err != nil {
			t.Errorf("hooks were told %+v", last)
		}
	})
}

// Attributes can be compared, as balancers do, although metadata cannot.
func TestMemberAttributes(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, g *membership.Group, _ *client, cc *clientConn) {
		r := join(t, g, membership.Member{ID: "a", Addr: "h1:80", Weight: 1, Meta: []byte("m")})
		time.Sleep(time.Second)
		for _, meta := range []string{"n", "m"} {
			if err := r.Update(t.Context(), membership.Member{ID: "a", Addr: "h1:80", Weight: 1, Meta: []byte(meta)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		states := cc.states[len(cc.states)-3:]
		attributes := func(i int) resolver.Endpoint { return states[i].Endpoints[0] }
		if attributes(0).Attributes.Equal(attributes(1).Attributes) || !attributes(0).Attributes.Equal(attributes(2).Attributes) {
			t.Errorf("attributes: %v", states)
		}
	})
	if _, ok := concordgrpc.MemberOf(resolver.Endpoint{}); ok {
		t.Error("an endpoint of another resolver has a member")
	}
}

// An empty group is a state, so that no connection stays, and an error that names the cause.
func TestNoAddresses(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, _ *membership.Group, c *client, cc *clientConn) {
		shows(t, cc, "")
		last, _ := c.last()
		for _, err := range append(cc.errors(), last.Err) {
			if !errors.Is(err, membership.ErrNoMember) || !strings.Contains(err.Error(), target) {
				t.Errorf("error %v", err)
			}
		}
		if n := len(cc.errors()); n != 1 {
			t.Errorf("%d errors", n)
		}
	})
}

// Members that an engine has lost with its data stay, and so do all while it does not answer.
func TestStaleViewsKeepAddresses(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, g *membership.Group, c *client, cc *clientConn) {
		join(t, g, membership.Member{ID: "a", Addr: "h1:80", Weight: 1})
		join(t, g, membership.Member{ID: "b", Addr: "h2:80", Weight: 1})
		time.Sleep(time.Second)
		cc.take()
		c.take(&c.told)
		be.Control().Flush()
		time.Sleep(ttl)
		stale := false
		for _, told := range cc.take() {
			if told != "a@h1:80*1 b@h2:80*1" {
				t.Errorf("told %q", told)
			}
		}
		for _, i := range c.take(&c.told) {
			stale = stale || errors.Is(i.Stale, membership.ErrVanished)
		}
		if !stale {
			t.Error("no view was stale")
		}
	})
}

// A balancer that refuses the addresses is not asked again and again, only with the next view.
func TestRefusedState(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, g *membership.Group, c *client, cc *clientConn) {
		cc.mu.Lock()
		cc.answer = balancer.ErrBadResolverState
		cc.mu.Unlock()
		join(t, g, membership.Member{ID: "a", Addr: "h1:80", Weight: 1})
		time.Sleep(time.Hour)
		last, _ := c.last()
		if told := cc.take(); len(told) != 2 || last.Addresses != 1 || !errors.Is(last.Err, balancer.ErrBadResolverState) {
			t.Errorf("told %q, hooks were told %+v", told, last)
		}
	})
}

// When a watch ends for good, gRPC and the hooks are told once, and nothing takes the addresses away.
func TestEndOfTheWatch(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, g *membership.Group, c *client, cc *clientConn) {
		join(t, g, membership.Member{ID: "a", Addr: "h1:80", Weight: 1})
		time.Sleep(time.Second)
		shows(t, cc, "", "a@h1:80*1")
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		shows(t, cc)
		reported, ended := cc.errors(), c.take(&c.ended)
		if len(reported) != 2 || len(ended) != 1 {
			t.Fatalf("reported %v, hooks were told %v", reported, ended)
		}
		if !errors.Is(reported[1], membership.ErrClosed) || !errors.Is(ended[0].Err, membership.ErrClosed) || ended[0].Target != target {
			t.Errorf("reported %v, hooks were told %v", reported[1], ended[0])
		}
	})
}

// Closing a resolver is no end that anybody has to be told of.
func TestCloseIsQuiet(t *testing.T) {
	var c *client
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, _ *membership.Group, used *client, cc *clientConn) {
		c = used
		shows(t, cc, "")
	})
	if ended := c.take(&c.ended); len(ended) > 0 {
		t.Errorf("hooks were told %v", ended)
	}
}

// Close returns when the watch has ended, and not before.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := make(chan bool)
		r, err := concordgrpc.NewResolver(open(t, store(t).Leases(), ttl), &concordgrpc.ResolverOptions{
			Hooks: &concordgrpc.Hooks{Resolved: func(concordgrpc.Info) { <-busy }},
		})
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.Build(at(t, target), &clientConn{}, resolver.BuildOptions{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // for the first view
		closed := make(chan bool)
		go func() {
			res.Close()
			close(closed)
		}()
		time.Sleep(time.Hour)
		select {
		case <-closed:
			t.Error("closed while the watch went on")
		default:
		}
		close(busy)
		<-closed
	})
}

func TestTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := concordgrpc.NewResolver(open(t, store(t).Leases(), ttl), &concordgrpc.ResolverOptions{Hooks: &concordgrpc.Hooks{}})
		if err != nil {
			t.Fatal(err)
		}
		for target, good := range map[string]bool{
			"concord:///api": true, "concord:///api.example.com:443": true, "concord:///a/b": true, "concord:api": true,
			"concord://api": false, "concord://host/api": false, "concord:///": false, "concord:": false,
		} {
			res, err := r.Build(at(t, target), &clientConn{}, resolver.BuildOptions{})
			if res != nil {
				res.ResolveNow(resolver.ResolveNowOptions{})
				res.Close()
			}
			if good && err != nil {
				t.Errorf("%s: %v", target, err)
			}
			var invalid *concordgrpc.InvalidError
			if !good && (!errors.As(err, &invalid) || invalid.Field != "target") {
				t.Errorf("%s: %v", target, err)
			}
		}
	})
}

func TestNewResolver(t *testing.T) {
	_, err := concordgrpc.NewResolver(nil, &concordgrpc.ResolverOptions{Scheme: "Concord", ServiceConfig: "{", NoServiceConfig: true})
	for _, field := range []string{"group", "Scheme", "ServiceConfig must be empty", "ServiceConfig must be JSON"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
	if !errors.Is(err, lease.ErrInvalid) {
		t.Errorf("%v", err)
	}
	g := open(t, store(t).Leases(), ttl)
	for scheme, good := range map[string]bool{
		"": true, "x": true, "svc+v1.0-b": true, strings.Repeat("x", 64): true,
		"1x": false, "x_y": false, "x:": false, "x\n": false, strings.Repeat("x", 65): false,
	} {
		r, err := concordgrpc.NewResolver(g, &concordgrpc.ResolverOptions{Scheme: scheme})
		if (err == nil) != good {
			t.Errorf("scheme %q: %v", scheme, err)
		}
		if good && r.Scheme() != scheme && (scheme != "" || r.Scheme() != concordgrpc.DefaultScheme) {
			t.Errorf("scheme %q became %q", scheme, r.Scheme())
		}
	}
}

func TestServiceConfigThatGRPCRefuses(t *testing.T) {
	r, err := concordgrpc.NewResolver(open(t, store(t).Leases(), ttl), &concordgrpc.ResolverOptions{ServiceConfig: `{"nonsense":1}`})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Build(at(t, target), &clientConn{}, resolver.BuildOptions{})
	var invalid *concordgrpc.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "ServiceConfig" || !strings.Contains(err.Error(), "no such balancer") {
		t.Errorf("build: %v", err)
	}
}
