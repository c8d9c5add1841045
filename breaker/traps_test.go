package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/internal/unwind"
	"github.com/steady-go/steady/steadytest"
)

// The tests of this file are named after the faults that breakers of other
// libraries have shipped. Each of these was planted here once, as the line
// "Planted" tells, and the test was seen to fail.

// halfOpen returns a breaker whose open time has just passed.
func halfOpen(t *testing.T, c breaker.Config) *breaker.Breaker {
	t.Helper()
	b := tripped(t, c)
	time.Sleep(b.Stats().RetryAfter)
	return b
}

// allow returns permits for n calls.
func allow(t *testing.T, b *breaker.Breaker, n int) []*breaker.Permit {
	t.Helper()
	permits := make([]*breaker.Permit, n)
	for i := range permits {
		p, err := b.Allow(t.Context())
		require.NoError(t, err)
		permits[i] = p
	}
	return permits
}

// Breakers that book the end of a call only when it returns lose the place of a
// probe that panics, for ever; one that recovers loses it with a Goexit.
// Planted: breaker.go: Do leaves without defer → 2 probes under way; it leaves only
// for what recover finds → 1.
func TestTrap01APanicLeaksNoProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, breaker.Config{Probes: 10})
		unwind.Under(t.Context(), b)
		require.Equal(t, breaker.HalfOpen, b.State())
		require.Zero(t, b.Stats().Probes)
	})
}

// A member of a group with a call under way is never evicted, so a call that
// panics must not seem to be under way for ever.
// Planted: group.go: Do counts inFlight down without defer → 2 calls in flight.
func TestTrap01APanicHoldsNoMember(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig{})
	unwind.Under(t.Context(), g.By(func(context.Context) string { return "node" }))
	require.Zero(t, g.Stats().Members["node"].InFlight)
}

// Breakers that wait for the end of every probe stay half-open for ever when one
// never returns.
// Planted: trial.go: expire does nothing → half-open, want open.
func TestTrap02ProbesThatNeverReturnOpenItAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{})
		lease := b.Stats().RetryAfter
		time.Sleep(lease)
		allow(t, b, 3) // never ended
		time.Sleep(lease - time.Nanosecond)
		requireRefuses(t, b)
		require.Equal(t, breaker.HalfOpen, b.State())
		time.Sleep(time.Nanosecond)
		requireRefuses(t, b)
		require.Equal(t, breaker.Open, b.State(), "they hang, so they failed")
		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 2, nil)
		require.Equal(t, breaker.Closed, b.State())
	})
}

// A probe that is only slow must not be taken for one that never returns.
// Planted: trial.go: end leaves overdue as it is → open, want half-open.
func TestTrap02AProbeThatEndsLateCountsAfterAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{})
		lease := b.Stats().RetryAfter
		time.Sleep(lease)
		late := allow(t, b, 1)[0]
		time.Sleep(lease)
		require.Zero(t, b.Stats().Probes, "it is past its lease")
		late.Done(nil)
		do(t, b, 1, errBoom)
		require.Equal(t, breaker.HalfOpen, b.State(), "one succeeded, one failed")
		do(t, b, 1, nil)
		require.Equal(t, breaker.Closed, b.State())
	})
}

// In several libraries a call that panics is no failure, so that a dependency
// whose client crashes on every answer is called for ever.
// Planted: breaker.go: leave books Ignored for a call that did not return → the
// breaker is closed.
func TestTrap03PanicsOpenIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{})
		for range 10 {
			unwind.Under(t.Context(), b)
		}
		require.Equal(t, breaker.Open, b.State())
	})
}

// Where each release gives back a permit, the second takes that of another call;
// here one probe would have voted twice.
// Planted: permit.go: end always reports true → the breaker is closed.
func TestTrap06AProbeVotesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, breaker.Config{})
		probes := allow(t, b, 3)
		probes[0].Done(nil)
		probes[0].Done(nil)
		require.Equal(t, breaker.HalfOpen, b.State())
		requireRefuses(t, b)
	})
}

// In a group the second release would take the place of another call to the member.
// Planted: permit.go: end always reports true → the other call is no longer in
// flight, and its member might be evicted.
func TestTrap06APermitOfAGroupIsGivenBackOnce(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig{})
	_, one, err := g.Pick(t.Context(), fleet(1), nil)
	require.NoError(t, err)
	key, _, err := g.Pick(t.Context(), fleet(1), nil)
	require.NoError(t, err)
	one.Done(nil)
	one.Cancel()
	require.Equal(t, 1, g.Stats().Members[key].InFlight)
}

