package timeout_test

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/timeout"
)

// The other tests run in bubbles, where each context has a timer of its own. In a
// program they share one: so all of them must hold there too.
func TestTheOtherTestsHoldOnALine(t *testing.T) {
	if timeout.LinesEverywhere() {
		return // this is them
	}
	test := exec.CommandContext(t.Context(), os.Args[0], "-test.timeout=60s")
	test.Env = append(os.Environ(), timeout.OnALine+"=1")
	out, err := test.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "PASS")
}

// asks asks for Done, and leaves it at that.
func asks(ctx context.Context) error {
	_ = ctx.Done()
	return nil
}

func TestCallsThatOnlyWaitShareATimer(t *testing.T) {
	p := timeout.MustNew(timeout.Config{Limit: time.Hour})
	inLine := func() (n int) {
		require.NoError(t, p.Do(t.Context(), func(ctx context.Context) error {
			err := asks(ctx)
			n = p.InLine()
			return err
		}))
		return n
	}
	if !timeout.LinesEverywhere() {
		for range timeout.Enough {
			require.Zero(t, inLine(), "not known yet")
		}
	}
	require.Equal(t, 1, inLine())
	require.Zero(t, p.InLine(), "after the call")

	derives := func(ctx context.Context) error {
		_, cancel := context.WithCancel(ctx)
		cancel()
		return nil
	}
	require.NoError(t, p.Do(t.Context(), derives))
	for range 2 * timeout.Enough {
		require.Zero(t, inLine(), "one has derived a context, so others may")
	}
}

func TestInABubbleNoTimerIsShared(t *testing.T) {
	p := timeout.NewOnALine(time.Second)
	if timeout.LinesEverywhere() {
		return
	}
	require.NoError(t, p.Do(t.Context(), asks)) // the timer runs, and outside
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			go func() {
				require.NoError(t, p.Do(t.Context(), func(ctx context.Context) error {
					_ = asks(ctx)
					require.Zero(t, p.InLine())
					return nil
				}))
			}()
			start := time.Now()
			require.ErrorIs(t, p.Do(t.Context(), waits), timeout.ErrExceeded)
			require.Equal(t, time.Second, time.Since(start))
		})
	}
	require.NoError(t, p.Do(t.Context(), func(ctx context.Context) error {
		_ = asks(ctx)
		require.Equal(t, 1, p.InLine())
		return nil
	}))
}

func TestAContextInALineEndsAsAnyOther(t *testing.T) {
	type key struct{}
	p := timeout.NewOnALine(time.Millisecond)
	var derived, valued context.Context
	err := p.Do(t.Context(), func(ctx context.Context) error {
		done := ctx.Done()
		require.Equal(t, 1, p.InLine())
		derived = context.WithValue(ctx, key{}, 1)
		for _, c := range []*context.Context{&derived, &valued} {
			parent := ctx
			if c == &valued {
				parent = derived
			}
			d, cancel := context.WithCancel(parent)
			defer cancel()
			*c = d
		}
		heard := make(chan struct{})
		context.AfterFunc(ctx, func() { close(heard) })
		<-done
		<-heard
		for _, c := range []context.Context{ctx, derived, valued} {
			<-c.Done()
			require.Equal(t, context.DeadlineExceeded, c.Err())
			require.ErrorIs(t, context.Cause(c), timeout.ErrExceeded)
		}
		late, cancel := context.WithCancel(ctx)
		defer cancel()
		<-late.Done()
		require.Equal(t, context.DeadlineExceeded, late.Err())
		require.ErrorIs(t, context.Cause(late), timeout.ErrExceeded)
		return ctx.Err()
	})
	require.ErrorIs(t, err, timeout.ErrExceeded)
	require.Zero(t, p.InLine())
	require.Equal(t, context.DeadlineExceeded, derived.Err())
}

func TestAContextInALineEndsWithItsCaller(t *testing.T) {
	p := timeout.NewOnALine(time.Hour)
	caller, cancel := context.WithCancelCause(t.Context())
	err := p.Do(caller, func(ctx context.Context) error {
		done := ctx.Done()
		derived, stop := context.WithCancel(ctx)
		defer stop()
		require.Equal(t, 1, p.InLine())
		cancel(errBoom)
		<-done
		<-derived.Done()
		for _, c := range []context.Context{ctx, derived} {
			require.Equal(t, context.Canceled, c.Err())
			require.Equal(t, errBoom, context.Cause(c))
		}
		return ctx.Err()
	})
	require.Equal(t, context.Canceled, err)
	require.Zero(t, p.InLine())
}

// A call that derives a context before it is known that its kind does: the one
// goroutine that package context then needs ends with the call.
func TestADerivedContextLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 100 {
		p := timeout.NewOnALine(time.Hour)
		require.NoError(t, p.Do(t.Context(), func(ctx context.Context) error {
			derived, cancel := context.WithCancel(context.WithValue(ctx, t, 1))
			_ = derived.Done()
			cancel()
			return nil
		}))
	}
	for runtime.NumGoroutine() > before {
		runtime.Gosched()
	}
}

// Calls by all ends at once, on one line: each has the end that it should, once.
func TestALineUnderLoad(t *testing.T) {
	p := timeout.NewOnALine(2 * time.Millisecond)
	var all sync.WaitGroup
	for n := range 2000 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := p.Do(ctx, func(ctx context.Context) error {
				done := ctx.Done()
				switch n % 3 {
				case 0:
					return nil
				case 1:
					go cancel()
				}
				<-done
				first, cause := ctx.Err(), context.Cause(ctx)
				for range 10 {
					require.Equal(t, first, ctx.Err(), "it has been told")
					require.Equal(t, cause, context.Cause(ctx))
				}
				if first == context.DeadlineExceeded {
					require.ErrorIs(t, cause, timeout.ErrExceeded)
				}
				return first
			})
			switch n % 3 {
			case 0:
				require.NoError(t, err)
			case 1: // either may have been first
				require.True(t, err == context.Canceled || timedOut(err), "%v", err)
			case 2:
				require.True(t, timedOut(err), "%v", err)
			}
		})
	}
	all.Wait()
	require.Zero(t, p.InLine())
}

func timedOut(err error) bool {
	_, ok := err.(*timeout.Error)
	return ok
}

// A call that looks for the first time when it is late must not go on.
func TestAContextThatIsAskedLateHasEnded(t *testing.T) {
	p := timeout.NewOnALine(time.Nanosecond)
	err := p.Do(t.Context(), func(ctx context.Context) error {
		for deadline, _ := ctx.Deadline(); time.Now().Before(deadline); {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		default:
			return nil
		}
	})
	require.ErrorIs(t, err, timeout.ErrExceeded)
}
