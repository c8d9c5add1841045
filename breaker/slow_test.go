package breaker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/steadytest"
)

// takes makes n calls, one after the other, that succeed after d.
func takes(t *testing.T, p steady.Policy, n int, d time.Duration) {
	t.Helper()
	for range n {
		require.NoError(t, p.Do(t.Context(), func(context.Context) error { time.Sleep(d); return nil }))
	}
}

func TestOpensOnSlowCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{SlowAfter: 100 * time.Millisecond})
		takes(t, b, 10, 100*time.Millisecond-1)
		takes(t, b, 9, 100*time.Millisecond)
		require.Equal(t, int64(9), b.Stats().Slow)
		require.Equal(t, breaker.Closed, b.State())
		takes(t, b, 1, time.Second)
		require.Equal(t, breaker.Open, b.State(), "10 of 20 were slow")
	})
}

func TestSlowCallsCountBeforeTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		b := breaker.MustNew(breaker.Config{SlowAfter: time.Second, SlowRatio: 0.57, Hook: &r})
		release := make(chan struct{})
		for range 12 {
			go func() { _ = b.Do(t.Context(), func(context.Context) error { <-release; return nil }) }()
		}
		takes(t, b, 8, 0)
		synctest.Wait()
		time.Sleep(time.Second - 1)
		require.Zero(t, b.Stats().Overdue)
		takes(t, b, 1, 0)
		require.Equal(t, breaker.Closed, b.State())

		time.Sleep(time.Second/8 + 1)
		require.Equal(t, int64(12), b.Stats().Overdue, "an eighth later at the latest")
		requireRefuses(t, b)
		last := r.Events(steady.KindState)
		require.Equal(t, "slow ratio", last[len(last)-1].Reason)
		close(release)
	})
}

func TestOverdueCallsCountOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{SlowAfter: time.Second, MinCalls: 100})
		release := make(chan struct{})
		for range 5 {
			go func() { _ = b.Do(t.Context(), func(context.Context) error { <-release; return nil }) }()
		}
		time.Sleep(time.Minute)
		takes(t, b, 1, 0)
		require.Equal(t, []int64{5, 1, 0}, []int64{b.Stats().Overdue, b.Stats().Calls, b.Stats().Slow})
		close(release)
		synctest.Wait()
		require.Equal(t, []int64{0, 6, 5}, []int64{b.Stats().Overdue, b.Stats().Calls, b.Stats().Slow})
	})
}

func TestCallsThatHangAreSeenThoughNoneStartsAfterThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{SlowAfter: time.Second, MinCalls: 3})
		var hung []*breaker.Permit
		for range 3 {
			p, err := b.Allow(t.Context())
			require.NoError(t, err)
			hung = append(hung, p)
		}
		time.Sleep(time.Second + time.Second/8 - 1)
		require.Zero(t, b.Stats().Overdue)
		time.Sleep(time.Nanosecond)
		require.Equal(t, int64(3), b.Stats().Overdue)
		hung[0].Done(nil)
		require.Equal(t, breaker.Open, b.State(), "one was slow and two hang")
	})
}

func TestForcedClosedCountsSlowCallsThoughNobodyListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{SlowAfter: time.Second})
		b.ForceClosed()
		takes(t, b, 1, time.Second)
		require.Equal(t, int64(1), b.Stats().Slow)
	})
}

func TestASlowProbeCountsAsFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{SlowAfter: time.Second})
		time.Sleep(b.Stats().RetryAfter)
		takes(t, b, 2, time.Second)
		require.Equal(t, breaker.Open, b.State())
	})
}

func TestSlowIgnoredCallsChangeNoVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{SlowAfter: time.Second, MinCalls: 1})
		ctx, cancel := context.WithCancel(t.Context())
		err := b.Do(ctx, func(context.Context) error { time.Sleep(time.Hour); cancel(); return ctx.Err() })
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, b.Stats().Slow)
		require.Equal(t, breaker.Closed, b.State())
	})
}

func TestRampAdmitsAGrowingShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		b := tripped(t, breaker.Config{Name: "db", Ramp: 10 * time.Second, Hook: &r})
		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 2, nil)
		require.Equal(t, breaker.Closed, b.State())
		admitted := func() (n int) {
			for range 1000 {
				err := b.Do(t.Context(), ok)
				if err == nil {
					n++
					continue
				}
				require.ErrorIs(t, err, breaker.ErrOpen)
				require.EqualError(t, err, "breaker: db is closing slowly")
			}
			return n
		}
		// Shares within six standard deviations.
		require.InDelta(t, 100, admitted(), 60, "a tenth at first")
		last := r.Events()
		require.Contains(t, []string{"ramp", ""}, last[len(last)-1].Reason)
		time.Sleep(5 * time.Second)
		require.InDelta(t, 550, admitted(), 95, "halfway")
		time.Sleep(5 * time.Second)
		require.Equal(t, 1000, admitted(), "all in the end")
	})
}

func TestRampDrawsFromTheContextsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{})
		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 2, nil)
		require.ErrorIs(t, b.Do(steady.ContextWithSource(t.Context(), constant(0.1)), ok), breaker.ErrOpen)
		require.NoError(t, b.Do(steady.ContextWithSource(t.Context(), constant(0.0999)), ok))
	})
}

// constant is a source of draws that are all the same.
type constant float64

func (c constant) Float64(string, uint64) float64 { return float64(c) }

func TestWithoutARampAllAreAdmittedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{Ramp: breaker.Off})
		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 1000, nil)
	})
}

func TestDryRunRefusesNothingAndReportsWhatItWould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		b := tripped(t, breaker.Config{DryRun: true, Hook: &r})
		r.Reset()
		do(t, b, 5, errBoom)
		require.Equal(t, breaker.Open, b.State())
		would := r.Events(steady.KindDryRun)
		require.Len(t, would, 5)
		require.Equal(t, "open", would[0].Reason)
		require.ErrorIs(t, would[0].Err, breaker.ErrOpen)
		require.Len(t, r.Outcomes(), 5)
		for _, e := range r.Outcomes() {
			require.Equal(t, []any{steady.KindDone, steady.Failure}, []any{e.Kind, e.Outcome}, "the calls were made")
		}

		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 2, nil)
		require.Equal(t, breaker.Closed, b.State(), "states change as they would have")
	})
}

func TestDryRunOfAGroupPicksAsIfAllWereClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{DryRun: true}})
		g.Get("a").ForceOpen()
		_, p, err := g.Pick(t.Context(), []string{"a"}, nil)
		require.NoError(t, err)
		p.Done(nil)
	})
}

func TestWithoutSlowAfterNoCallIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{})
		release := make(chan struct{})
		for range 30 {
			go func() { _ = b.Do(t.Context(), func(context.Context) error { <-release; return nil }) }()
		}
		time.Sleep(time.Hour)
		takes(t, b, 1, time.Hour)
		require.Equal(t, breaker.Stats{Calls: 1}, b.Stats())
		close(release)
	})
}

func TestWithoutAFailureRatioSlowCallsStillOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{FailureRatio: breaker.Off, SlowAfter: time.Second})
		do(t, b, 100, errBoom)
		require.Equal(t, breaker.Closed, b.State())
		time.Sleep(time.Minute)
		takes(t, b, 19, time.Second)
		require.Equal(t, breaker.Closed, b.State())
		takes(t, b, 1, time.Second)
		require.Equal(t, breaker.Open, b.State())
	})
}

func TestHangingCallsCountAfterARampToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{SlowAfter: time.Second})
		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 2, nil)
		require.Equal(t, breaker.Closed, b.State())
		time.Sleep(3 * time.Second)
		do(t, b, 1, nil) // notices that the ramp is over
		release := make(chan struct{})
		for range 12 {
			go func() { _ = b.Do(t.Context(), func(context.Context) error { <-release; return nil }) }()
		}
		time.Sleep(2 * time.Second)
		takes(t, b, 1, 0)
		require.Equal(t, int64(12), b.Stats().Overdue)
		close(release)
	})
}