// Most breakers book a result in the state that they find at its end. So a call
// from before the opening closes the half-open breaker when it succeeds late.
// Planted: phase.go: book takes the present phase → closed.
func TestTrap07ALateSuccessDoesNotClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{ConsecutiveFailures: 2})
		late := allow(t, b, 5)
		do(t, b, 2, errBoom)
		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 1, nil)
		for _, p := range late {
			p.Done(nil)
		}
		require.Equal(t, breaker.HalfOpen, b.State())
	})
}

// The other way round, a late failure opens a breaker that is well again.
// Planted: phase.go: book takes the present phase → open.
func TestTrap07ALateFailureDoesNotReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{ConsecutiveFailures: 2})
		late := allow(t, b, 10)
		do(t, b, 2, errBoom)
		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 1, nil)
		for _, p := range late[:5] {
			p.Done(errBoom)
		}
		require.Equal(t, breaker.HalfOpen, b.State())
		do(t, b, 1, nil)
		for _, p := range late[5:] {
			p.Done(errBoom)
		}
		require.Equal(t, breaker.Closed, b.State())
		require.Zero(t, b.Stats().Calls)
	})
}

// And where the end of any call makes room for a probe, each late result hands
// out one more.
// Planted: phase.go: book takes the present phase, and trial.go: end takes out the
// last probe → a fourth call is started.
func TestTrap07ALateResultMakesNoRoomForAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{ConsecutiveFailures: 2})
		late := allow(t, b, 5)
		do(t, b, 2, errBoom)
		time.Sleep(b.Stats().RetryAfter)
		allow(t, b, 3)
		for _, p := range late {
			p.Cancel()
		}
		requireRefuses(t, b)
	})
}

// A probe is a call from an earlier state too, once its half-open is over.
// Planted: phase.go: book takes the present phase → closed.
func TestTrap07AProbeOfAnEarlierTrialDoesNotVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, breaker.Config{Probes: 4})
		late := allow(t, b, 2)
		do(t, b, 2, errBoom)
		require.Equal(t, breaker.Open, b.State())
		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 1, nil)
		for _, p := range late {
			p.Done(nil)
		}
		require.Equal(t, breaker.HalfOpen, b.State())
	})
}

// Where a result is booked at the start of its call, one that took longer than the
// window is out of it already: 2,000 failing calls of 30 s left a window of 10 s
// closed. The hook is there so that the start is known and could be used.
// Planted: phase.go: book leaves out calls that ran for longer than Window → closed.
func TestTrap08CallsLongerThanTheWindowCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{Window: 10 * time.Second, Hook: &steadytest.Recorder{}})
		for range 20 {
			go func() {
				_ = b.Do(t.Context(), func(context.Context) error { time.Sleep(30 * time.Second); return errBoom })
			}()
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Equal(t, breaker.Open, b.State())
	})
}

// When the open time ends, some breakers admit everybody until the first probe
// has an answer: 1000 of 1000.
// Planted: phase.go: decide admits the call that finds the open time over, without
// a place in the trial → 4 started; decide ignores whether a place was free →
// 1000 started.
func TestTrap09TheHalfOpenMomentAdmitsOnlyProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, breaker.Config{})
		var started atomic.Int64
		release := make(chan struct{})
		defer close(release)
		for range 1000 {
			go func() {
				_ = b.Do(t.Context(), func(context.Context) error { started.Add(1); <-release; return nil })
			}()
		}
		synctest.Wait()
		require.Equal(t, int64(3), started.Load())
	})
}

// Windows that expire only when something is written still hold the old failures
// after an idle hour.
// Planted: window.go: sum reads the present step without sliding on → 19 calls.
func TestTrap10WindowsExpireWhenRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{})
		do(t, b, 19, errBoom)
		time.Sleep(time.Hour)
		require.Zero(t, b.Stats().Calls)
		do(t, b, 1, errBoom)
		require.Equal(t, breaker.Closed, b.State())
	})
}

