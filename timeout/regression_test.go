package timeout_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
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

// A caller who cancelled came back as our timeout if the limit passed while the call
// tidied up, and it had a place in the line: the line did not look who was first.
func TestTheLineDoesNotOutvoteTheCaller(t *testing.T) {
	p := timeout.NewOnALine(2 * time.Millisecond)
	caller, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("user went away")
	err := p.Do(caller, func(ctx context.Context) error {
		done := ctx.Done()
		cancel(cause)
		<-done
		for p.InLine() > 0 { // until the limit has passed
			runtime.Gosched()
		}
		require.Equal(t, cause, context.Cause(ctx))
		return ctx.Err()
	})
	require.Equal(t, context.Canceled, err)
}

// What a call returned that looked at its context only after both had passed was
// blamed on the caller's deadline, although our limit was first.
func TestOurLimitWasFirstAlsoForWhoLooksLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Second})
		caller, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		for _, look := range []func(context.Context) error{context.Context.Err, func(context.Context) error { return os.ErrDeadlineExceeded }} {
			var cause error
			err := p.Do(caller, func(ctx context.Context) error {
				time.Sleep(3 * time.Second)
				err := look(ctx)
				cause = context.Cause(ctx)
				return err
			})
			require.ErrorIs(t, err, timeout.ErrExceeded)
			require.ErrorIs(t, cause, timeout.ErrExceeded)
			caller, cancel = context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
		}
	})
}

// blocking is a context that keeps whoever asks for its channel, once it is told to.
type blocking struct {
	context.Context
	on    atomic.Bool
	block chan struct{}
}

func (b *blocking) Done() <-chan struct{} {
	if b.on.Load() {
		<-b.block
	}
	return b.Context.Done()
}

// The line ended one context after the other, and asked the caller's context of each,
// which may be anybody's: a slow one suspended the limits of all others.
func TestASlowCallerHoldsUpNobodyElsesLimit(t *testing.T) {
	p := timeout.NewOnALine(2 * time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow := &blocking{Context: ctx, block: make(chan struct{})}
	begun := make(chan struct{})
	var other sync.WaitGroup
	other.Go(func() {
		_ = p.Do(slow, func(ctx context.Context) error {
			done := ctx.Done()
			slow.on.Store(true)
			close(begun)
			<-done
			return nil
		})
	})
	<-begun
	require.ErrorIs(t, p.Do(context.Background(), waits), timeout.ErrExceeded)
	close(slow.block)
	other.Wait()
}

// hostile is a context whose Err panics, once it is told to.
type hostile struct {
	context.Context
	on atomic.Bool
}

func (h *hostile) Err() error {
	if h.on.Load() {
		panic("hostile")
	}
	return h.Context.Err()
}

// The caller's context is asked at the end of the call. One that panics then took the
// event with it, and in Abandon mode, on the goroutine of the call, the process.
func TestTheCallersContextMayPanicAtTheEnd(t *testing.T) {
	for _, abandon := range []bool{false, true} {
		var r steadytest.Recorder
		p := timeout.MustNew(timeout.Config{Limit: time.Hour, Abandon: abandon, Hook: &r})
		caller := &hostile{Context: t.Context()}
		require.PanicsWithValue(t, "hostile", func() {
			_ = p.Do(caller, func(context.Context) error { caller.on.Store(true); return nil })
		})
		require.Len(t, r.Outcomes(), 1)
	}
}

// A value that is not there was looked up twice by each Timeout around the call: a
// million times by twenty.
func TestValuesAreLookedUpOnce(t *testing.T) {
	looked := 0
	key := new(int)
	around := make([]steady.Policy, 20)
	for i := range around {
		around[i] = timeout.MustNew(timeout.Config{Limit: time.Hour})
	}
	require.NoError(t, steady.Chain(around...).Do(&counting{t.Context(), &looked}, func(ctx context.Context) error {
		looked = 0
		require.Nil(t, ctx.Value(key))
		return nil
	}))
	require.Equal(t, 1, looked)
}

type counting struct {
	context.Context
	n *int
}

func (c *counting) Value(key any) any { *c.n++; return c.Context.Value(key) }

// The timer of a line kept a Timeout that nobody used any more for up to its limit.
func TestAnUnusedTimeoutIsCollected(t *testing.T) {
	collected := make(chan struct{})
	func() {
		p := timeout.NewOnALine(time.Hour)
		require.NoError(t, p.Do(t.Context(), asks))
		runtime.AddCleanup(p, func(c chan struct{}) { close(c) }, collected)
	}()
	for {
		runtime.GC()
		select {
		case <-collected:
			return
		default:
			runtime.Gosched()
		}
	}
}
