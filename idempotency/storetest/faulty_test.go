package storetest_test

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/idempotency/storetest"
)

// faults are stores that are known to be bad, and the test that must find each.
var faults = map[string]struct {
	fault fault
	by    string
}{
	"get then put": {
		fault{readFirst: func(*idempotency.Record, time.Duration) bool { return true }},
		"of several claims one is granted",
	},
	"orphan taken without re-reading": {
		fault{readFirst: func(r *idempotency.Record, now time.Duration) bool { return r.Attempt > 0 && now >= r.LeaseUntil }},
		"of several claims of an orphan one is granted",
	},
	"unfenced finish":  {fault{noToken: "Finish"}, "a stale owner is refused"},
	"unfenced extend":  {fault{noToken: "Extend"}, "a stale owner is refused"},
	"unfenced release": {fault{noToken: "Release"}, "a stale owner is refused"},
	"lease used as retention": {
		fault{begun: func(r *idempotency.Record) { r.KeepUntil = r.LeaseUntil }},
		"another fingerprint is a mismatch",
	},
	"fingerprint dropped on finish": {
		fault{finished: func(r *idempotency.Record) { r.Fingerprint = "" }},
		"another fingerprint is a mismatch",
	},
	"missing lease read as free": {
		fault{before: func(r *idempotency.Record, now time.Duration) {
			if r.State == idempotency.Claimed && now >= r.LeaseUntil {
				r.State = idempotency.Released
			}
		}},
		"a lease that has lapsed may be taken over",
	},
	"recovery forgotten by a release": {
		fault{released: func(r *idempotency.Record) { r.State = idempotency.Released }},
		"a recovery outlasts a release",
	},
	"token cut off":                 {fault{begun: func(r *idempotency.Record) { r.Token = r.Token[:32] }}, "the first finish wins"},
	"retention cut by an extension": {fault{extended: func(r *idempotency.Record) { r.KeepUntil = r.LeaseUntil + time.Second/2 }}, "what prolongs retention, and what does not"},
	"mark first": {
		fault{begun: func(r *idempotency.Record) { r.State = idempotency.Finished }},
		"a key that is claimed is busy",
	},
	"client clock with a minute of skew": {fault{skew: time.Minute}, "clients agree"},
	"dead owner forgotten": {
		fault{before: func(r *idempotency.Record, now time.Duration) {
			if r.State == idempotency.Claimed && now >= r.LeaseUntil {
				*r = idempotency.Record{Fence: r.Fence}
			}
		}},
		"a lease that has lapsed may be taken over",
	},
	"fence that starts anew": {
		fault{begun: func(r *idempotency.Record) { r.Fence = uint64(r.Attempt) }},
		"retention ends",
	},
	"outcome as text": {
		fault{finished: func(r *idempotency.Record) {
			r.Outcome = idempotency.Outcome(strings.ToValidUTF8(string(r.Outcome), "?"))
		}},
		"an outcome comes back to the byte",
	},
	"outcome that is not kept": {
		fault{finished: func(r *idempotency.Record) { r.KeepUntil = r.LeaseUntil }},
		"the first finish wins",
	},
}

// A fault is what is wrong with a store.
type fault struct {
	readFirst func(*idempotency.Record, time.Duration) bool // Begin decides by what it read earlier
	noToken   string                                        // that method takes any token for the owner's
	before    func(*idempotency.Record, time.Duration)      // what a record is taken for
	begun     func(*idempotency.Record)
	finished  func(*idempotency.Record)
	released  func(*idempotency.Record)
	extended  func(*idempotency.Record)
	skew      time.Duration // of the clock of each further client
}

type shared struct {
	mu      sync.Mutex
	records map[string]idempotency.Record
	began   time.Time
}

// A client of a faulty store.
type client struct {
	fault
	*shared
	ahead time.Duration
}

func (c client) now() time.Duration { return time.Since(c.began) + c.ahead }

func (c client) Begin(ctx context.Context, claim idempotency.Claim) (idempotency.Grant, error) {
	if err := ctx.Err(); err != nil {
		return idempotency.Grant{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now, r := c.now(), c.records[claim.Key]
	if c.before != nil {
		c.before(&r, now)
	}
	if c.readFirst != nil && c.readFirst(&r, now) {
		c.mu.Unlock()
		for range 100 {
			runtime.Gosched()
		}
		c.mu.Lock()
	}
	g := r.Begin(now, claim)
	if g.Status != idempotency.Acquired {
		return g, nil
	}
	if c.begun != nil {
		c.begun(&r)
		g.Fence = r.Fence
	}
	c.records[claim.Key] = r
	return g, nil
}

func (c client) change(ctx context.Context, method, key, token string, change func(r *idempotency.Record, now time.Duration, token string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.records[key]
	if c.noToken == method {
		token = r.Token
	}
	err := change(&r, c.now(), token)
	c.records[key] = r
	return err
}

func (c client) Extend(ctx context.Context, key, token string, lease time.Duration) error {
	return c.change(ctx, "Extend", key, token, func(r *idempotency.Record, now time.Duration, token string) error {
		err := r.Extend(now, token, lease)
		if err == nil && c.extended != nil {
			c.extended(r)
		}
		return err
	})
}

func (c client) Finish(ctx context.Context, key, token string, o idempotency.Outcome, keep time.Duration) error {
	return c.change(ctx, "Finish", key, token, func(r *idempotency.Record, now time.Duration, token string) error {
		err := r.Finish(now, token, o, keep)
		if err == nil && c.finished != nil {
			c.finished(r)
		}
		return err
	})
}

func (c client) Release(ctx context.Context, key, token string) error {
	return c.change(ctx, "Release", key, token, func(r *idempotency.Record, now time.Duration, token string) error {
		err := r.Release(now, token)
		if err == nil && c.released != nil {
			c.released(r)
		}
		return err
	})
}

func open(f fault) func(*testing.T) func() idempotency.Store {
	return func(*testing.T) func() idempotency.Store {
		s := &shared{records: map[string]idempotency.Record{}, began: time.Now()}
		var ahead time.Duration
		return func() idempotency.Store {
			c := client{fault: f, shared: s, ahead: ahead}
			ahead += f.skew
			return c
		}
	}
}

// faultVariable names the fault that a process of this test is to show.
const faultVariable = "STEADY_FAULT"

func TestStoresThatAreKnownToBeBadFail(t *testing.T) {
	if name := os.Getenv(faultVariable); name != "" {
		storetest.TestStoreInBubbles(t, open(faults[name].fault))
		return
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStoresThatAreKnownToBeBadFail$/^"+strings.ReplaceAll(f.by, " ", "_")+"$")
			cmd.Env = append(os.Environ(), faultVariable+"="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "%q passes", f.by)
			require.Contains(t, string(out), "--- FAIL: TestStoresThatAreKnownToBeBadFail/")
		})
	}
}

// What the faults are put into is sound: without one it passes.
func TestTheStoreWithoutAFaultPasses(t *testing.T) { storetest.TestStoreInBubbles(t, open(fault{})) }
