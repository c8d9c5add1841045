package timeout_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/steadytest"
	"github.com/steady-go/steady/timeout"
)

// The tests of this file are named after the faults that timeouts of other libraries
// have shipped. Each of these was planted here once, as the line "Planted" tells, and
// the test was seen to fail.

// unwinds makes a call under p that panics, and then one that ends its goroutine. It
// returns the contexts that they got.
func unwinds(ctx context.Context, p steady.Policy) (got []context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() { _ = recover() }()
		_ = p.Do(ctx, func(ctx context.Context) error { got = append(got, ctx); panic("boom") })
	})
	wg.Wait()
	wg.Go(func() {
		_ = p.Do(ctx, func(ctx context.Context) error { got = append(got, ctx); runtime.Goexit(); return nil })
	})
	wg.Wait()
	return got
}

// modes runs test in both modes.
func modes(t *testing.T, test func(t *testing.T, c timeout.Config)) {
	for name, abandon := range map[string]bool{"waits": false, "abandons": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, timeout.Config{Limit: time.Second, Abandon: abandon}) })
		})
	}
}

// A timeout holds the timer of its context, and what was derived from that. Where it is
// cancelled when the call returns, a panic leaks it until the limit.
// Planted: timeout.go: stay ends the context without defer; abandon.go: run ends it only
// when the call returned → not done.
func TestTrap01APanicLeaksNoContext(t *testing.T) {
	modes(t, func(t *testing.T, c timeout.Config) {
		for _, ctx := range unwinds(t.Context(), timeout.MustNew(c)) {
			require.ErrorIs(t, ctx.Err(), context.Canceled)
		}
	})
}

// Places among the abandoned calls must come back too, however the call ends.
// Planted: abandon.go: run counts down only when the call returned → 2 abandoned.
func TestTrap01ALatePanicLeaksNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Second, Abandon: true})
		for _, end := range []func(){func() { panic("boom") }, runtime.Goexit} {
			err := p.Do(t.Context(), func(context.Context) error { time.Sleep(time.Minute); end(); return nil })
			require.ErrorIs(t, err, timeout.ErrExceeded)
		}
		require.Equal(t, 2, p.Stats().Abandoned)
		time.Sleep(time.Minute)
		require.Zero(t, p.Stats().Abandoned)
	})
}

// Libraries report nothing of a call that panics, or a success.
// Planted: internal/report: Done judges a call that did not return by its error, nil
// → success.
func TestTrap03APanicIsReportedAsAFailure(t *testing.T) {
	modes(t, func(t *testing.T, c timeout.Config) {
		var r steadytest.Recorder
		c.Hook = &r
		unwinds(t.Context(), timeout.MustNew(c))
		require.Len(t, r.Outcomes(), 2)
		for _, e := range r.Outcomes() {
			require.Equal(t, steady.Failure, e.Outcome)
			require.ErrorIs(t, e.Err, steady.ErrNoReturn)
		}
	})
}

// A panic on a goroutine of the library ends the process, although the caller recovers.
// While the caller waits it must go on in the caller.
// Planted: abandon.go: run does not recover → the test process ends; mayLeave does not
// resume → no panic.
func TestTrap04APanicGoesOnInTheCallerWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Second, Abandon: true})
		require.PanicsWithValue(t, "boom", func() {
			_ = p.Do(t.Context(), func(context.Context) error { time.Sleep(time.Millisecond); panic("boom") })
		})
	})
}

// Once the caller has left, nobody can recover: the panic becomes an event.
// Planted: abandon.go: run does not recover → the test process ends; it does not report
// → no event.
func TestTrap04APanicOfAnAbandonedCallIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		p := timeout.MustNew(timeout.Config{Limit: time.Second, Abandon: true, Hook: &r})
		require.ErrorIs(t, p.Do(t.Context(), func(context.Context) error { time.Sleep(time.Minute); panic(errBoom) }), timeout.ErrExceeded)
		require.ErrorIs(t, p.Do(t.Context(), func(context.Context) error { time.Sleep(time.Minute); runtime.Goexit(); return nil }), timeout.ErrExceeded)
		time.Sleep(time.Minute)
		late := r.Events(steady.KindLate)
		require.Len(t, late, 2)
		var panicked *steady.PanicError
		require.ErrorAs(t, late[0].Err, &panicked)
		require.Equal(t, errBoom, panicked.Value)
		require.Contains(t, string(panicked.Stack), "TestTrap04APanicOfAnAbandonedCallIsAnEvent")
		require.ErrorIs(t, late[0].Err, errBoom)
		require.ErrorIs(t, late[0].Err, steady.ErrNoReturn)
		require.EqualError(t, late[0].Err, "steady: the call panicked: boom")
		require.EqualError(t, late[1].Err, "steady: the call ended its goroutine")
		require.ErrorAs(t, late[1].Err, &panicked)
		require.Contains(t, string(panicked.Stack), "TestTrap04APanicOfAnAbandonedCallIsAnEvent")
		require.Zero(t, p.Stats().Abandoned)
	})
}

