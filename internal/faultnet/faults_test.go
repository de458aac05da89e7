package faultnet

import (
	"io"
	"syscall"
	"testing"
	"time"
)

func TestLatencyDelaysBothDirections(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		const there, back = 20 * time.Millisecond, 30 * time.Millisecond
		client, server := r.connect()
		r.Set(Rules{Requests: Faults{Latency: there}, Replies: Faults{Latency: back}})
		start := time.Now()
		client.says("request")
		server.hears("request")
		if d := time.Since(start); d < there {
			t.Errorf("the request took %v, want at least %v", d, there)
		}
		server.says("reply")
		client.hears("reply")
		if d := time.Since(start); d < there+back {
			t.Errorf("request and reply took %v, want at least %v", d, there+back)
		}
		r.expect(Counts{
			Connections: 1,
			Requests:    Traffic{Chunks: 1, Bytes: 7, Late: 1},
			Replies:     Traffic{Chunks: 1, Bytes: 5, Late: 1},
		})
	})
}

func TestLatencyOutlivesTheSender(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		r.Set(Rules{Requests: Faults{Latency: 20 * time.Millisecond}})
		client.says("late")
		client.close()
		server.hears("late")
		server.ends(io.EOF)
	})
}

func TestResetOfARequestComesInItsPlace(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		client.says("first")
		server.hears("first")
		r.Set(Rules{Requests: Faults{Reset: 1}})
		client.says("second")
		server.ends(syscall.ECONNRESET)
		client.ends(syscall.ECONNRESET)
		if _, err := client.Write([]byte("third")); err == nil {
			t.Error("a write after a reset succeeded")
		}
		r.expect(Counts{
			Connections: 1,
			Requests:    Traffic{Chunks: 1, Bytes: 5, Resets: 1},
		})
	})
}

func TestResetOfAReplyComesInItsPlace(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		r.Set(Rules{Replies: Faults{Reset: 1}})
		client.says("request")
		server.hears("request")
		server.says("reply")
		client.ends(syscall.ECONNRESET)
		server.ends(syscall.ECONNRESET)
		if n := r.Counts().Replies; n.Resets != 1 || n.Bytes != 0 {
			t.Errorf("replies %+v, want one reset and no bytes", n)
		}
	})
}

func TestResetEndsWhatThereIs(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		idle, _ := r.connect()
		if n := r.Reset(); n != 2 {
			t.Errorf("%d connections reset, want 2", n)
		}
		client.ends(syscall.ECONNRESET)
		server.ends(syscall.ECONNRESET)
		idle.ends(syscall.ECONNRESET)
		client, server = r.connect()
		client.says("again")
		server.hears("again")
		if n := r.Counts().Reset; n != 2 {
			t.Errorf("%d resets are counted, want 2", n)
		}
	})
}

func TestLostRequest(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		client.says("first")
		server.hears("first")
		r.Set(Rules{Requests: Faults{Lose: 1}})
		client.says("second")
		r.await("a request is lost", func(c Counts) bool { return c.Requests.LostBytes == 6 })
		r.Heal()
		client.says("third") // there is a hole before it
		r.await("the next is lost as well", func(c Counts) bool { return c.Requests.LostBytes == 11 })
		server.says("unasked")
		client.hears("unasked")
		client.hearsNothing()
		client.close() // gives up
		server.ends(io.EOF)

		client, server = r.connect()
		client.says("anew")
		server.hears("anew")
		if n := r.Counts().Requests; n.Lost != 1 {
			t.Errorf("%d connections lost requests, want 1", n.Lost)
		}
	})
}

func TestLostReply(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		r.Set(Rules{Replies: Faults{Lose: 1}})
		client.says("request")
		server.hears("request")
		server.says("reply")
		r.await("a reply is lost", func(c Counts) bool { return c.Replies.LostBytes == 5 })
		r.Heal()
		client.says("more")
		server.hears("more")
		server.close() // the client does not learn of it
		client.hearsNothing()
		client.close()
		r.await("it is closed", func(c Counts) bool { return c.Open == 0 })
		r.expect(Counts{
			Connections: 1,
			Requests:    Traffic{Chunks: 2, Bytes: 11},
			Replies:     Traffic{Lost: 1, LostBytes: 5},
		})
	})
}

func TestStallOfRequestsKeepsThem(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		r.Set(Rules{Requests: Faults{Stall: true}})
		server.says("passes")
		client.hears("passes")
		client.says("held")
		r.await("a chunk is held back", func(c Counts) bool { return c.Requests.Stalled == 1 })
		server.hearsNothing()
		client.close()
		r.await("the end is held back", func(c Counts) bool { return c.Requests.Stalled == 2 })
		server.hearsNothing()
		r.Heal()
		server.hears("held")
		server.ends(io.EOF)
	})
}