// Planted: phase.go: row does not ask when the last failure was → open.
func TestTrap10ARowOfFailuresExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{ConsecutiveFailures: 3})
		do(t, b, 2, errBoom)
		time.Sleep(30 * time.Second)
		do(t, b, 1, errBoom)
		require.Equal(t, breaker.Closed, b.State())
		time.Sleep(30*time.Second - time.Nanosecond)
		do(t, b, 1, errBoom)
		time.Sleep(30*time.Second - time.Nanosecond)
		do(t, b, 1, errBoom)
		require.Equal(t, breaker.Open, b.State())
	})
}

// A window that starts afresh at its end, instead of sliding, does not see an
// outage that lies across the boundary.
// Planted: window.go: steps is 1 → closed, for an outage that began 29 s after the
// window.
func TestTrap11WindowsSlide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for after := range 31 {
			b := breaker.MustNew(breaker.Config{})
			time.Sleep(time.Duration(after) * time.Second)
			do(t, b, 10, errBoom)
			time.Sleep(time.Second)
			do(t, b, 10, errBoom)
			require.Equal(t, breaker.Open, b.State(), "an outage %d s after the window began", after)
		}
	})
}

// Where rates are rounded to whole percents before they are compared, 0.5 trips at
// 0.495.
// Planted: phase.go: share rounds to two places → open at 1 of 200 for a ratio of
// 0.01.
func TestTrap12RatiosAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for percent := 1; percent <= 100; percent++ {
			after := func(successes, failures int) breaker.State {
				b := breaker.MustNew(breaker.Config{FailureRatio: float64(percent) / 100, MinCalls: 200})
				do(t, b, successes, nil)
				do(t, b, failures, errBoom)
				return b.State()
			}
			failures := 2 * percent
			require.Equal(t, breaker.Open, after(200-failures, failures), "%d of 200", failures)
			require.Equal(t, breaker.Closed, after(201-failures, failures-1), "%d of 200", failures-1)
		}
	})
}

// Breakers that count every error trip because users close their browsers.
// Planted: outcome.go: Outcome does not excuse a context that was cancelled → open
// before the 100 are made.
func TestTrap13TheCallersCancelDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{})
		cancelled(t, b, 100)
		require.Equal(t, breaker.Closed, b.State())
		require.Zero(t, b.Stats().Calls)
	})
}

// cancelled makes n calls whose callers cancel them, and that then fail.
func cancelled(t *testing.T, b *breaker.Breaker, n int) {
	t.Helper()
	for range n {
		ctx, cancel := context.WithCancel(t.Context())
		require.ErrorIs(t, b.Do(ctx, func(context.Context) error { cancel(); return errBoom }), errBoom)
	}
}

// A hedge cancels the slower of two calls, which then ends in whatever its torn
// connection says. That is no news of the dependency.
// Planted: outcome.go: Outcome ignores only errors that are the context's → 1
// failure.
func TestTrap13TheLoserOfAHedgeDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{})
		ctx, lose := context.WithCancelCause(t.Context())
		go func() {
			_ = b.Do(ctx, func(ctx context.Context) error { <-ctx.Done(); return errors.New("connection reset") })
		}()
		synctest.Wait()
		do(t, b, 1, nil)
		lose(errors.New("the other call won"))
		synctest.Wait()
		require.Equal(t, int64(1), b.Stats().Calls)
		require.Zero(t, b.Stats().Failures)
	})
}

// Where an excluded error is a success, calls that say nothing close a half-open
// breaker.
// Planted: trial.go: end counts Ignored as a success → closed, and the ramp refuses.
func TestTrap13WhatIsIgnoredNeverCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		notFound := errors.New("not found")
		b := halfOpen(t, breaker.Config{Classify: func(err error) steady.Outcome {
			if errors.Is(err, notFound) {
				return steady.Ignored
			}
			return steady.Failure
		}})
		do(t, b, 100, notFound)
		cancelled(t, b, 100)
		require.Equal(t, breaker.HalfOpen, b.State())
		do(t, b, 2, nil)
		require.Equal(t, breaker.Closed, b.State(), "it took no place either")
	})
}

