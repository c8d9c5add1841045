package timeout_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/steadytest"
	"github.com/steady-go/steady/timeout"
)

// slowDone is a context that keeps whoever asks for its channel waiting, once it is
// told to: as if the goroutine were not scheduled for a while.
type slowDone struct {
	context.Context
	slow bool
}

func (s *slowDone) Done() <-chan struct{} {
	if s.slow {
		time.Sleep(time.Second)
	}
	return s.Context.Done()
}

// In Abandon mode a call used to end its context before it told its caller that it
// was over. The caller took the end of the context for that of the limit, and left
// if the call's goroutine was not scheduled again within the grace: a success came
// back as context.DeadlineExceeded, with nobody's deadline passed.
func TestACallThatHasEndedIsNotAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Hour, Abandon: true})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		caller := &slowDone{Context: ctx}
		err := p.Do(caller, func(ctx context.Context) error {
			_ = ctx.Done()
			time.Sleep(time.Millisecond)
			caller.slow = true
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, timeout.Stats{}, p.Stats())
	})
}

// A context that nobody had asked for anything lost the caller's values of keys of
// one type after the call, and its cause.
func TestTheContextKeepsWhatIsTheCallersAfterTheCall(t *testing.T) {
	key := new(int)
	gone := errors.New("gone")
	caller, cancel := context.WithCancelCause(context.WithValue(t.Context(), key, "trace"))
	p := timeout.MustNew(timeout.Config{Limit: time.Hour})
	var kept context.Context
	require.NoError(t, p.Do(caller, func(ctx context.Context) error { kept = ctx; return nil }))
	require.Equal(t, "trace", kept.Value(key))
	require.Equal(t, "trace", context.WithoutCancel(kept).Value(key))

	require.NoError(t, p.Do(caller, func(ctx context.Context) error { kept = ctx; cancel(gone); return nil }))
	require.Equal(t, context.Canceled, kept.Err())
	require.Equal(t, gone, context.Cause(kept))
}

// Package fmt prints a struct by reading its fields, which is a race when the context
// is being made meanwhile.
func TestTheContextMayBePrinted(t *testing.T) {
	p := timeout.MustNew(timeout.Config{Limit: time.Hour})
	require.NoError(t, p.Do(t.Context(), func(ctx context.Context) error {
		var wg sync.WaitGroup
		wg.Go(func() { _ = ctx.Done() })
		wg.Go(func() { require.Contains(t, fmt.Sprintf("%v", ctx), "timeout.Context") })
		wg.Wait()
		return nil
	}))
}

// In Abandon mode the context had ended before our limit was asked about, so that
// the error of a client that keeps the deadline itself came back as it was.
func TestAbandonModeKnowsItsLimitToo(t *testing.T) {
	for _, abandon := range []bool{false, true} {
		p := timeout.MustNew(timeout.Config{Limit: 100 * time.Microsecond, Abandon: abandon})
		for range 50 {
			err := p.Do(t.Context(), func(ctx context.Context) error {
				deadline, _ := ctx.Deadline()
				for time.Now().Before(deadline) {
					continue
				}
				return os.ErrDeadlineExceeded
			})
			require.ErrorIs(t, err, timeout.ErrExceeded)
		}
	}
}

// A call that ended while the hook heard that it was abandoned was reported as late
// before that, and before the outcome of its Do.
func TestALateCallIsReportedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		slow := steady.HookFunc(func(ctx context.Context, e steady.Event) {
			if e.Kind == steady.KindAbandoned {
				time.Sleep(time.Second)
			}
			r.On(ctx, e)
		})
		p := timeout.MustNew(timeout.Config{Limit: time.Second, Abandon: true, Hook: slow})
		require.ErrorIs(t, p.Do(t.Context(), sleeps(1500*time.Millisecond, nil)), timeout.ErrExceeded)
		synctest.Wait()
		var kinds []string
		for _, e := range r.Events() {
			kinds = append(kinds, e.Kind.String())
		}
		require.Equal(t, []string{"abandoned", "done", "late"}, kinds)
	})
}
