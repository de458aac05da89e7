package faultnet

import (
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fates connects again and again, sends up to ten requests each time, and returns how many of
// them were answered, as a list.
func fates(t *testing.T, r *rig, rules Rules) []int {
	r.Set(rules)
	var list []int
	for range 40 {
		client, server := r.connect()
		answered := 0
		for ; answered < 10; answered++ {
			client.says("x")
			if b := make([]byte, 1); readOne(server, b) != nil {
				break
			}
			server.says("y")
			if b := make([]byte, 1); readOne(client, b) != nil {
				break
			}
		}
		client.Close()
		server.Close()
		list = append(list, answered)
	}
	return list
}

func readOne(e *end, b []byte) error {
	e.within(eventually)
	_, err := io.ReadFull(e, b)
	return err
}

func TestSeedRepeatsTheFaults(t *testing.T) {
	rules := Rules{Requests: Faults{Reset: 0.1}, Replies: Faults{Reset: 0.1}}
	eachForm(t, func(t *testing.T, r *rig) {
		first := fates(t, r, rules)
		if slices.Max(first) == slices.Min(first) {
			t.Fatalf("fates %v: the dice do nothing", first)
		}
		n := r.Counts()
		if n.Requests.Resets == 0 || n.Replies.Resets == 0 {
			t.Errorf("counts %+v, want resets in both directions", n)
		}

		if second := fates(t, dialled(t, 1), rules); !slices.Equal(first, second) {
			t.Errorf("fates\n%v with the same seed, were\n%v", second, first)
		}
		if second := fates(t, dialled(t, 2), rules); slices.Equal(first, second) {
			t.Errorf("fates %v with another seed are the same", second)
		}
		// Another rule with dice of its own leaves them alone.
		rules := rules
		rules.Requests.Jitter, rules.Requests.LateRate = time.Millisecond, 0.5
		if second := fates(t, dialled(t, 1), rules); !slices.Equal(first, second) {
			t.Errorf("fates\n%v with jitter, were\n%v", second, first)
		}
	})
}

// arrivals returns when each of some chunks, sent 1 ms apart, arrives.
func arrivals(t *testing.T, seed uint64, f Faults) (list []time.Duration, counts Counts) {
	synctest.Test(t, func(t *testing.T) {
		n := New(seed)
		defer n.Close()
		n.Set(Rules{Requests: f})
		end, server := net.Pipe()
		client, err := n.Wrap(end)
		if err != nil {
			t.Fatal(err)
		}
		const chunks = 200
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range chunks {
				if _, err := client.Write([]byte{byte(i)}); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
		})
		for i := range chunks {
			b := make([]byte, 1)
			if _, err := io.ReadFull(server, b); err != nil || b[0] != byte(i) {
				t.Fatalf("chunk %d: %d, %v", i, b[0], err)
			}
			list = append(list, time.Since(start))
		}
		wg.Wait()
		counts = n.Counts()
	})
	return list, counts
}

func TestLatencyIsExactAndOverlaps(t *testing.T) {
	list, counts := arrivals(t, 1, Faults{Latency: 20 * time.Millisecond})
	for i, at := range list {
		if want := 20*time.Millisecond + time.Duration(i)*time.Millisecond; at != want {
			t.Fatalf("chunk %d arrives at %v, want %v", i, at, want)
		}
	}
	if counts.Requests.Late != len(list) {
		t.Errorf("%d chunks are late, want all", counts.Requests.Late)
	}
}

func TestJitterIsFromTheSeedAndKeepsOrder(t *testing.T) {
	f := Faults{Latency: 5 * time.Millisecond, Jitter: 20 * time.Millisecond}
	first, _ := arrivals(t, 1, f)
	if !slices.IsSorted(first) {
		t.Error("not in order")
	}
	for i, at := range first {
		sent := time.Duration(i) * time.Millisecond
		if at < sent+f.Latency || at >= sent+f.Latency+f.Jitter+time.Duration(i)*time.Millisecond {
			t.Errorf("chunk %d arrives %v after it was sent", i, at-sent)
		}
	}
	if second, _ := arrivals(t, 1, f); !slices.Equal(first, second) {
		t.Errorf("arrivals with the same seed differ")
	}
	if second, _ := arrivals(t, 2, f); slices.Equal(first, second) {
		t.Errorf("arrivals with another seed are the same")
	}
}

func TestLateRate(t *testing.T) {
	_, counts := arrivals(t, 1, Faults{Latency: time.Millisecond, LateRate: 0.25})
	if n := counts.Requests.Late; n < 25 || n > 75 { // of 200, by this seed
		t.Errorf("%d of %d chunks are late, want about a quarter", n, counts.Requests.Chunks)
	}
	if _, counts := arrivals(t, 1, Faults{Latency: -1, Jitter: -1}); counts.Requests.Late != 0 {
		t.Errorf("negative durations delay")
	}
}

// Rules change while connections are made, used and closed.
func TestRulesChangeUnderLoad(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		var servers sync.WaitGroup
		servers.Go(func() {
			for {
				c, err := r.listener.Accept()
				if err != nil {
					return
				}
				servers.Go(func() {
					defer c.Close()
					_, _ = io.Copy(c, c) // until the connection ends, however that is
				})
			}
		})
		var clients sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			clients.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					c, err := r.dial()
					if err != nil {
						continue
					}
					_ = c.SetDeadline(time.Now().Add(moment))
					if _, err := fmt.Fprint(c, n); err == nil {
						_, _ = c.Read(make([]byte, 20))
					}
					c.Close()
				}
			})
		}
		for i, rules := range []Rules{
			{Requests: Faults{Latency: time.Millisecond, Reset: 0.5}},
			{Requests: Faults{Stall: true}},
			{Replies: Faults{Stall: true}},
			{Requests: Faults{Lose: 0.5}, Replies: Faults{Lose: 0.5}},
			{Cut: true},
			{HalfOpen: true},
			{},
		} {
			r.Set(rules)
			was := r.Counts()
			r.await(fmt.Sprint("traffic under rules ", i), func(c Counts) bool {
				return c.Connections+c.Refused > was.Connections+was.Refused+20
			})
			r.Reset()
		}
		was := r.Counts().Replies.Bytes
		r.await("replies after all", func(c Counts) bool { return c.Replies.Bytes > was+20 })
		close(stop)
		clients.Wait()
		r.listener.Close()
		r.Close()
		servers.Wait()
		n := r.Counts()
		for what, hit := range map[string]int{
			"late": n.Requests.Late, "resets": n.Requests.Resets, "stalled": n.Requests.Stalled, "stalled replies": n.Replies.Stalled,
			"lost": n.Requests.Lost, "lost replies": n.Replies.Lost, "refused": n.Refused, "half-open": n.HalfOpen, "reset": n.Reset,
		} {
			if hit == 0 {
				t.Errorf("%s: none", what)
			}
		}
	})
}
