package bulkhead_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/internal/unwind"
	"github.com/steady-go/steady/steadytest"
)

// The tests of this file are named after the faults that bulkheads and limiters of
// other libraries have shipped. Each of these was planted here once, as the line
// "Planted" tells, and the test was seen to fail.

// Bulkheads that release when the call returns lose a permit with each panic, and
// those that recover lose one with each Goexit, until none is left.
// Planted: bulkhead.go: Do leaves without defer → 2 in flight; it leaves only for
// what recover finds → 1.
func TestTrap01APanicLeaksNoPermit(t *testing.T) {
	b := bulkhead.MustNew(bulkhead.Config{Limit: 2})
	unwind.Under(t.Context(), b)
	require.Equal(t, bulkhead.Stats{Limit: 2}, b.Stats())
}

// Libraries report nothing of a call that panics, or a success.
// Planted: internal/report: Done judges a call that did not return by its error, nil
// → success.
func TestTrap03APanicIsReportedAsAFailure(t *testing.T) {
	var r steadytest.Recorder
	unwind.Under(t.Context(), bulkhead.MustNew(bulkhead.Config{Limit: 2, Hook: &r}))
	require.Len(t, r.Outcomes(), 2)
	for _, e := range r.Outcomes() {
		require.Equal(t, steady.Failure, e.Outcome)
		require.ErrorIs(t, e.Err, steady.ErrNoReturn)
	}
}

// Where a waiter stays in the queue when it gives up, its turn comes all the same,
// and that permit is gone.
// Planted: queue.go: quit leaves the place in the queue → 3 waiting.
func TestTrap05WhoGivesUpLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 3, MaxWait: time.Minute})
		first := acquire(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			go func() { _ = b.Do(ctx, func(context.Context) error { t.Error("started"); return nil }) }()
		}
		synctest.Wait()
		served := false
		go func() { _ = b.Do(t.Context(), func(context.Context) error { served = true; return nil }) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		require.Equal(t, 1, b.Stats().Waiting)
		first.Release()
		synctest.Wait()
		require.True(t, served)
		require.Equal(t, bulkhead.Stats{Limit: 1}, b.Stats())
	})
}

// A waiter whose permit comes at the moment at which it gives up must hand it on, or
// the next waits for ever.
// Planted: queue.go: wait does not release what a waiter got that has gone → not
// served.
func TestTrap05AGrantToWhoJustLeftIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 2, MaxWait: time.Minute})
		first := acquire(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = b.Do(ctx, func(context.Context) error { t.Error("started"); return nil }) }()
		synctest.Wait()
		served := false
		go func() { _ = b.Do(t.Context(), func(context.Context) error { served = true; return nil }) }()
		synctest.Wait()
		cancel()
		first.Release() // most likely before the waiter has seen that it is cancelled
		synctest.Wait()
		require.True(t, served)
		require.Equal(t, bulkhead.Stats{Limit: 1}, b.Stats())
	})
}

// When the permit comes at the moment at which the wait is over, a waiter that times
// out all the same leaves a permit behind that nobody has.
// Planted: queue.go: wait refuses, without a look whether it was granted, when the
// timer has fired → 1 in flight.
func TestTrap05NobodyTimesOutWithAPermitInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: time.Second})
		for range 200 { // which of two timers of one moment is first is random
			time.AfterFunc(time.Second, acquire(t, b).Release)
			if err := b.Do(t.Context(), ok); err != nil {
				require.ErrorIs(t, err, bulkhead.ErrMaxWait)
			}
			synctest.Wait()
			require.Equal(t, bulkhead.Stats{Limit: 1}, b.Stats())
		}
	})
}

// A lost wake-up: a permit is free, and somebody waits for one until his time is
// over. It takes many who come, give up and are served at the same moments, so all
// times are whole milliseconds.
// Planted: queue.go: grant wakes nobody when one waits; wait frees what a waiter got
// that has gone, without granting it → some wait while 2 are in flight; wait does not
// free it; wait refuses who was granted at the moment of its timer → in flight at the
// end.
func TestTrap05NobodyWaitsWhileAPermitIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, workers = 3, 30
		ms := func(upTo int) time.Duration { return time.Duration(1+rand.N(upTo)) * time.Millisecond }
		b := bulkhead.MustNew(bulkhead.Config{Limit: limit, Queue: workers, MaxWait: 10 * time.Millisecond})
		var running atomic.Int64
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for range 50 {
					ctx, cancel := context.WithTimeout(t.Context(), ms(20))
					_ = b.Do(ctx, func(context.Context) error {
						if n := running.Add(1); n > limit {
							t.Errorf("%d at once", n)
						}
						defer running.Add(-1)
						time.Sleep(ms(5))
						return nil
					})
					cancel()
					if s := b.Stats(); s.Waiting > 0 && s.InFlight < limit {
						t.Errorf("%d wait while only %d are in flight", s.Waiting, s.InFlight)
					}
					time.Sleep(ms(10))
				}
			})
		}
		wg.Wait()
		require.Equal(t, bulkhead.Stats{Limit: limit}, b.Stats())
	})
}

// The permit may come free between the look at it and the place in the queue. Who then
// waits, waits while it is free. To hit that moment, the permit comes free when the
// bulkhead asks the context for its deadline, which it does in between.
// Planted: queue.go: join does not look again → no permit in time.
func TestTrap05NoWakeUpIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: time.Second})
		ctx := asked{t.Context(), acquire(t, b).Release}
		require.NoError(t, b.Do(ctx, ok))
		require.Equal(t, bulkhead.Stats{Limit: 1}, b.Stats())
	})
}