// When the callers' deadlines are shorter than our timeout, a dependency that hangs
// only ever ends in the callers' deadlines. Breakers that leave those out never
// open.
// Planted: outcome.go: a deadline of the caller is always Ignored → closed; it is
// always a Failure → those with 2 ms left open it.
func TestTrap13AHangIsNotHiddenByTheCallersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{ConsecutiveFailures: 3})
		hang := func(n int, patience time.Duration) {
			for range n {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				require.ErrorIs(t, b.Do(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }), context.DeadlineExceeded)
				cancel()
			}
		}
		hang(100, 2*time.Millisecond)
		require.Zero(t, b.Stats().Calls, "who comes with 2 ms left proves nothing")
		hang(3, time.Second)
		require.Equal(t, breaker.Open, b.State())
	})
}

// Hooks that are called under the lock deadlock when they ask for the state.
// Planted: internal/report: Emit holds a mutex → the test hangs.
func TestTrap14AHookMayUseItsBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *breaker.Breaker
		var seen []breaker.State
		b = breaker.MustNew(breaker.Config{ConsecutiveFailures: 2, Hook: steady.HookFunc(func(ctx context.Context, e steady.Event) {
			if b == nil || e.Kind != steady.KindState {
				return
			}
			seen = append(seen, b.State(), b.Stats().State)
			if p, err := b.Allow(ctx); err == nil {
				p.Cancel()
			}
		})})
		do(t, b, 2, errBoom)
		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 2, nil)
		require.Equal(t, []breaker.State{
			breaker.Open, breaker.Open,
			breaker.HalfOpen, breaker.HalfOpen,
			breaker.Closed, breaker.Closed,
		}, seen)
	})
}

// The lock of a registry is one more to be held by mistake.
// Planted: group.go: hold announces a new member under the lock → the test hangs.
func TestTrap14AHookMayUseItsGroup(t *testing.T) {
	var g *breaker.Group
	g = breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{ConsecutiveFailures: 2, Hook: steady.HookFunc(func(ctx context.Context, e steady.Event) {
		if e.Kind == steady.KindState {
			require.Contains(t, g.Stats().Members, e.Key)
			require.Equal(t, e.To, g.Get(e.Key).State().String())
		}
	})}})
	doKey(t, g, "node", 2, errBoom)
	require.Equal(t, breaker.Open, g.Get("node").State())
}

// A hook that panics under a lock leaves it locked, or unlocks it twice, which no
// one can recover from.
// Planted: internal/report: Emit does not recover → the panic of the hook reaches
// the test.
func TestTrap14AHookThatPanicsChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, breaker.Config{Hook: steady.HookFunc(func(context.Context, steady.Event) { panic("hook") })})
		do(t, b, 2, nil)
		require.Equal(t, breaker.Closed, b.State())
		require.Equal(t, uint64(2+2+1+1+2+1), b.Stats().HookPanics, "construction and first state, failures, open, half-open, probes, closed")
	})
}

// Libraries take 10 failures of 5 calls, and then never open.
// Planted: breaker.go: withDefaults does not bound FailureRatio; it does not want
// SlowAfter for a SlowRatio → no error.
func TestTrap15NonsenseIsRefused(t *testing.T) {
	for field, c := range map[string]breaker.Config{
		"FailureRatio":        {FailureRatio: math.NaN()},
		"Window":              {Window: time.Microsecond},
		"MinCalls":            {MinCalls: 1 << 40},
		"OpenFor":             {OpenFor: 1},
		"SlowRatio":           {SlowRatio: 0.5},
		"ConsecutiveFailures": {FailureRatio: breaker.Off},
		"MaxOpenFor":          {OpenFor: time.Minute, MaxOpenFor: time.Second},
	} {
		t.Run(field, func(t *testing.T) {
			_, err := breaker.New(c)
			require.ErrorContains(t, err, "breaker: Config."+field+" must ")
			require.Panics(t, func() { breaker.MustNew(c) })
		})
	}
	_, err := breaker.New(breaker.Config{FailureRatio: 2, OpenFor: math.MaxInt64, Window: math.MaxInt64})
	require.ErrorContains(t, err, "FailureRatio must be ", "10 failures of 5")
	require.ErrorContains(t, err, "OpenFor must be ")
	require.ErrorContains(t, err, "Window must be ")
}

