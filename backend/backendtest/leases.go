package backendtest

import (
	"testing"

	"github.com/concord-go/concord/lease"
)

// Leases checks the promises of [lease.Backend]. newBackend returns a backend on a fresh and
// empty namespace and registers its own clean-up with t; it is called once for each case, by
// several of them at the same time.
func Leases(t *testing.T, newBackend func(t *testing.T) lease.Backend) {
	for _, c := range leaseCases {
		t.Run(c.name, func(t *testing.T) {
			if c.waits {
				t.Parallel()
			}
			be := newBackend(t)
			r := &rig{T: t, be: be, caps: be.Capabilities()}
			if c.needs != "" && !has(r.caps, c.needs) {
				t.Skipf("the engine has no Capabilities.%s", c.needs)
			}
			c.run(r)
		})
	}
}

// leaseCase is one promise.
type leaseCase struct {
	name  string
	needs string // the capability it is about
	waits bool   // lets real time pass
	run   func(*rig)
}

// has looks up a capability by its name.
func has(caps lease.Capabilities, name string) bool {
	return map[string]bool{
		"Limits": caps.Limits, "Priority": caps.Priority, "Delay": caps.Delay,
		"MultiKey": caps.MultiKey, "Announce": caps.Announce, "Transfer": caps.Transfer, "Window": caps.Window,
	}[name]
}

var leaseCases = []leaseCase{
	{name: "grant/an empty key is granted", run: grantEmpty},
	{name: "grant/a second acquire is the same grant", run: grantAgain},
	{name: "grant/copies sent at once are one grant", run: grantCopies},
	{name: "grant/held names the holder", run: grantHeld},
	{name: "grant/tokens increase over releases", run: grantTokens},
	{name: "grant/a lapsed attempt gets a larger token", waits: true, run: grantLapsed},
	{name: "grant/an expired seat is free and not earlier", waits: true, run: grantExpiry},
	{name: "grant/no effect past the deadline", run: grantLate},

	{name: "queue/ranks count from zero and stay", run: queueRanks},
	{name: "queue/three waiters are served in order", run: queueOrder},
	{name: "queue/a release pushes the grant", run: queuePush},
	{name: "queue/a pushed grant lives for the window", needs: "Window", run: queueWindow},
	{name: "queue/a waiter takes over from an expired holder", waits: true, run: queueTakeover},
	{name: "queue/a dead waiter is skipped", waits: true, run: queueDead},
	{name: "queue/the last live waiter is enough", waits: true, run: queueLast},
	{name: "queue/a waiter that gave up loses its place", run: queueGaveUp},
	{name: "queue/a renewal keeps a waiter alive", run: queueAlive},
	{name: "queue/a full queue refuses", waits: true, run: queueFull},

	{name: "renew/gives a new life", run: renewLife},
	{name: "renew/never shortens a life", run: renewShorter},
	{name: "renew/creates nothing", run: renewNothing},
	{name: "renew/creates nothing after a release", run: renewReleased},
	{name: "renew/a lapse is for ever", waits: true, run: renewLapsed},
	{name: "renew/answers in order", run: renewOrder},
	{name: "renew/a batch of any size", run: renewLarge},
	{name: "renew/a batch refreshes all before it grants", waits: true, run: renewBatch},
	{name: "renew/old metadata is ignored", run: renewMeta},
	{name: "renew/a bad item does not spoil the others", run: renewBad},

	{name: "release/says what it found", waits: true, run: releaseFound},
	{name: "release/a second one hurts nobody", run: releaseTwice},
	{name: "release/a late acquire is gone", run: releaseGone},
	{name: "release/to a chosen waiter", needs: "Transfer", run: releaseTo},
	{name: "release/to a stranger falls back", needs: "Transfer", run: releaseToStranger},
	{name: "release/to a dead waiter falls back", needs: "Transfer", waits: true, run: releaseToDead},

	{name: "revoke/force ends the seat", run: revokeForce},
	{name: "revoke/ask leaves it valid", run: revokeAsk},
	{name: "revoke/finds only a current token", run: revokeOld},

	{name: "inspect/lists holders and waiters", run: inspectLists},
	{name: "inspect/changes nothing", run: inspectChanges},
	{name: "seats/lists the holders", run: seatsLists},
	{name: "seats/lists all of many", needs: "Limits", run: seatsMany},
	{name: "seats/leaves out what has ended", waits: true, run: seatsEnded},

	{name: "watch/nothing after stop", waits: true, run: watchStop},

	{name: "keys/any bytes", run: keysAnyBytes},
	{name: "bounds/a bad claim is refused", run: badClaims},
	{name: "bounds/a bad call is refused", run: badCalls},
	{name: "bounds/an ended ctx ends the call", run: endedContext},
	{name: "bounds/a missing part is refused", run: missing},

	{name: "limits/another limit conflicts", needs: "Limits", run: limitsConflict},
	{name: "limits/weights add up", needs: "Limits", run: limitsSum},
	{name: "limits/nobody overtakes a heavy head", needs: "Limits", run: limitsHead},
	{name: "limits/a release grants to all who fit", needs: "Limits", run: limitsMany},
	{name: "limits/readers and writers", needs: "Limits", run: limitsReadWrite},
	{name: "limits/resize by epoch", needs: "Limits", run: limitsResize},
	{name: "limits/a shrink below a waiter", needs: "Limits", run: limitsShrink},
	{name: "limits/no limit seats everybody", needs: "Limits", run: limitsNone},
	{name: "limits/an expired share is free", needs: "Limits", waits: true, run: limitsLapse},

	{name: "priority/the highest goes first", needs: "Priority", run: priorityOrder},

	{name: "delay/a clean release frees at once", needs: "Delay", run: delayClean},
	{name: "delay/an unclean release blocks", needs: "Delay", run: delayUnclean},
	{name: "delay/a lapse blocks", needs: "Delay", waits: true, run: delayLapse},
	{name: "delay/a forced end blocks", needs: "Delay", run: delayRevoked},
	{name: "delay/ends and not earlier", needs: "Delay", waits: true, run: delayEnds},

	{name: "multikey/all are seated", needs: "MultiKey", run: multiAll},
	{name: "multikey/all or none without a queue", needs: "MultiKey", run: multiNone},
	{name: "multikey/one global order", needs: "MultiKey", run: multiOrder},
	{name: "multikey/opposite orders do not deadlock", needs: "MultiKey", waits: true, run: multiOpposite},
	{name: "multikey/giving up leaves nothing", needs: "MultiKey", run: multiGiveUp},
	{name: "multikey/a bad claim spoils the call", needs: "MultiKey", run: multiBad},

	{name: "announce/every change in order", needs: "Announce", waits: true, run: announceChanges},
	{name: "announce/only its own key", needs: "Announce", waits: true, run: announceOthers},
	{name: "announce/a lapse that nobody else sees", needs: "Announce", waits: true, run: announceLapse},
	{name: "announce/members come and go", needs: "Announce", waits: true, run: announceMembers},

	{name: "random/agrees with the model", waits: true, run: randomAgreement},
	{name: "concurrent/one holder at a time", waits: true, run: concurrentSafety},
}
