package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/steadytest"
)

func TestLatencyComesBeforeTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "slow", Effect: chaos.Latency(chaos.Constant(time.Second)), Rate: 1})
		start := time.Now()
		var began time.Duration
		err := i.Do(t.Context(), func(context.Context) error { began = time.Since(start); return errNatural })
		require.Same(t, errNatural, err)
		require.Equal(t, time.Second, began)
	})
}

func TestLatencyObeysTheContextAndThenMakesNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "slow", Effect: chaos.Latency(chaos.Constant(time.Second)), Rate: 1})
		patiences := []time.Duration{time.Millisecond}
		for range 50 { // of timers that are due at one instant any may come first
			patiences = append(patiences, time.Second)
		}
		for _, patience := range patiences {
			ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errNatural)
			start := time.Now()
			err := i.Do(ctx, func(context.Context) error { t.Error("a call was started"); return nil })
			cancel()
			require.Equal(t, patience, time.Since(start))
			require.ErrorIs(t, err, chaos.ErrInjected)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			if patience < time.Second { // at the same instant the cause may not be there yet
				require.ErrorIs(t, err, errNatural, "the cause")
			}
		}
	})
}

func TestErrorComesInPlaceOfTheCall(t *testing.T) {
	i := injector(t, down)
	err := i.At("node-1").Do(t.Context(), func(context.Context) error { t.Error("a call was started"); return nil })
	require.ErrorIs(t, err, chaos.ErrInjected)
	require.ErrorIs(t, err, errDown)
	require.EqualError(t, err, "chaos: injected by down at node-1: the node is down")
	injected, ok := errors.AsType[*chaos.InjectedError](err)
	require.True(t, ok)
	require.Equal(t, &chaos.InjectedError{Fault: "down", Key: "node-1", Err: errDown}, injected)
	_, rejection := steady.AsRejection(err)
	require.False(t, rejection)
}

func TestErrorNeedsNoCause(t *testing.T) {
	err := do(t, injector(t, chaos.Fault{Name: "down", Effect: chaos.Error(nil), Rate: 1}))
	require.ErrorIs(t, err, chaos.ErrInjected)
	require.EqualError(t, err, "chaos: injected by down")
	require.NoError(t, errors.Unwrap(err))
}

func TestInjectedErrorIsATimeoutIfItsCauseIs(t *testing.T) {
	require.True(t, (&chaos.InjectedError{Err: fmt.Errorf("late: %w", context.DeadlineExceeded)}).Timeout())
	require.False(t, (&chaos.InjectedError{Err: errDown}).Timeout())
	require.False(t, (&chaos.InjectedError{}).Timeout())
}

func TestErrorAfterIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "slow failure", Effect: chaos.ErrorAfter(chaos.Constant(time.Second), errDown), Rate: 1})
		start := time.Now()
		require.ErrorIs(t, do(t, i), errDown)
		require.Equal(t, time.Second, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		err := i.Do(ctx, fixed)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, chaos.ErrInjected)
		require.NotErrorIs(t, err, errDown)
	})
}

func TestPanicAndGoexitUnwindLikeNaturalOnes(t *testing.T) {
	var r steadytest.Recorder
	c := chaos.Config{Hook: &r, Faults: []chaos.Fault{
		{Name: "panic", Effect: chaos.Panic(errDown), Rate: 1, Keys: []string{"panic"}},
		{Name: "exit", Effect: chaos.Goexit(), Rate: 1, Keys: []string{"exit"}},
	}}
	i := armed(t, c, time.Hour)
	r.Reset()
	require.PanicsWithError(t, errDown.Error(), func() { _ = do(t, i.At("panic")) })

	returned, recovered := false, any(nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() { recovered = recover() }()
		_ = i.At("exit").Do(context.Background(), fixed)
		returned = true
	})
	wg.Wait()
	require.False(t, returned)
	require.Nil(t, recovered)

	all := r.Events()
	require.Len(t, all, 4)
	for n, want := range []string{"panic", "exit"} {
		require.Equal(t, steady.KindInjected, all[2*n].Kind)
		require.Equal(t, want, all[2*n].Reason)
		require.Equal(t, steady.KindDone, all[2*n+1].Kind)
		require.Equal(t, steady.Failure, all[2*n+1].Outcome)
		require.ErrorIs(t, all[2*n+1].Err, steady.ErrNoReturn)
	}
	require.Equal(t, errDown, all[0].Err)
}

func TestHangObeysItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "hang", Effect: chaos.Hang(), Rate: 1})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errNatural)
		defer cancel()
		start := time.Now()
		err := i.Do(ctx, fixed)
		require.Equal(t, time.Minute, time.Since(start))
		require.ErrorIs(t, err, chaos.ErrInjected)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, errNatural)
	})
}

func TestHangIgnoringContextDoesNotObeyIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "hang", Effect: chaos.HangIgnoringContext(), Rate: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := i.Do(ctx, fixed)
		require.Equal(t, time.Hour, time.Since(start), "the end of the plan")
		require.ErrorIs(t, err, chaos.ErrInjected)
	})
}

func TestHangsAreReleasedAtThePlansEnd(t *testing.T) {
	for name, e := range map[string]chaos.Effect{"hang": chaos.Hang(), "hang ignoring context": chaos.HangIgnoringContext()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := injector(t, chaos.Fault{Name: "hang", Effect: e, Rate: 1, Until: time.Minute})
				time.Sleep(10 * time.Second)
				start := time.Now()
				err := do(t, i)
				require.Equal(t, time.Hour-10*time.Second, time.Since(start), "not at that of the window")
				require.ErrorIs(t, err, chaos.ErrInjected)
				require.EqualError(t, err, "chaos: injected by hang")
			})
		})
	}
}

func TestTheReplyIsLostAfterTheCallRanOnce(t *testing.T) {
	var r steadytest.Recorder
	i := armed(t, chaos.Config{Hook: &r, Faults: []chaos.Fault{{Name: "lost", Effect: chaos.LoseReply(errDown), Rate: 1}}}, time.Hour)
	ran := 0
	err := i.Do(t.Context(), func(context.Context) error { ran++; return nil })
	require.ErrorIs(t, err, chaos.ErrInjected)
	require.ErrorIs(t, err, errDown)
	require.Equal(t, 1, ran)

	r.Reset()
	err = i.Do(t.Context(), func(context.Context) error { ran++; return errNatural })
	require.Same(t, errNatural, err, "the call's own error wins")
	require.Equal(t, 2, ran)
	require.Empty(t, r.Events(steady.KindInjected))
	require.Equal(t, uint64(1), i.Stats().Injected["lost"])
}

func TestAReplyIsNotLostAfterThePlansEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "lost", Effect: chaos.LoseReply(nil), Rate: 1})
		require.NoError(t, i.Do(t.Context(), func(context.Context) error { time.Sleep(time.Hour); return nil }))
	})
}
