package timeout_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/steadytest"
	"github.com/steady-go/steady/timeout"
)

// sleeps ignores its context.
func sleeps(d time.Duration, err error) func(context.Context) error {
	return func(context.Context) error { time.Sleep(d); return err }
}

func TestConfigOfAbandonAndMinRemaining(t *testing.T) {
	_, err := timeout.New(timeout.Config{Limit: time.Second, MaxAbandoned: -1, MinRemaining: -1})
	require.EqualError(t, err, strings.Join([]string{
		"timeout: Config.MaxAbandoned must be >= 0, got -1",
		"timeout: Config.MinRemaining must be >= 0 and below Limit, got -1ns",
	}, "\n"))
	_, err = timeout.New(timeout.Config{Limit: time.Second, MaxAbandoned: 1, MinRemaining: time.Second})
	require.EqualError(t, err, strings.Join([]string{
		"timeout: Config.MaxAbandoned must be 0 without Abandon, got 1",
		"timeout: Config.MinRemaining must be >= 0 and below Limit, got 1s",
	}, "\n"))
}

func TestEndingsOfCallsThatMayBeAbandoned(t *testing.T) {
	steadytest.TestPolicy(t, steadytest.Subject{New: func(_ *testing.T, h steady.Hook) (steady.Policy, func() any) {
		p := timeout.MustNew(timeout.Config{Limit: time.Second, Abandon: true, Hook: h})
		return p, func() any { return p.Stats().Abandoned }
	}})
}

func TestAbandonsACallThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		p := timeout.MustNew(timeout.Config{Name: "db", Limit: time.Second, Abandon: true, Hook: &r})
		start := time.Now()
		err := p.Do(t.Context(), sleeps(time.Minute, errBoom))
		require.InDelta(t, time.Second, time.Since(start), float64(10*time.Millisecond))
		require.ErrorIs(t, err, timeout.ErrExceeded)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, timeout.Stats{Abandoned: 1, AbandonedSoFar: 1}, p.Stats())

		time.Sleep(time.Minute)
		require.Equal(t, timeout.Stats{AbandonedSoFar: 1}, p.Stats())
		var kinds []string
		for _, e := range r.Events() {
			kinds = append(kinds, e.Kind.String())
		}
		require.Equal(t, []string{"abandoned", "done", "late"}, kinds)
		late := r.Events(steady.KindLate)[0]
		require.Equal(t, steady.Event{Kind: steady.KindLate, Policy: "timeout", Name: "db", Duration: time.Minute, Err: errBoom}, late)
	})
}

func TestACallThatObeysItsContextIsNotAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		p := timeout.MustNew(timeout.Config{Limit: time.Second, Abandon: true, Hook: &r})
		require.ErrorIs(t, p.Do(t.Context(), waits), timeout.ErrExceeded)
		require.NoError(t, p.Do(t.Context(), sleeps(time.Second, nil)), "a success at the last moment wins")
		require.NoError(t, p.Do(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Millisecond)
			return nil
		}), "and so does one that is on its way back")
		require.Empty(t, r.Events(steady.KindAbandoned))
		require.Zero(t, p.Stats().AbandonedSoFar)
	})
}

func TestACallerWhoCancelsLeavesTheCallToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(gone) })
		p := timeout.MustNew(timeout.Config{Limit: time.Minute, Abandon: true})
		err := p.Do(ctx, sleeps(time.Hour, nil))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, gone)
		require.NotErrorIs(t, err, timeout.ErrExceeded)
		require.Equal(t, 1, p.Stats().Abandoned)

		deadline, cancel2 := context.WithTimeout(t.Context(), time.Second)
		defer cancel2()
		err = p.Do(deadline, sleeps(time.Hour, nil))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, timeout.ErrExceeded)
		time.Sleep(time.Hour)
		require.Zero(t, p.Stats().Abandoned)
	})
}

func TestRefusesACallerWithTooLittleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		p := timeout.MustNew(timeout.Config{Limit: time.Second, MinRemaining: 100 * time.Millisecond, Hook: &r})
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond-1)
		defer cancel()
		err := p.Do(short, func(context.Context) error { t.Error("started"); return nil })
		require.ErrorIs(t, err, timeout.ErrNoTime)
		require.EqualError(t, err, "timeout: too little time left")
		require.Equal(t, steady.KindRejected, r.Outcomes()[0].Kind)

		enough, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		require.NoError(t, p.Do(enough, sleeps(0, nil)))
		require.NoError(t, p.Do(t.Context(), sleeps(0, nil)))
	})
}

