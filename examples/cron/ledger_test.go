package main

import (
	"errors"
	"testing"
	"time"

	"github.com/concord-go/concord/fence"
)

// book is a ledger with the given jobs, which start at 0.
func book(t *testing.T, jobs ...*job) *ledger {
	t.Helper()
	l, err := openLedger(t.Context(), "sqlite://"+t.TempDir()+"/cron.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	if err := l.begin(t.Context(), jobs, at(0)); err != nil {
		t.Fatal(err)
	}
	return l
}

// A later term that has only read keeps an earlier one from recording, and nothing of that is left.
func TestLateRecord(t *testing.T) {
	j, other := mustParse(t, "j catchup:9 * * * * * *"), mustParse(t, "other skip * * * * * *")
	l := book(t, j, other)
	if err := l.record(t.Context(), j, 7, entry{last: at(0), tick: at(1), replica: 1}); err != nil {
		t.Fatal(err)
	}
	if last, err := l.last(t.Context(), other, 8); err != nil || !last.Equal(at(0)) {
		t.Errorf("last %v, %v", last, err)
	}
	err := l.record(t.Context(), j, 7, entry{last: at(1), tick: at(3), left: 1, replica: 1})
	if !errors.Is(err, fence.ErrFenced) {
		t.Errorf("record under an earlier term: %v", err)
	}
	if last, err := l.last(t.Context(), j, 8); err != nil || !last.Equal(at(1)) {
		t.Errorf("last %v, %v", last, err)
	}
	want := account{due: 3, once: 1, lost: 2}
	if a, err := l.account(t.Context(), j, at(0), at(3), false); err != nil || a != want {
		t.Errorf("account %+v, %v, want %+v", a, err, want)
	}
}

// The account finds what is wrong.
func TestAccount(t *testing.T) {
	for _, policy := range []string{"skip", "catchup:2"} {
		j := mustParse(t, "j "+policy+" * * * * * *")
		l := book(t, j)
		last := time.Duration(0)
		record := func(tick time.Duration, left int) {
			t.Helper()
			if err := l.record(t.Context(), j, 7, entry{last: at(last.Seconds()), tick: at(tick.Seconds()), left: left, replica: 1}); err != nil {
				t.Fatal(err)
			}
			last = tick
		}
		for range 2 {
			if err := l.note(t.Context(), j, at(1), 1); err != nil {
				t.Fatal(err)
			}
		}
		record(1*time.Second, 0)
		record(4*time.Second, 2) // 2 and 3
		record(5*time.Second, 0)
		record(5*time.Second, 0) // twice
		record(7*time.Second, 0) // 6 is lost
		want := account{due: 9, once: 3, twice: 1, lost: 3, again: 1}
		if j.skip {
			want.skipped = 2
		} else {
			want.dropped = 2
		}
		if a, err := l.account(t.Context(), j, at(0), at(9.5), false); err != nil || a != want {
			t.Errorf("%s: account %+v, %v, want %+v", policy, a, err, want)
		}
		want.due, want.lost = 7, 1
		if a, err := l.account(t.Context(), j, at(0), at(9.5), true); err != nil || a != want {
			t.Errorf("%s, broken off: account %+v, %v, want %+v", policy, a, err, want)
		}
	}
}