// Hooks that are called under a lock deadlock when they use the policy.
// Planted: internal/report: Emit holds a mutex → the test hangs.
func TestTrap14AHookMayUseItsTimeout(t *testing.T) {
	modes(t, func(t *testing.T, c timeout.Config) {
		var p *timeout.Timeout
		var depth int
		c.Hook = steady.HookFunc(func(ctx context.Context, e steady.Event) {
			if depth++; depth == 1 {
				require.Zero(t, p.Stats().Abandoned)
				require.NoError(t, p.Do(ctx, sleeps(0, nil)))
			}
		})
		p = timeout.MustNew(c)
		require.ErrorIs(t, p.Do(t.Context(), waits), timeout.ErrExceeded)
		require.Equal(t, 2, depth)
	})
}

// The events of an abandoned call come on a goroutine that nobody can recover on.
// Planted: internal/report: Emit does not recover → the test process ends.
func TestTrap14AHookThatPanicsChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Second, Abandon: true, Hook: steady.HookFunc(func(context.Context, steady.Event) { panic("hook") })})
		require.NoError(t, p.Do(t.Context(), sleeps(0, nil)))
		require.ErrorIs(t, p.Do(t.Context(), sleeps(time.Minute, nil)), timeout.ErrExceeded)
		time.Sleep(time.Minute)
		require.Equal(t, timeout.Stats{AbandonedSoFar: 1, HookPanics: 1 + 1 + 3}, p.Stats(), "construction; done; abandoned, done, late")
	})
}

// Libraries take a limit of nothing, and every call fails.
// Planted: timeout.go: New does not want Limit > 0; it does not want MinRemaining below
// Limit → no error.
func TestTrap15NonsenseIsRefused(t *testing.T) {
	for field, c := range map[string]timeout.Config{
		"Limit":        {},
		"MaxAbandoned": {Limit: time.Second, MaxAbandoned: 1},
		"MinRemaining": {Limit: time.Second, MinRemaining: time.Minute},
	} {
		_, err := timeout.New(c)
		require.ErrorContains(t, err, "timeout: Config."+field+" must ")
	}
}

// Who waits for a call that ignores its context must still hear that the caller has
// gone.
// Planted: abandon.go: the wait looks at our limit and not at the caller → 1 s.
func TestTrap23WaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		start := time.Now()
		err := timeout.MustNew(timeout.Config{Limit: time.Second, Abandon: true}).Do(ctx, sleeps(time.Minute, nil))
		require.ErrorIs(t, err, context.Canceled)
		require.InDelta(t, 100*time.Millisecond, time.Since(start), float64(10*time.Millisecond))
		time.Sleep(time.Minute)
	})
}

// A call that is started although its caller has gone is work in vain.
// Planted: timeout.go: enter does not look at the context → started.
func TestTrap23NothingStartsOnADoneContext(t *testing.T) {
	modes(t, func(t *testing.T, c timeout.Config) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := timeout.MustNew(c).Do(ctx, func(context.Context) error { t.Error("started"); return nil })
		require.ErrorIs(t, err, context.Canceled)
	})
}

// Where the context is looked at before the result, a call that did its work while
// its caller left has failed. In a select, which of the two is seen is chance.
// Planted: timeout.go: stay returns the context's error when that is done; abandon.go:
// await does not wait for a moment when the context has ended → an error.
func TestTrap24ASuccessAfterCancelIsASuccess(t *testing.T) {
	modes(t, func(t *testing.T, c timeout.Config) {
		var r steadytest.Recorder
		c.Hook = &r
		p := timeout.MustNew(c)
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			require.NoError(t, p.Do(ctx, func(ctx context.Context) error { cancel(); <-ctx.Done(); return nil }))
		}
		require.Equal(t, steady.Success, r.Outcomes()[19].Outcome)
	})
}