// With the same open time everywhere, all instances of a service open, and then
// probe, in step.
// Planted: phase.go: jitter is 1 → no spread.
func TestTrap16InstancesDoNotProbeInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, last := time.Hour, time.Duration(0)
		for range 20 {
			after := tripped(t, breaker.Config{}).Stats().RetryAfter
			first, last = min(first, after), max(last, after)
		}
		require.Greater(t, last-first, 500*time.Millisecond, "20 draws from a range of 2 s")
	})
}

// A fixed open time hammers what is down for long, and a doubling one without a cap
// never comes back.
// Planted: phase.go: open ignores doublings → 5 s instead of 10 s; MaxOpenFor is not
// looked at → 80 s instead of 60 s.
func TestTrap16TheOpenTimeDoublesUpToACap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{})
		for _, want := range []time.Duration{5, 10, 20, 40, 60, 60} {
			want *= time.Second
			got := b.Stats().RetryAfter
			require.InDelta(t, want, got, float64(want)/5, "open time with its jitter")
			time.Sleep(got - time.Nanosecond)
			requireRefuses(t, b)
			time.Sleep(time.Nanosecond)
			do(t, b, 1, nil)
			do(t, b, 2, errBoom)
			require.Equal(t, breaker.Open, b.State(), "two of three failed")
		}
	})
}

// A registry by key grows with every made-up key; where it is bounded by dropping
// what is oldest, made-up keys push out the history of real ones.
// Planted: group.go: hold makes a member although the group is full → 1004 members;
// evict drops any member → not the idle one is gone.
func TestTrap17MadeUpKeysPushNothingOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{ConsecutiveFailures: 3, OpenFor: time.Hour}, MaxKeys: 4})
		doKey(t, g, "open", 3, errBoom)
		doKey(t, g, "idle", 1, nil)
		hanging := make(chan struct{})
		go func() {
			_ = g.Do(t.Context(), "hanging", func(context.Context) error { <-hanging; return errBoom })
		}()
		time.Sleep(time.Minute)
		doKey(t, g, "busy", 1, nil)

		doKey(t, g, "new", 1, nil)
		members := g.Stats().Members
		require.Len(t, members, 4)
		require.NotContains(t, members, "idle", "only the idle one makes room")

		for i := range 1000 {
			doKey(t, g, fmt.Sprintf("made-up-%d", i), 1, errBoom)
		}
		require.Len(t, g.Stats().Members, 4)
		require.Equal(t, uint64(1000), g.Stats().Unguarded)
		require.Equal(t, breaker.Open, g.Stats().Members["open"].State)
		close(hanging)
		synctest.Wait()
		require.Equal(t, int64(1), g.Stats().Members["hanging"].Failures)
	})
}

// An open time that is doubled by shifting is 0 or negative after some thirty failed
// probes.
// Planted: phase.go: the open time is OpenFor << doublings, up to MaxOpenFor → 0 s.
func TestTrap18TheOpenTimeDoesNotOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{})
		for range 200 {
			after := b.Stats().RetryAfter
			require.GreaterOrEqual(t, after, 4*time.Second)
			require.LessOrEqual(t, after, 72*time.Second)
			time.Sleep(after)
			do(t, b, 2, errBoom)
		}
	})
}

// A call that is started although its caller has gone is work in vain, and one that
// ends at once in the context's error.
// Planted: breaker.go: enter does not look at the context; permit.go: Do does not;
// pick.go: Pick does not → started, or no error.
func TestTrap23NothingStartsOnADoneContext(t *testing.T) {
	b, g := breaker.MustNew(breaker.Config{}), breaker.MustNewGroup(breaker.GroupConfig{})
	permit := allow(t, b, 1)[0]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	started := func(context.Context) error { t.Error("started"); return nil }
	require.ErrorIs(t, b.Do(ctx, started), context.Canceled)
	require.ErrorIs(t, g.Do(ctx, "node", started), context.Canceled)
	require.ErrorIs(t, permit.Do(ctx, started), context.Canceled)
	_, err := b.Allow(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, _, err = g.Pick(ctx, fleet(1), nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, b.Stats().Calls)
}

// Where the context is looked at before the result, a call that did its work while
// its caller left has failed.
// Planted: breaker.go: leave looks at the context before err → half-open.
func TestTrap24ASuccessAfterCancelIsASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, breaker.Config{})
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			require.NoError(t, b.Do(ctx, func(context.Context) error { cancel(); return nil }))
		}
		require.Equal(t, breaker.Closed, b.State())
	})
}
