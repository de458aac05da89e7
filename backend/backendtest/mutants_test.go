package backendtest_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

// mutants are broken backends, each with a case that must notice.
var mutants = map[string]struct {
	noticed string
	make    func(lease.Backend) lease.Backend
}{
	"a duplicate acquire makes a new token": {"grant/a second acquire is the same grant", func(be lease.Backend) lease.Backend {
		var sent memory
		return &broken{Backend: be, acquire: func(ctx context.Context, c lease.Claim) (lease.Answer, error) {
			if sent.keep(c) {
				_, _ = be.Release(ctx, lease.Release{Key: c.Key, Attempt: c.Attempt})
			}
			return be.Acquire(ctx, c)
		}}
	}},
	"a duplicate acquire renews": {"grant/a second acquire is the same grant", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, acquire: func(ctx context.Context, c lease.Claim) (lease.Answer, error) {
			be.Renew(ctx, []lease.Renewal{{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL}})
			return be.Acquire(ctx, c)
		}}
	}},
	"a release is lost": {"release/says what it found", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, release: func(context.Context, lease.Release) (lease.Released, error) { return lease.WasHeld, nil }}
	}},
	"a release ends whoever holds": {"release/a second one hurts nobody", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, release: func(ctx context.Context, r lease.Release) (lease.Released, error) {
			was, err := be.Release(ctx, r)
			if s, _ := be.Inspect(ctx, r.Key); was == lease.WasNothing && len(s.Holders) > 0 {
				_, _ = be.Release(ctx, lease.Release{Key: r.Key, Attempt: s.Holders[0].Attempt})
			}
			return was, err
		}}
	}},
	"the queue is a stack": {"queue/three waiters are served in order", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, release: func(ctx context.Context, r lease.Release) (lease.Released, error) {
			if s, _ := be.Inspect(ctx, r.Key); len(s.Waiters) > 0 && r.To == "" {
				r.To = s.Waiters[len(s.Waiters)-1].Attempt
			}
			return be.Release(ctx, r)
		}}
	}},
	"now and then the queue is a stack": {"random/agrees with the model", func(be lease.Backend) lease.Backend {
		n := 0
		return &broken{Backend: be, release: func(ctx context.Context, r lease.Release) (lease.Released, error) {
			if s, _ := be.Inspect(ctx, r.Key); len(s.Waiters) > 1 && r.To == "" {
				if n++; n%10 == 0 {
					r.To = s.Waiters[1].Attempt
				}
			}
			return be.Release(ctx, r)
		}}
	}},
	"a renewal recreates": {"renew/a lapse is for ever", func(be lease.Backend) lease.Backend {
		var sent memory
		return &broken{Backend: be,
			acquire: func(ctx context.Context, c lease.Claim) (lease.Answer, error) {
				sent.keep(c)
				return be.Acquire(ctx, c)
			},
			renew: each(be, func(it lease.Renewal, a lease.Answer) lease.Answer {
				if c, ok := sent.claim(it.Attempt); ok && a.Status == lease.Unknown && a.Err == nil {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					a, _ = be.Acquire(ctx, c)
				}
				return a
			}),
		}
	}},
	"a renewal shortens": {"renew/never shortens a life", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, renew: each(be, func(it lease.Renewal, a lease.Answer) lease.Answer {
			if a.Status == lease.Granted {
				a.Left = min(a.Left, it.TTL)
			}
			return a
		})}
	}},
	"a renewal is ignored": {"renew/gives a new life", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, renew: func(ctx context.Context, items []lease.Renewal) []lease.Answer {
			items = slices.Clone(items)
			for i := range items {
				items[i].TTL = lease.MinTTL
			}
			return be.Renew(ctx, items)
		}}
	}},
	"a batch is answered backwards": {"renew/answers in order", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, renew: func(ctx context.Context, items []lease.Renewal) []lease.Answer {
			answers := be.Renew(ctx, items)
			slices.Reverse(answers)
			return answers
		}}
	}},
	"a batch is renewed item by item": {"renew/a batch refreshes all before it grants", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, renew: func(ctx context.Context, items []lease.Renewal) []lease.Answer {
			var answers []lease.Answer
			for _, it := range items {
				answers = append(answers, be.Renew(ctx, []lease.Renewal{it})...)
			}
			return answers
		}}
	}},
	"a batch has at most 100 items": {"renew/a batch of any size", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, renew: func(ctx context.Context, items []lease.Renewal) []lease.Answer {
			return append(be.Renew(ctx, items[:min(100, len(items))]), make([]lease.Answer, max(0, len(items)-100))...)
		}}
	}},
	"the last metadata wins": {"renew/old metadata is ignored", func(be lease.Backend) lease.Backend {
		seq := uint64(100)
		return &broken{Backend: be, renew: func(ctx context.Context, items []lease.Renewal) []lease.Answer {
			items = slices.Clone(items)
			for i := range items {
				if items[i].MetaSeq > 0 {
					seq++
					items[i].MetaSeq = seq
				}
			}
			return be.Renew(ctx, items)
		}}
	}},
	"no tombstones": {"release/a late acquire is gone", func(be lease.Backend) lease.Backend {
		return releasing(be, func(r *lease.Release) { r.Uncertain = false })
	}},
	"a transfer is an ordinary release": {"release/to a chosen waiter", func(be lease.Backend) lease.Backend {
		return releasing(be, func(r *lease.Release) { r.To = "" })
	}},
	"every release is clean": {"delay/an unclean release blocks", func(be lease.Backend) lease.Backend {
		return releasing(be, func(r *lease.Release) { r.Unclean = false })
	}},
	"every release is unclean": {"delay/a clean release frees at once", func(be lease.Backend) lease.Backend {
		return releasing(be, func(r *lease.Release) { r.Unclean = true })
	}},
	"no lock-delay": {"delay/a lapse blocks", func(be lease.Backend) lease.Backend {
		return asking(be, func(c *lease.Claim) { c.Delay = 0 })
	}},
	"half a lock-delay": {"delay/ends and not earlier", func(be lease.Backend) lease.Backend {
		return asking(be, func(c *lease.Claim) { c.Delay /= 2 })
	}},
	"no window": {"queue/a pushed grant lives for the window", func(be lease.Backend) lease.Backend {
		return asking(be, func(c *lease.Claim) { c.Window = 0 })
	}},
	"lives are too long": {"grant/an empty key is granted", func(be lease.Backend) lease.Backend {
		return asking(be, func(c *lease.Claim) { c.TTL *= 2 })
	}},
	"answers promise more than there is": {"grant/an expired seat is free and not earlier", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, acquire: func(ctx context.Context, c lease.Claim) (lease.Answer, error) {
			wish := c
			wish.TTL = max(lease.MinTTL, c.TTL*9/10)
			wish.Window = min(wish.Window, wish.TTL)
			if c.TTL < 2*lease.MinTTL { // too short to cut: hold it for someone else too
				return lease.Answer{Status: lease.Granted, Token: uint64(time.Now().UnixMicro()), Left: c.TTL}, nil
			}
			return be.Acquire(ctx, wish)
		}}
	}},
	"everybody waits": {"grant/held names the holder", func(be lease.Backend) lease.Backend {
		return asking(be, func(c *lease.Claim) { c.Queue = true })
	}},
	"nobody waits": {"queue/ranks count from zero and stay", func(be lease.Backend) lease.Backend {
		return asking(be, func(c *lease.Claim) { c.Queue = false })
	}},
	"weight is one": {"limits/weights add up", func(be lease.Backend) lease.Backend {
		return asking(be, func(c *lease.Claim) { c.Weight = min(c.Weight, 1) })
	}},
	"light claims overtake": {"limits/nobody overtakes a heavy head", func(be lease.Backend) lease.Backend {
		return asking(be, func(c *lease.Claim) {
			if c.Limit > 1 && c.Weight == 1 {
				c.Priority = 1
			}
		})
	}},
	"limits never change": {"limits/resize by epoch", func(be lease.Backend) lease.Backend {
		return asking(be, func(c *lease.Claim) { c.LimitEpoch = min(c.LimitEpoch, 1) })
	}},
	"all priorities are equal": {"priority/the highest goes first", func(be lease.Backend) lease.Backend {
		return asking(be, func(c *lease.Claim) { c.Priority = max(min(c.Priority, 0), -1) })
	}},
	"a and a/b are one key": {"keys/any bytes", func(be lease.Backend) lease.Backend {
		return renaming(be, func(key string) string {
			if before, _, ok := strings.Cut(key, "/"); ok && before != "" {
				return before
			}
			return key
		})
	}},
	"the tag is the key": {"keys/any bytes", func(be lease.Backend) lease.Backend {
		return renaming(be, func(key string) string {
			if _, rest, ok := strings.Cut(key, "{"); ok {
				if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
					return "{" + tag + "}"
				}
			}
			return key
		})
	}},
	"long keys are cut": {"bounds/a bad claim is refused", func(be lease.Backend) lease.Backend {
		return renaming(be, func(key string) string { return key[:min(len(key), 512)] })
	}},
	"now and then the lock has a second holder": {"concurrent/one holder at a time", func(be lease.Backend) lease.Backend {
		var mu sync.Mutex
		n := 0
		return &broken{Backend: be, acquire: func(ctx context.Context, c lease.Claim) (lease.Answer, error) {
			a, err := be.Acquire(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			if n++; err == nil && a.Status == lease.Queued && n%50 == 0 {
				return lease.Answer{Status: lease.Granted, Token: uint64(time.Now().UnixMicro()), Left: c.TTL}, nil
			}
			return a, err
		}}
	}},
	"a push counts its life from its arrival": {"concurrent/one holder at a time", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, watch: func(key string, a lease.Attempt, notify func(lease.Event)) func() {
			return be.Watch(key, a, func(e lease.Event) {
				e.Until = time.Now().Add(5 * lease.MinTTL)
				notify(e)
			})
		}}
	}},
	"tokens fall": {"grant/tokens increase over releases", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, acquire: func(ctx context.Context, c lease.Claim) (lease.Answer, error) {
			a, err := be.Acquire(ctx, c)
			if a.Token != 0 {
				a.Token = fence.MaxSequence - a.Token
			}
			return a, err
		}}
	}},
	"a forced end asks only": {"revoke/force ends the seat", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, revoke: func(ctx context.Context, v lease.Revocation) (bool, error) {
			v.Force = false
			return be.Revoke(ctx, v)
		}}
	}},
	"an ask ends the seat": {"revoke/ask leaves it valid", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, revoke: func(ctx context.Context, v lease.Revocation) (bool, error) {
			v.Force = true
			return be.Revoke(ctx, v)
		}}
	}},
	"a revocation needs no token": {"revoke/finds only a current token", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, revoke: func(ctx context.Context, v lease.Revocation) (bool, error) {
			if s, _ := be.Inspect(ctx, v.Key); len(s.Holders) > 0 {
				v.Token = s.Holders[0].Token
			}
			return be.Revoke(ctx, v)
		}}
	}},
	"no events": {"queue/a release pushes the grant", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, watch: func(string, lease.Attempt, func(lease.Event)) func() { return func() {} }}
	}},
	"events after stop": {"watch/nothing after stop", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, watch: func(key string, a lease.Attempt, notify func(lease.Event)) func() {
			be.Watch(key, a, func(e lease.Event) {
				time.Sleep(time.Millisecond)
				notify(e)
			})
			return func() {}
		}}
	}},
	"looking renews": {"inspect/changes nothing", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, inspect: func(ctx context.Context, key string) (lease.State, error) {
			s, err := be.Inspect(ctx, key)
			for _, p := range s.Holders {
				be.Renew(ctx, []lease.Renewal{{Key: key, Attempt: p.Attempt, TTL: 30 * time.Second}})
			}
			return s, err
		}}
	}},
	"ctx is ignored": {"grant/no effect past the deadline", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, acquire: func(ctx context.Context, c lease.Claim) (lease.Answer, error) {
			_, _ = be.Acquire(context.WithoutCancel(ctx), c)
			return lease.Answer{}, ctx.Err()
		}}
	}},
	"some of the keys": {"multikey/all or none without a queue", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, acquireAll: func(ctx context.Context, claims []lease.Claim) ([]lease.Answer, error) {
			answers := make([]lease.Answer, len(claims))
			for i, c := range claims {
				answers[i], _ = be.Acquire(ctx, c)
			}
			return answers, nil
		}}
	}},
	"keys in the order of the slice": {"multikey/one global order", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, acquireAll: func(ctx context.Context, claims []lease.Claim) ([]lease.Answer, error) {
			answers := make([]lease.Answer, len(claims))
			for i, c := range claims {
				var err error
				if answers[i], err = be.Acquire(ctx, c); err != nil || answers[i].Status != lease.Granted {
					return answers, err
				}
			}
			return answers, nil
		}}
	}},
	"metadata changes in silence": {"announce/every change in order", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, observe: func(ctx context.Context, key string, notify func(lease.Change)) error {
			return be.Observe(ctx, key, func(c lease.Change) {
				if c.Kind != lease.ChangeMeta {
					notify(c)
				}
			})
		}}
	}},
	"changes tell nothing of the claim": {"announce/every change in order", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, observe: func(ctx context.Context, key string, notify func(lease.Change)) error {
			return be.Observe(ctx, key, func(c lease.Change) {
				notify(lease.Change{Kind: c.Kind, Party: lease.Party{Token: c.Party.Token}})
			})
		}}
	}},
	"only the first part of the seats": {"seats/lists all of many", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, seats: func(ctx context.Context, key, cursor string) ([]lease.Party, string, error) {
			part, _, err := be.Seats(ctx, key, cursor)
			return part, "", err
		}}
	}},
	"waiters count as seated": {"seats/lists the holders", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, seats: func(ctx context.Context, key, cursor string) ([]lease.Party, string, error) {
			part, next, err := be.Seats(ctx, key, cursor)
			s, _ := be.Inspect(ctx, key)
			return append(part, s.Waiters...), next, err
		}}
	}},
	"a missing part is passed over": {"bounds/a missing part is refused", func(be lease.Backend) lease.Backend {
		return &broken{Backend: be, caps: func() lease.Capabilities {
			caps := be.Capabilities()
			caps.Priority = false
			return caps
		}}
	}},
}