// The context of a call is made only when it is asked for. However it is asked,
// it must be what the standard library's is.
func TestTheContextIsWhatTheStandardLibrarysIs(t *testing.T) {
	type key struct{}
	contexts := func(t *testing.T, caller context.Context, look func(context.Context)) {
		cause := errors.New("limit")
		std, cancel := context.WithTimeoutCause(caller, time.Second, cause)
		look(std)
		cancel()
		p := timeout.MustNew(timeout.Config{Limit: time.Second})
		require.NoError(t, p.Do(caller, func(ctx context.Context) error { look(ctx); return nil }))
	}
	for name, look := range map[string]func(*testing.T, context.Context){
		"Deadline": func(t *testing.T, ctx context.Context) {
			d, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, time.Second, time.Until(d))
		},
		"Err by the clock": func(t *testing.T, ctx context.Context) {
			require.NoError(t, ctx.Err())
			time.Sleep(time.Second)
			synctest.Wait()
			require.Equal(t, context.DeadlineExceeded, ctx.Err())
			require.Error(t, context.Cause(ctx))
			<-ctx.Done()
		},
		"Done": func(t *testing.T, ctx context.Context) {
			<-ctx.Done()
			require.Equal(t, context.DeadlineExceeded, ctx.Err())
		},
		"Cause first": func(t *testing.T, ctx context.Context) {
			require.NoError(t, context.Cause(ctx))
			time.Sleep(time.Second)
			synctest.Wait()
			require.NotEqual(t, context.DeadlineExceeded, context.Cause(ctx), "a cause of its own")
			require.Error(t, context.Cause(ctx))
		},
		"AfterFunc": func(t *testing.T, ctx context.Context) {
			ran := make(chan struct{})
			context.AfterFunc(ctx, func() { close(ran) })
			start := time.Now()
			<-ran
			require.Equal(t, time.Second, time.Since(start))
		},
		"derived": func(t *testing.T, ctx context.Context) {
			derived, cancel := context.WithCancel(context.WithValue(ctx, key{}, 2))
			defer cancel()
			<-derived.Done()
			require.Equal(t, context.DeadlineExceeded, derived.Err())
			require.Equal(t, context.Cause(ctx), context.Cause(derived))
		},
		"Value": func(t *testing.T, ctx context.Context) {
			require.Equal(t, 1, ctx.Value(key{}))
			require.Nil(t, ctx.Value("other"))
		},
		"many at once": func(t *testing.T, ctx context.Context) {
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					_ = ctx.Err()
					<-ctx.Done()
					_ = context.Cause(ctx)
				})
			}
			wg.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				contexts(t, context.WithValue(t.Context(), key{}, 1), func(ctx context.Context) { look(t, ctx) })
			})
		})
	}
	t.Run("no goroutine", func(t *testing.T) {
		caller, cancel := context.WithCancel(t.Context())
		defer cancel()
		contexts(t, caller, func(ctx context.Context) {
			before := runtime.NumGoroutine()
			for range 10 {
				_, cancel := context.WithCancel(ctx)
				defer cancel()
				context.AfterFunc(ctx, func() {})
			}
			require.LessOrEqual(t, runtime.NumGoroutine(), before)
		})
	})
	t.Run("after the call", func(t *testing.T) {
		var kept []context.Context
		contexts(t, t.Context(), func(ctx context.Context) { kept = append(kept, ctx) })
		for _, ctx := range kept {
			require.Equal(t, context.Canceled, ctx.Err())
			require.Equal(t, context.Canceled, context.Cause(ctx))
			<-ctx.Done()
		}
	})
	t.Run("caller cancels", func(t *testing.T) {
		gone := errors.New("gone")
		p := timeout.MustNew(timeout.Config{Limit: time.Second})
		for _, asked := range []bool{false, true} {
			caller, cancel := context.WithCancelCause(t.Context())
			require.NoError(t, p.Do(caller, func(ctx context.Context) error {
				if asked {
					_ = ctx.Done()
				}
				cancel(gone)
				require.Equal(t, context.Canceled, ctx.Err())
				require.Equal(t, gone, context.Cause(ctx))
				return nil
			}))
		}
	})
}

func TestAbandonInAChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := steady.Chain(timeout.MustNew(timeout.Config{Limit: time.Second, Abandon: true}))
		start := time.Now()
		require.ErrorIs(t, chain.Do(t.Context(), sleeps(time.Minute, nil)), timeout.ErrExceeded)
		require.Less(t, time.Since(start), 2*time.Second)
		time.Sleep(time.Minute)
	})
}

func TestTheCallersDeadlineShowsWhenItIsEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Minute})
		for left, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Hour: time.Minute} {
			caller, cancel := context.WithTimeout(t.Context(), left)
			defer cancel()
			require.NoError(t, p.Do(caller, func(ctx context.Context) error {
				deadline, ok := ctx.Deadline()
				require.True(t, ok)
				require.Equal(t, want, time.Until(deadline))
				return nil
			}))
		}
	})
}
