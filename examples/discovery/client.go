package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/concord-go/concord/membership"
)

const (
	tries   = 3               // replicas that a request is sent to, at most
	oneTry  = 2 * time.Second // how long one of them may take to answer
	maxBody = 1 << 10
)

// client balances requests over the members of the group.
type client struct {
	picker *membership.Picker
	http   *http.Client
	tally  *tally
	says   teller

	mu      sync.Mutex
	members []membership.Member // as last seen
	changed chan struct{}       // closed when that is over
}

func newClient(p *plan, t *tally, says teller) (*client, error) {
	picker, err := membership.NewPicker(p.strategy)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: p.workers}
	return &client{picker: picker, http: &http.Client{Transport: transport}, tally: t, says: says, changed: make(chan struct{})}, nil
}

// follow keeps the picker up to date, as Picker.Follow does, and shows what changes.
func (c *client) follow(ctx context.Context, group *membership.Group) error {
	for view, err := range group.Watch(ctx) {
		if err != nil {
			return err
		}
		c.picker.Set(view.Members)
		for _, m := range view.Joined {
			c.says("+ %s at %s, weight %d", m.ID, m.Addr, m.Weight)
		}
		for _, m := range view.Updated {
			c.says("~ %s at %s, weight %d", m.ID, m.Addr, m.Weight)
		}
		for _, m := range view.Left {
			c.says("- %s", m.ID)
			c.http.CloseIdleConnections() // its server waits for those that were never used
		}
		if view.Stale != nil {
			c.says("the client keeps the replicas it knows: %v", view.Stale)
		}
		c.mu.Lock()
		c.members = view.Members
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
	return nil
}

// seen waits until the client sees a replica of that ID which is as it should be, nil if it should not
// be there, and returns it.
func (c *client) seen(ctx context.Context, id string, as func(*membership.Member) bool) (*membership.Member, error) {
	for {
		c.mu.Lock()
		members, changed := c.members, c.changed
		c.mu.Unlock()
		var found *membership.Member
		if i := slices.IndexFunc(members, func(m membership.Member) bool { return m.ID == id }); i >= 0 {
			found = &members[i]
		}
		if as(found) {
			return found, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Minute):
			return nil, fmt.Errorf("the client waits in vain for a change of %s", id)
		}
	}
}

func there(m *membership.Member) bool { return m != nil }
func gone(m *membership.Member) bool  { return m == nil }

// work sends one request after another until ctx ends. None is broken off.
func (c *client) work(ctx context.Context) {
	for ctx.Err() == nil {
		by, failed, err := c.request(context.WithoutCancel(ctx))
		c.tally.count(by, failed, err)
		if err != nil {
			wait(ctx, 10*takes)
		}
	}
}

// request asks one replica after the other until one answers. It may be carried out more than once, so
// this is for requests to which that does no harm.
func (c *client) request(ctx context.Context) (by string, failed []string, err error) {
	for range tries {
		pick, err := c.picker.Pick(ctx, failed...) // elsewhere, if there is an elsewhere
		if err != nil {
			return "", failed, err
		}
		by, err = c.do(ctx, http.MethodGet, "http://"+pick.Member.Addr+"/")
		pick.Done()
		if err == nil {
			return by, failed, nil
		}
		failed = append(failed, pick.Member.ID)
	}
	return "", failed, err
}

func (c *client) do(ctx context.Context, method, url string) (body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, b)
	}
	return string(b), err
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