func TestStallOfRepliesKeepsThem(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		r.Set(Rules{Replies: Faults{Stall: true}})
		client.says("passes")
		server.hears("passes")
		server.says("held")
		r.await("a chunk is held back", func(c Counts) bool { return c.Replies.Stalled == 1 })
		server.close()
		r.await("the end is held back", func(c Counts) bool { return c.Replies.Stalled == 2 })
		client.hearsNothing()
		r.Heal()
		client.hears("held")
		client.ends(io.EOF)
	})
}

// What is under way already is stopped too.
func TestStallHitsWhatIsUnderWay(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		r.Set(Rules{Requests: Faults{Latency: time.Hour}})
		client.says("a")
		r.await("it is under way", func(c Counts) bool { return c.Requests.Late == 1 })
		r.Set(Rules{Requests: Faults{Stall: true}})
		r.await("it is held back", func(c Counts) bool { return c.Requests.Stalled == 1 })
		r.Set(Rules{Cut: true})
		server.ends(io.EOF)
		if n := r.Counts(); n.Requests.Bytes != 0 || n.Cut != 1 {
			t.Errorf("counts %+v, want nothing delivered, and a cut", n)
		}
	})
}

func TestHalfOpenShowsNothing(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		r.Set(Rules{Replies: Faults{Stall: true}})
		server.says("under way")
		r.await("a reply is under way", func(c Counts) bool { return c.Replies.Stalled == 1 })
		r.Set(Rules{HalfOpen: true})
		client.says("nowhere")
		r.await("both are swallowed", func(c Counts) bool { return c.Requests.LostBytes == 7 && c.Replies.LostBytes == 9 })
		young, _ := r.connect() // by this rule, too
		young.says("x")
		r.await("that of the new one as well", func(c Counts) bool { return c.Requests.LostBytes == 8 })
		r.Heal()

		client.says("nowhere again")
		r.await("it stays half-open", func(c Counts) bool { return c.Requests.LostBytes == 21 })
		client.hearsNothing()
		server.hearsNothing()
		server.close()
		client.hearsNothing()
		client, server = r.connect()
		client.says("new")
		server.hears("new")
		if n := r.Counts(); n.HalfOpen != 2 {
			t.Errorf("%d half-open connections are counted, want 2", n.HalfOpen)
		}
	})
}

// The server does not learn that a client is gone, until the network ends.
func TestHalfOpenServerKeepsItsEnd(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		r.Set(Rules{Requests: Faults{Lose: 1}})
		client.says("lost")
		r.await("it is lost", func(c Counts) bool { return c.Requests.LostBytes == 4 })
		r.Set(Rules{HalfOpen: true})
		client.close()
		server.hearsNothing()
		server.says("to nobody")
		r.await("it is swallowed", func(c Counts) bool { return c.Replies.LostBytes == 9 })
		r.Heal()
		server.hearsNothing()
		r.Close()
		server.ends(io.EOF)
	})
}

func TestCut(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		r.Set(Rules{Cut: true})
		client.ends(io.EOF)
		server.ends(io.EOF)
		if _, err := client.Write([]byte("x")); !r.proxied && !isError(err, syscall.EPIPE) {
			t.Errorf("write: %v, want a broken pipe", err)
		}
		r.refused()
		r.Heal()
		client, server = r.connect() // at the address it had
		client.says("healed")
		server.hears("healed")
		r.expect(Counts{
			Connections: 2, Refused: 1, Cut: 1,
			Requests: Traffic{Chunks: 1, Bytes: 6},
		})
	})
}

func TestAfterSparesTheBeginning(t *testing.T) {
	eachForm(t, func(t *testing.T, r *rig) {
		client, server := r.connect()
		r.Set(Rules{
			After:    func(request []byte) bool { return string(request) == "go" },
			Requests: Faults{Latency: time.Nanosecond},
			Replies:  Faults{Reset: 1},
		})
		client.says("hello")
		server.hears("hello")
		server.says("welcome")
		client.hears("welcome")
		client.says("go")
		server.hears("go")
		client.says("on")
		server.hears("on")
		server.says("gone")
		client.ends(syscall.ECONNRESET)
		r.expect(Counts{
			Connections: 1,
			Requests:    Traffic{Chunks: 3, Bytes: 9, Late: 2},
			Replies:     Traffic{Chunks: 1, Bytes: 7, Resets: 1},
		})
	})
}
