package breaker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/steadytest"
)

// do makes n calls under b that end in err.
func do(t *testing.T, b steady.Policy, n int, err error) {
	t.Helper()
	for range n {
		require.ErrorIs(t, b.Do(t.Context(), func(context.Context) error { return err }), err)
	}
}

func requireRefuses(t *testing.T, b steady.Policy) {
	t.Helper()
	err := b.Do(t.Context(), func(context.Context) error {
		t.Error("a refused call was started")
		return nil
	})
	require.ErrorIs(t, err, breaker.ErrOpen)
}

func TestOpensOnTheFailureRatio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{})
		do(t, b, 10, nil)
		do(t, b, 9, errBoom)
		require.Equal(t, breaker.Closed, b.State(), "19 calls are below MinCalls")
		do(t, b, 1, errBoom)
		require.Equal(t, breaker.Open, b.State(), "10 of 20 failed")
		requireRefuses(t, b)
	})
}

func TestASuccessNeverOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{})
		do(t, b, 19, errBoom)
		do(t, b, 1, nil)
		require.Equal(t, breaker.Closed, b.State())
		do(t, b, 1, errBoom)
		require.Equal(t, breaker.Open, b.State())
	})
}

func TestOpensOnFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{FailureRatio: breaker.Off, ConsecutiveFailures: 3})
		do(t, b, 2, errBoom)
		do(t, b, 1, nil)
		do(t, b, 2, errBoom)
		require.Equal(t, breaker.Closed, b.State(), "a success ends the row")
		do(t, b, 1, errBoom)
		require.Equal(t, breaker.Open, b.State())
	})
}

func TestIgnoredCallsCountForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		notFound := errors.New("not found")
		b := breaker.MustNew(breaker.Config{ConsecutiveFailures: 2, Classify: func(err error) steady.Outcome {
			if errors.Is(err, notFound) {
				return steady.Ignored
			}
			return steady.Failure
		}})
		do(t, b, 1, errBoom)
		do(t, b, 100, notFound)
		require.Equal(t, int64(1), b.Stats().Calls)
		do(t, b, 1, errBoom)
		require.Equal(t, breaker.Open, b.State(), "what is ignored does not end a row either")
	})
}

func TestHalfOpenClosesWhenProbesSucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{})
		time.Sleep(b.Stats().RetryAfter)
		require.Equal(t, breaker.HalfOpen, b.State())
		do(t, b, 1, nil)
		require.Equal(t, breaker.HalfOpen, b.State(), "one of three says nothing yet")
		do(t, b, 1, nil)
		require.Equal(t, breaker.Closed, b.State(), "one failure of three would be below the ratio")
		require.Zero(t, b.Stats().Calls, "a new window")
	})
}

func TestOpenTimeStartsOverAfterAHealthyWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{})
		recover := func() {
			time.Sleep(b.Stats().RetryAfter)
			do(t, b, 2, nil)
			require.Equal(t, breaker.Closed, b.State())
		}
		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 2, errBoom)
		require.InDelta(t, 10*time.Second, b.Stats().RetryAfter, float64(2*time.Second))

		recover()
		time.Sleep(29 * time.Second)
		do(t, b, 2, errBoom)
		require.InDelta(t, 10*time.Second, b.Stats().RetryAfter, float64(2*time.Second), "closed for less than a window")

		recover()
		time.Sleep(30 * time.Second)
		do(t, b, 2, errBoom)
		require.InDelta(t, 5*time.Second, b.Stats().RetryAfter, float64(time.Second))
	})
}

func TestRejectionSaysWhoRefusedAndWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{Name: "db"})
		err := b.Do(t.Context(), ok)
		require.EqualError(t, err, "breaker: db is open")
		r, isRejection := steady.AsRejection(err)
		require.True(t, isRejection)
		policy, name, key := r.RejectedBy()
		require.Equal(t, []string{"breaker", "db", ""}, []string{policy, name, key})
		before, known := r.RetryAfter()
		require.True(t, known)
		time.Sleep(time.Second)
		after, _ := r.RetryAfter()
		require.Equal(t, before-time.Second, after, "computed when asked")
		time.Sleep(after)
		_, known = r.RetryAfter()
		require.False(t, known)

		b.ForceOpen()
		err = b.Do(t.Context(), ok)
		require.EqualError(t, err, "breaker: db is forced-open")
		r, _ = steady.AsRejection(err)
		_, known = r.RetryAfter()
		require.False(t, known, "a forced state has no end")
	})
}

func TestForcedStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{ConsecutiveFailures: 2})
		b.ForceOpen()
		time.Sleep(time.Hour)
		requireRefuses(t, b)

		b.ForceClosed()
		do(t, b, 50, errBoom)
		require.Equal(t, breaker.ForcedClosed, b.State())
		require.Equal(t, int64(50), b.Stats().Failures, "it counts")

		b.Disable()
		do(t, b, 50, errBoom)
		require.Equal(t, breaker.Disabled, b.State())
		require.Zero(t, b.Stats().Calls, "it does not count")

		b.Reset()
		require.Equal(t, breaker.Closed, b.State())
		require.Zero(t, b.Stats().Calls)
		do(t, b, 2, errBoom)
		require.Equal(t, breaker.Open, b.State())
		b.Reset()
		do(t, b, 1, nil)
	})
}

func TestStateNames(t *testing.T) {
	names := ""
	for s := breaker.Closed; s <= breaker.Disabled+1; s++ {
		names += s.String() + " "
	}
	require.Equal(t, "closed open half-open forced-open forced-closed disabled unknown ", names)
}

func TestEventsTellTheStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		b := tripped(t, breaker.Config{Name: "db", Hook: &r})
		requireRefuses(t, b)
		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 2, nil)

		var got []string
		for _, e := range r.Events() {
			require.Equal(t, "breaker", e.Policy)
			require.Equal(t, "db", e.Name)
			line := e.Kind.String()
			switch e.Kind {
			case steady.KindState:
				line += " " + e.From + ">" + e.To + " " + e.Reason
			case steady.KindDone:
				line += " " + e.Outcome.String()
			case steady.KindRejected:
				line += " " + e.Reason
			}
			got = append(got, line)
		}
		require.Equal(t, []string{
			"state >closed ",
			"done failure",
			"state closed>open failures in a row",
			"done failure",
			"rejected open",
			"state open>half-open open time is over",
			"done success",
			"state half-open>closed probes succeeded",
			"done success",
		}, got)
		for i, e := range r.Events(steady.KindState) {
			require.Equal(t, uint64(i), e.Seq)
			if e.To == breaker.Open.String() {
				require.InDelta(t, 5*time.Second, e.Delay, float64(time.Second), "how long it stays open")
			} else {
				require.Zero(t, e.Delay)
			}
		}
	})
}

func TestPermitCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{})
		p, err := b.Allow(t.Context())
		require.NoError(t, err)
		p.Done(errBoom)
		p.Done(errBoom)
		p.Cancel()
		require.Equal(t, int64(1), b.Stats().Calls)

		p, err = b.Allow(t.Context())
		require.NoError(t, err)
		p.Cancel()
		p.Done(nil)
		require.Equal(t, int64(1), b.Stats().Calls, "a cancelled permit counts for nothing")

		p, err = b.Allow(t.Context())
		require.NoError(t, err)
		require.ErrorIs(t, p.Do(t.Context(), fail), errBoom)
		require.Equal(t, int64(2), b.Stats().Failures)

		p, err = b.Allow(t.Context())
		require.NoError(t, err)
		require.Panics(t, func() { _ = p.Do(t.Context(), func(context.Context) error { panic("boom") }) })
		require.Equal(t, int64(3), b.Stats().Failures)
	})
}

func TestPermitDoJudgesByItsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew(breaker.Config{})
		allow := func() *breaker.Permit {
			p, err := b.Allow(t.Context())
			require.NoError(t, err)
			return p
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		waits := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		require.ErrorIs(t, allow().Do(ctx, waits), context.DeadlineExceeded)
		require.Zero(t, b.Stats().Calls, "a caller with 1 ms left")
		err := allow().Do(ctx, func(context.Context) error { t.Error("started on a done context"); return nil })
		require.ErrorIs(t, err, context.DeadlineExceeded)

		long, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, allow().Do(long, waits), context.DeadlineExceeded)
		require.Equal(t, int64(1), b.Stats().Failures, "a hang")

		p := allow()
		p.Cancel()
		err = p.Do(t.Context(), func(context.Context) error { t.Error("started without a permit"); return nil })
		require.ErrorIs(t, err, breaker.ErrPermitEnded)
	})
}

func TestAClassifyThatPanicsIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		b := breaker.MustNew(breaker.Config{Hook: &r, Classify: func(error) steady.Outcome { panic("classify") }})
		require.PanicsWithValue(t, "classify", func() { _ = b.Do(t.Context(), fail) })
		require.Equal(t, int64(1), b.Stats().Failures)
		require.Equal(t, steady.Failure, r.Outcomes()[0].Outcome)
	})
}

func TestPermitsOfAHalfOpenBreakerAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{})
		time.Sleep(b.Stats().RetryAfter)
		var permits []*breaker.Permit
		for range 3 {
			p, err := b.Allow(t.Context())
			require.NoError(t, err)
			permits = append(permits, p)
		}
		requireRefuses(t, b)
		permits[0].Cancel()
		p, err := b.Allow(t.Context())
		require.NoError(t, err, "a cancelled permit gives its place back")
		permits[1].Done(nil)
		requireRefuses(t, b)
		p.Done(nil)
		require.Equal(t, breaker.Closed, b.State())
	})
}

func TestAllowRefusesLikeDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{})
		p, err := b.Allow(t.Context())
		require.Nil(t, p)
		require.Equal(t, b.Do(t.Context(), ok), err)
		require.ErrorIs(t, err, breaker.ErrOpen)
	})
}

func TestForcingTheSameStateAgainChangesNothing(t *testing.T) {
	var r steadytest.Recorder
	b := breaker.MustNew(breaker.Config{Hook: &r})
	b.ForceClosed()
	do(t, b, 1, nil)
	b.ForceClosed()
	require.Equal(t, int64(1), b.Stats().Calls)
	require.Len(t, r.Events(steady.KindState), 2)
	require.Equal(t, "forced", r.Events(steady.KindState)[1].Reason)
	b.Reset()
	require.Equal(t, "reset", r.Events(steady.KindState)[2].Reason)
	do(t, b, 1, nil)
	b.Reset()
	require.Zero(t, b.Stats().Calls, "but a reset is a new start each time")
	require.Equal(t, uint64(3), b.Stats().Seq)
}

func TestWithoutAFailureRatioHalfOfTheProbesDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			failures int
			want     breaker.State
		}{{1, breaker.HalfOpen}, {2, breaker.Open}} {
			b := tripped(t, breaker.Config{FailureRatio: breaker.Off, Probes: 4})
			time.Sleep(b.Stats().RetryAfter)
			do(t, b, 2, nil)
			do(t, b, test.failures, errBoom)
			require.Equal(t, test.want, b.State(), "%d of 4 failed", test.failures)
		}
	})
}

func TestProbesThatEndedKeepTheirPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{Probes: 5})
		time.Sleep(b.Stats().RetryAfter)
		do(t, b, 1, nil)
		do(t, b, 1, errBoom)
		for range 3 {
			_, err := b.Allow(t.Context())
			require.NoError(t, err)
		}
		requireRefuses(t, b)
		require.Equal(t, 3, b.Stats().Probes)
	})
}

func TestAProbeHasFailedWhenItsLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, breaker.Config{Probes: 1})
		lease := b.Stats().RetryAfter
		time.Sleep(lease)
		_, err := b.Allow(t.Context())
		require.NoError(t, err)
		time.Sleep(lease - 1)
		requireRefuses(t, b)
		require.Equal(t, 1, b.Stats().Probes)
		time.Sleep(time.Nanosecond)
		requireRefuses(t, b)
		require.Equal(t, breaker.Open, b.State())
	})
}