// asked is a context that calls then when it is asked for its deadline.
type asked struct {
	context.Context
	then func()
}

func (a asked) Deadline() (time.Time, bool) {
	a.then()
	return a.Context.Deadline()
}

// Raising the limit frees permits too.
// Planted: bulkhead.go: SetLimit does not grant → 1 in flight, 3 waiting.
func TestTrap05ARaisedLimitWakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 3, MaxWait: time.Minute})
		acquire(t, b)
		for range 3 {
			go func() { _, _ = b.Acquire(t.Context()) }()
		}
		synctest.Wait()
		require.NoError(t, b.SetLimit(4))
		synctest.Wait()
		require.Equal(t, bulkhead.Stats{Limit: 4, InFlight: 4}, b.Stats())
	})
}

// Where each release counts, the second frees the permit of somebody else.
// Planted: permit.go: Release does not look whether it was released → 0 in flight.
func TestTrap06ReleasingTwiceFreesOnePermit(t *testing.T) {
	b := bulkhead.MustNew(bulkhead.Config{Limit: 2})
	first := acquire(t, b)
	acquire(t, b)
	first.Release()
	first.Release()
	require.Equal(t, 1, b.Stats().InFlight)
}

// Hooks that are called under the lock deadlock when they ask for the state.
// Planted: queue.go: join reports that the queue is full before it unlocks → the test
// hangs.
func TestTrap14AHookMayUseItsBulkhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bulkhead.Bulkhead
		var heard []int
		b = bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: time.Second, Hook: steady.HookFunc(func(ctx context.Context, e steady.Event) {
			heard = append(heard, b.Stats().InFlight)
			if e.Kind == steady.KindRejected {
				require.NoError(t, b.SetLimit(1))
			}
		})})
		p := acquire(t, b)
		time.AfterFunc(time.Second/2, func() { _ = b.Do(t.Context(), ok) })
		require.ErrorIs(t, b.Do(t.Context(), ok), bulkhead.ErrMaxWait)
		time.Sleep(time.Second)
		p.Release()
		require.Equal(t, []int{1, 1, 0}, heard, "full, waited too long, released")
	})
}

// A hook that panics under a lock leaves it locked; here every call would have been
// refused from then on.
// Planted: internal/report: Emit does not recover → the panic of the hook reaches
// the test.
func TestTrap14AHookThatPanicsChangesNothing(t *testing.T) {
	b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Hook: steady.HookFunc(func(context.Context, steady.Event) { panic("hook") })})
	require.NoError(t, b.Do(t.Context(), ok))
	p := acquire(t, b)
	require.ErrorIs(t, b.Do(t.Context(), ok), bulkhead.ErrFull)
	p.Release()
	require.Equal(t, bulkhead.Stats{Limit: 1, HookPanics: 1 + 3}, b.Stats())
}

// Libraries take a limit of nothing, and a wait without bound that nobody asked for.
// Planted: bulkhead.go: New does not want Limit >= 1; it does not want MaxWait with a
// Queue → no error.
func TestTrap15NonsenseIsRefused(t *testing.T) {
	for field, c := range map[string]bulkhead.Config{
		"Limit":   {},
		"Queue":   {Limit: 1, Queue: -1},
		"MaxWait": {Limit: 1, Queue: 1},
	} {
		_, err := bulkhead.New(c)
		require.ErrorContains(t, err, "bulkhead: Config."+field+" must ")
	}
	require.Error(t, bulkhead.MustNew(bulkhead.Config{Limit: 1}).SetLimit(-1))
}

// Waiting that does not look at the context keeps a caller who has gone, and what he
// holds, until a permit comes.
// Planted: queue.go: wait does not select on ctx.Done → it waits for a minute.
func TestTrap23WaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: time.Minute})
		acquire(t, b)
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		start := time.Now()
		require.ErrorIs(t, b.Do(ctx, ok), gone)
		require.Equal(t, time.Second, time.Since(start))
	})
}

// A call that is started although its caller has gone takes a permit for work in
// vain.
// Planted: bulkhead.go: enter does not look at the context → started.
func TestTrap23NothingStartsOnADoneContext(t *testing.T) {
	b := bulkhead.MustNew(bulkhead.Config{Limit: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.Do(ctx, func(context.Context) error { t.Error("started"); return nil }), context.Canceled)
	_, err := b.TryAcquire(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, b.Stats().InFlight)
}

// The permit may come in the moment in which the caller's deadline passes. The work
// would be in vain then too.
// Planted: queue.go: wait takes the permit whatever the context → started.
func TestTrap23NothingStartsForWhoHasJustGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: time.Minute})
		first := acquire(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_ = b.Do(ctx, func(context.Context) error { t.Error("started"); return nil })
		}()
		synctest.Wait()
		cancel()
		first.Release()
		synctest.Wait()
		require.Equal(t, bulkhead.Stats{Limit: 1}, b.Stats())
	})
}

// Where the context is looked at before the result, a call that did its work while
// its caller left has failed.
// Planted: bulkhead.go: Do returns the context's error when that is done → an error.
func TestTrap24ASuccessAfterCancelIsASuccess(t *testing.T) {
	var r steadytest.Recorder
	b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Hook: &r})
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, b.Do(ctx, func(context.Context) error { cancel(); return nil }))
	require.Equal(t, steady.Success, r.Outcomes()[0].Outcome)
}
