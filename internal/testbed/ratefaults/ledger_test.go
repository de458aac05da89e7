package ratefaults

import (
	"encoding/json"
	"os"
	"sync"
	"time"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/ratelimit"
)

// entry are decisions on calls of one unit that began in the same millisecond, and ended so.
type entry struct {
	Limit    string
	Source   ratelimit.Source
	Allowed  bool
	From, To int64 // the first begin and the last end, in µs since 1970
	Calls    int64
}

// book is where the callers of a process note what was decided.
type book struct {
	mu      sync.Mutex
	entries map[entry]*entry // by their milliseconds, without calls
	engine  int64            // decisions by it
}

func (b *book) note(limit string, d *ratelimit.Decision, from, to time.Time) {
	e := entry{limit, d.Source, d.Allowed, from.UnixMilli(), to.UnixMilli(), 0}
	b.mu.Lock()
	defer b.mu.Unlock()
	if d.Source == ratelimit.FromEngine {
		b.engine++
	}
	have := b.entries[e]
	if have == nil {
		have = &entry{limit, d.Source, d.Allowed, from.UnixMicro(), to.UnixMicro(), 0}
		b.entries[e] = have
	}
	have.From, have.To = min(have.From, from.UnixMicro()), max(have.To, to.UnixMicro())
	have.Calls++
}

// asked returns how many decisions the engine has made.
func (b *book) asked() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.engine
}

// write writes all to a file.
func (b *book) write(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var l ledger
	for _, e := range b.entries {
		l = append(l, *e)
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o600)
}

// ledger is what was noted, in any order.
type ledger []entry

func readLedger(name string) (l ledger, err error) {
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	return l, err
}

// where returns the entries for which keep is true.
func (l ledger) where(keep func(e *entry) bool) (part ledger) {
	for i := range l {
		if keep(&l[i]) {
			part = append(part, l[i])
		}
	}
	return part
}

// of returns what was decided on the key of a limit.
func (l ledger) of(limit string) ledger {
	return l.where(func(e *entry) bool { return e.Limit == limit })
}

// counted returns what was let through because the engine had counted it.
func (l ledger) counted() ledger {
	return l.where(func(e *entry) bool { return e.Allowed && e.Source != ratelimit.FromFallback })
}

// fallback returns what was decided because the engine did not answer.
func (l ledger) fallback() ledger {
	return l.where(func(e *entry) bool { return e.Source == ratelimit.FromFallback })
}

// engine returns what the engine has decided.
func (l ledger) engine() ledger {
	return l.where(func(e *entry) bool { return e.Source == ratelimit.FromEngine })
}

// until returns what was over at an instant.
func (l ledger) until(at time.Time) ledger {
	return l.where(func(e *entry) bool { return e.To <= at.UnixMicro() })
}

// since returns what began at an instant or later.
func (l ledger) since(at time.Time) ledger {
	return l.where(func(e *entry) bool { return e.From >= at.UnixMicro() })
}

// first returns when the first call began.
func (l ledger) first() time.Time {
	var least int64
	for i := range l {
		if least == 0 || l[i].From < least {
			least = l[i].From
		}
	}
	return time.UnixMicro(least)
}

// calls returns how many there were.
func (l ledger) calls() (n int64) {
	for i := range l {
		n += l[i].Calls
	}
	return n
}

// longest returns how long a call took at most.
func (l ledger) longest() (most time.Duration) {
	for i := range l {
		most = max(most, time.Duration(l[i].To-l[i].From)*time.Microsecond)
	}
	return most
}

// passed returns the calls as units that were let through.
func (l ledger) passed() *backendtest.Passed {
	p := &backendtest.Passed{}
	for i := range l {
		p.Add(time.UnixMicro(l[i].From), time.UnixMicro(l[i].To), l[i].Calls)
	}
	return p
}
