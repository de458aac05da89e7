package election_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/election"
)

// diary is a Hooks that writes down what it is told.
type diary struct {
	mu     sync.Mutex
	events []string
}

func (r *diary) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

func (r *diary) hooks() *election.Hooks {
	return &election.Hooks{
		Elected: func(i election.Info) { r.add("elected term=%v wait=%v", i.Term != 0, i.Wait) },
		Ended:   func(i election.Info) { r.add("ended term=%v held=%v %v", i.Term != 0, i.Held, cause(i.Err)) },
		Drained: func(i election.Info) { r.add("drained term=%v wait=%v err=%v", i.Term != 0, i.Wait, i.Err != nil) },
		Renewed: func(i election.Info) { r.add("renewed term=%v left=%v err=%v", i.Term != 0, i.Left, i.Err != nil) },
		Health:  func(i election.Info) { r.add("health %v", i.Err) },
		Failed:  func(i election.Info) { r.add("failed unavailable=%v", errors.Is(i.Err, election.ErrUnavailable)) },
	}
}

func TestHooksTellTheStory(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		r, elected := &diary{}, make(chan struct{}, 2)
		start := time.Now()
		a := join(id("a"), &election.Options{
			Healthy: func(context.Context) error {
				time.Sleep(time.Millisecond) // it looks at something
				if time.Since(start) < time.Second {
					return errors.New("no disk")
				}
				return nil
			},
			Hooks: election.JoinHooks(r.hooks(), nil, &election.Hooks{
				Elected: func(election.Info) { elected <- struct{}{} },
				Failed:  func(election.Info) { be.Control().FailNext(0, nil) },
			}, r.hooks()),
		})
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = a.Run(ctx, func(ctx context.Context, _ election.Term) error {
				<-ctx.Done()
				time.Sleep(time.Second)
				return nil
			})
		})
		<-elected
		time.Sleep(4 * time.Second)
		be.Control().Lose("election/billing")
		time.Sleep(2500 * time.Millisecond) // the next renewal has noticed it, and the work is not over
		be.Control().FailNext(1<<20, nil)
		<-elected
		time.Sleep(time.Second)
		stop()
		wg.Wait()
		var want []string
		for _, e := range []string{
			"health no disk", "health <nil>",
			"elected term=true wait=0s",
			"renewed term=true left=5.811s err=false",
			"ended term=true held=6s backend lost",
			"drained term=true wait=1s err=false",
			"failed unavailable=true",
			"elected term=true wait=0s",
			"ended term=true held=1s resigned",
			"drained term=true wait=1s err=false",
		} {
			want = append(want, e, e) // joined twice
		}
		if !slices.Equal(r.events, want) {
			t.Errorf("events:\n%s\nwant:\n%s", strings.Join(r.events, "\n"), strings.Join(want, "\n"))
		}
	})
}

// What goes well is logged as information, what goes wrong as a warning.
func TestLogHooks(t *testing.T) {
	bubble(t, func(t *testing.T, be *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		var out bytes.Buffer
		a := join(id("a"), &election.Options{Hooks: election.LogHooks(slog.New(slog.NewTextHandler(&out, nil)))})
		logged := func(level, msg, more string) {
			t.Helper()
			synctest.Wait()
			if s := out.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "level="+level) || !strings.Contains(s, msg) || !strings.Contains(s, more) {
				t.Errorf("want one line %s, %q, %q:\n%s", level, msg, more, s)
			}
			out.Reset()
		}
		l := campaign(t, a)
		logged("INFO", "this candidate leads", "term="+l.Term().String())
		be.Control().FailNext(1, nil)
		time.Sleep(ttl/3 + time.Millisecond)
		logged("WARN", "renewal failed", "unavailable")
		time.Sleep(time.Minute)
		_ = l.Resign(t.Context())
		logged("INFO", "the term has ended", "cause=resigned")
		campaign(t, a)
		logged("INFO", "this candidate leads", "")
		be.Control().Revoke("election/billing", "maintenance")
		logged("WARN", "the term was lost", "maintenance")
	})
}
