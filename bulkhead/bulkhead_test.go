package bulkhead_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/steadytest"
)

func ok(context.Context) error { return nil }

func TestConfigNamesEveryFaultAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		config bulkhead.Config
		want   []string
	}{
		"zero": {bulkhead.Config{}, []string{
			"bulkhead: Config.Limit must be between 1 and 2147483647, got 0",
		}},
		"negative": {bulkhead.Config{Limit: -1, Queue: -1, MaxWait: -2}, []string{
			"bulkhead: Config.Limit must be between 1 and 2147483647, got -1",
			"bulkhead: Config.Queue must be between 0 and 2147483647, got -1",
			"bulkhead: Config.MaxWait must be > 0, or NoMaxWait, got -2ns",
		}},
		"too large": {bulkhead.Config{Limit: math.MaxInt32 + 1, Queue: math.MaxInt32 + 1, MaxWait: 1}, []string{
			"bulkhead: Config.Limit must be between 1 and 2147483647, got 2147483648",
			"bulkhead: Config.Queue must be between 0 and 2147483647, got 2147483648",
		}},
		"queue without a bound": {bulkhead.Config{Limit: 1, Queue: 1}, []string{
			"bulkhead: Config.MaxWait must be set with a Queue, got 0s",
		}},
		"bound without a queue": {bulkhead.Config{Limit: 1, MaxWait: time.Second}, []string{
			"bulkhead: Config.MaxWait must be 0 without a Queue, got 1s",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := bulkhead.New(test.config)
			require.Nil(t, b)
			require.EqualError(t, err, strings.Join(test.want, "\n"))
			require.Panics(t, func() { bulkhead.MustNew(test.config) })
		})
	}
}

func TestConfigTakesTheEdges(t *testing.T) {
	for name, c := range map[string]bulkhead.Config{
		"smallest": {Limit: 1, Queue: 1, MaxWait: 1},
		"largest":  {Limit: math.MaxInt32, Queue: math.MaxInt32, MaxWait: math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := bulkhead.New(c)
			require.NoError(t, err)
			require.NoError(t, b.SetLimit(1))
			require.NoError(t, b.SetLimit(math.MaxInt32))
			require.Equal(t, math.MaxInt32, b.Stats().Limit)
		})
	}
}

func acquire(t *testing.T, b *bulkhead.Bulkhead) *bulkhead.Permit {
	t.Helper()
	p, err := b.Acquire(t.Context())
	require.NoError(t, err)
	return p
}

func TestRefusesWhatIsBeyondTheLimit(t *testing.T) {
	b := bulkhead.MustNew(bulkhead.Config{Name: "db", Limit: 2})
	first, second := acquire(t, b), acquire(t, b)
	err := b.Do(t.Context(), func(context.Context) error { t.Error("started"); return nil })
	require.ErrorIs(t, err, bulkhead.ErrFull)
	require.EqualError(t, err, "bulkhead: full (db)")
	r, isRejection := steady.AsRejection(err)
	require.True(t, isRejection)
	policy, name, key := r.RejectedBy()
	require.Equal(t, []string{"bulkhead", "db", ""}, []string{policy, name, key})
	_, known := r.RetryAfter()
	require.False(t, known)

	first.Release()
	require.NoError(t, b.Do(t.Context(), ok))
	second.Release()
	require.Equal(t, bulkhead.Stats{Limit: 2}, b.Stats())
}

func TestTheQueueIsServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 5, MaxWait: time.Minute})
		first := acquire(t, b)
		var mu sync.Mutex
		var order []int
		for i := range 5 {
			go func() {
				_ = b.Do(t.Context(), func(context.Context) error {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, i)
					return nil
				})
			}()
			synctest.Wait()
		}
		require.Equal(t, bulkhead.Stats{Limit: 1, InFlight: 1, Waiting: 5}, b.Stats())
		require.ErrorIs(t, b.Do(t.Context(), ok), bulkhead.ErrFull, "the queue is full")
		_, err := b.TryAcquire(t.Context())
		require.ErrorIs(t, err, bulkhead.ErrFull)
		first.Release()
		synctest.Wait()
		require.Equal(t, []int{0, 1, 2, 3, 4}, order)
		require.Equal(t, bulkhead.Stats{Limit: 1}, b.Stats())
	})
}

func TestWaitsNoLongerThanMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: time.Second, Hook: &r})
		defer acquire(t, b).Release()
		start := time.Now()
		require.ErrorIs(t, b.Do(t.Context(), ok), bulkhead.ErrMaxWait)
		require.Equal(t, time.Second, time.Since(start))
		require.Equal(t, bulkhead.Stats{Limit: 1, InFlight: 1}, b.Stats())
		require.Equal(t, []string{"max wait", "1s"}, []string{r.Outcomes()[0].Reason, r.Outcomes()[0].Wait.String()})
	})
}

func TestWithoutMaxWaitTheContextBoundsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: bulkhead.NoMaxWait})
		defer acquire(t, b).Release()
		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, gone)
		defer cancel()
		start := time.Now()
		err := b.Do(ctx, ok)
		require.Equal(t, time.Hour, time.Since(start))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, gone)
		require.Equal(t, bulkhead.Stats{Limit: 1, InFlight: 1}, b.Stats())
	})
}

// A queue that moves by one each 100 ms will not reach the fourth place within
// 250 ms: who has no more time than that need not wait in vain.
func TestRefusesAtOnceWhoHasNoTimeToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 10, MaxWait: time.Minute})
		for range 6 {
			go func() {
				_ = b.Do(t.Context(), func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil })
			}()
			synctest.Wait()
		}
		try := func(left time.Duration) (waited time.Duration, err error) {
			ctx, cancel := context.WithTimeout(t.Context(), left)
			defer cancel()
			start := time.Now()
			err = b.Do(ctx, ok)
			return time.Since(start), err
		}
		waited, err := try(50 * time.Millisecond)
		require.ErrorIs(t, err, context.DeadlineExceeded, "the pace is not known yet")
		require.Equal(t, 50*time.Millisecond, waited)

		time.Sleep(210 * time.Millisecond) // 260 ms: one runs, three wait
		require.Equal(t, 3, b.Stats().Waiting)
		waited, err = try(250 * time.Millisecond)
		require.ErrorIs(t, err, bulkhead.ErrMaxWait)
		require.Zero(t, waited)
		_, err = try(450 * time.Millisecond)
		require.NoError(t, err)

		// When the queue has gone, its pace is forgotten.
		time.Sleep(time.Hour)
		p := acquire(t, b)
		waited, err = try(time.Millisecond)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Millisecond, waited)
		p.Release()
	})
}

func TestSetLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 5, MaxWait: time.Minute})
		var permits []*bulkhead.Permit
		permits = append(permits, acquire(t, b))
		release := make(chan struct{})
		for range 3 {
			go func() { _ = b.Do(t.Context(), func(context.Context) error { <-release; return nil }) }()
		}
		synctest.Wait()
		require.NoError(t, b.SetLimit(3))
		synctest.Wait()
		require.Equal(t, bulkhead.Stats{Limit: 3, InFlight: 3, Waiting: 1}, b.Stats())
		require.NoError(t, b.SetLimit(1))
		permits[0].Release()
		synctest.Wait()
		require.Equal(t, bulkhead.Stats{Limit: 1, InFlight: 2, Waiting: 1}, b.Stats(), "nobody starts above the new limit")
		close(release)
		synctest.Wait()
		require.Equal(t, bulkhead.Stats{Limit: 1}, b.Stats())

		require.EqualError(t, b.SetLimit(0), "bulkhead: SetLimit.limit must be between 1 and 2147483647, got 0")
		require.Equal(t, 1, b.Stats().Limit)
	})
}

func TestHookHearsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		b := bulkhead.MustNew(bulkhead.Config{Name: "db", Limit: 1, Queue: 1, MaxWait: time.Minute, Hook: &r})
		p := acquire(t, b)
		time.AfterFunc(time.Second, p.Release)
		require.NoError(t, b.Do(t.Context(), func(context.Context) error { time.Sleep(time.Minute); return nil }))
		e := r.Outcomes()[1]
		require.Equal(t, steady.Event{
			Kind: steady.KindDone, Policy: "bulkhead", Name: "db",
			Outcome: steady.Success, Wait: time.Second, Duration: time.Minute,
		}, e)
	})
}

func TestDryRunRefusesNothingAndReportsWhatItWould(t *testing.T) {
	var r steadytest.Recorder
	b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: time.Second, DryRun: true, Hook: &r})
	permits := []*bulkhead.Permit{acquire(t, b), acquire(t, b)}
	require.Empty(t, r.Events(), "the second would have been queued")
	permits = append(permits, acquire(t, b))
	require.NoError(t, b.Do(t.Context(), ok))
	would := r.Events(steady.KindDryRun)
	require.Len(t, would, 2)
	require.Equal(t, "full", would[0].Reason)
	require.ErrorIs(t, would[0].Err, bulkhead.ErrFull)
	require.Equal(t, 3, b.Stats().InFlight, "what would have been refused included")
	for _, p := range permits {
		p.Release()
	}
	require.Equal(t, bulkhead.Stats{Limit: 1, DryRun: true}, b.Stats())
	require.Len(t, r.Outcomes(), 4)
}