// A library throws a success away because it comes after the limit: the order was
// placed, and the caller places another.
// Planted: timeout.go: stay returns an Error when its context is done → an error.
func TestTrap27ALateSuccessStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Second})
		v, err := steady.DoValue(t.Context(), p, func(context.Context) (int, error) {
			time.Sleep(time.Minute)
			return 7, nil
		})
		require.NoError(t, err)
		require.Equal(t, 7, v)
	})
}

// A call that is to be abandoned is not thrown away either when it ends with the limit.
// Planted: abandon.go: await does not wait for a moment when the context has ended → an
// error.
func TestTrap27ASuccessAtTheLimitStands(t *testing.T) {
	modes(t, func(t *testing.T, c timeout.Config) {
		p := timeout.MustNew(c)
		for range 20 {
			require.NoError(t, p.Do(t.Context(), sleeps(time.Second, nil)))
		}
	})
}

// Where a timer cancels the context, that has no deadline which the call could hand on,
// and says Canceled, as if the caller had gone.
// Planted: context.go: the context is made by WithCancelCause and a timer → Canceled;
// Deadline reports none → no deadline.
func TestTrap27TheContextHasADeadlineAndSaysSo(t *testing.T) {
	modes(t, func(t *testing.T, c timeout.Config) {
		err := timeout.MustNew(c).Do(t.Context(), func(ctx context.Context) error {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			deadline, ok := child.Deadline()
			require.True(t, ok)
			require.Equal(t, time.Second, time.Until(deadline))
			<-child.Done()
			require.Equal(t, context.DeadlineExceeded, ctx.Err())
			require.Equal(t, context.DeadlineExceeded, child.Err())
			return child.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, context.Canceled)
	})
}

// Timeouts that leave a call running leave any number of them, and nobody knows.
// Planted: abandon.go: mayLeave does not look at MaxAbandoned → started; leave does not
// count → 0 so far; leave does not report → no event.
func TestTrap29AbandonedCallsDoNotPileUpUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events steadytest.Recorder
		p := timeout.MustNew(timeout.Config{Name: "db", Limit: time.Second, Abandon: true, MaxAbandoned: 3, Hook: &events})
		for range 3 {
			require.ErrorIs(t, p.Do(t.Context(), sleeps(time.Minute, nil)), timeout.ErrExceeded)
		}
		require.Equal(t, timeout.Stats{Abandoned: 3, AbandonedSoFar: 3}, p.Stats())
		require.Len(t, events.Events(steady.KindAbandoned), 3)
		err := p.Do(t.Context(), func(context.Context) error { t.Error("started"); return nil })
		require.ErrorIs(t, err, timeout.ErrSaturated)
		require.EqualError(t, err, "timeout: too many abandoned calls (db)")
		r, rejected := steady.AsRejection(err)
		require.True(t, rejected)
		policy, name, key := r.RejectedBy()
		require.Equal(t, []string{"timeout", "db", ""}, []string{policy, name, key})
		_, known := r.RetryAfter()
		require.False(t, known)
		time.Sleep(time.Minute)
		require.Len(t, events.Events(steady.KindLate), 3)
		require.NoError(t, p.Do(t.Context(), sleeps(0, nil)))
	})
}

// When any end of the context passes for our limit, a caller who cancels reads that the
// dependency was too slow.
// Planted: timeout.go: exceeded takes any end of the context for ours → an Error for the
// caller's deadline; isDeadline takes Canceled too → one for his cancellation.
func TestTrap30WhatTheCallerEndsIsNotOurTimeout(t *testing.T) {
	modes(t, func(t *testing.T, c timeout.Config) {
		p := timeout.MustNew(c)
		gone := errors.New("gone")

		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second/2, gone)
		defer cancel()
		var cause error
		err := p.Do(ctx, func(ctx context.Context) error { err := waits(ctx); cause = context.Cause(ctx); return err })
		require.Equal(t, context.DeadlineExceeded, err, "the caller's deadline")
		require.Equal(t, gone, cause)

		ctx2, cancel2 := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second/2, func() { cancel2(gone) })
		err = p.Do(ctx2, func(ctx context.Context) error { err := waits(ctx); cause = context.Cause(ctx); return err })
		require.Equal(t, context.Canceled, err, "the caller's cancellation")
		require.Equal(t, gone, cause)
	})
}
