package timeout_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/steadytest"
	"github.com/steady-go/steady/timeout"
)

var errBoom = errors.New("boom")

// waits returns when its context is done.
func waits(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestConfigNamesEveryFault(t *testing.T) {
	for limit, got := range map[time.Duration]string{0: "0s", -time.Second: "-1s"} {
		p, err := timeout.New(timeout.Config{Limit: limit})
		require.Nil(t, p)
		require.EqualError(t, err, "timeout: Config.Limit must be > 0, got "+got)
		require.Panics(t, func() { timeout.MustNew(timeout.Config{Limit: limit}) })
	}
}

func TestEndsTheContextAtTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Name: "db", Limit: time.Second})
		start := time.Now()
		var cause error
		err := p.Do(t.Context(), func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, time.Second, time.Until(deadline))
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		})
		require.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, cause, timeout.ErrExceeded)
		require.EqualError(t, cause, "timeout: db: limit of 1s exceeded")
		require.ErrorIs(t, err, timeout.ErrExceeded)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "timeout: db: limit of 1s exceeded")
		var e *timeout.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, timeout.Error{Name: "db", Limit: time.Second, Err: context.DeadlineExceeded}, *e)
		_, rejected := steady.AsRejection(err)
		require.False(t, rejected)
	})
}

func TestErrorKeepsWhatTheCallSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Second})
		err := p.Do(t.Context(), func(ctx context.Context) error { return errors.Join(errBoom, waits(ctx)) })
		require.ErrorIs(t, err, timeout.ErrExceeded)
		require.ErrorIs(t, err, errBoom)
		require.EqualError(t, err, "timeout: limit of 1s exceeded: boom\ncontext deadline exceeded")

		err = p.Do(t.Context(), func(ctx context.Context) error { _ = waits(ctx); return errBoom })
		require.Equal(t, errBoom, err, "an error that does not come of the deadline is untouched")
	})
}

// net/http returns the cause of a request's context in place of its error.
func TestACallThatReturnsTheCauseIsATimeoutToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Second})
		var cause error
		err := p.Do(t.Context(), func(ctx context.Context) error { <-ctx.Done(); cause = context.Cause(ctx); return cause })
		require.ErrorIs(t, cause, context.DeadlineExceeded)
		require.NotErrorIs(t, cause, context.Canceled)
		var e *timeout.Error
		require.ErrorAs(t, err, &e)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, os.IsTimeout(err))
	})
}

func TestAnHTTPRequestThatHangsIsATimeout(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	p := timeout.MustNew(timeout.Config{Limit: 20 * time.Millisecond})
	err := p.Do(t.Context(), func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		resp, err := server.Client().Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	var e *timeout.Error
	require.ErrorAs(t, err, &e)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestADeadlineMadeByTheServerIsNotOurTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Second})
		err := p.Do(t.Context(), func(context.Context) error { return context.DeadlineExceeded })
		require.Equal(t, context.DeadlineExceeded, err)
	})
}

func TestNestedTimeoutsTellWhoseLimitItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short := timeout.MustNew(timeout.Config{Name: "short", Limit: time.Second})
		long := timeout.MustNew(timeout.Config{Name: "long", Limit: time.Minute})
		require.EqualError(t, steady.Chain(long, short).Do(t.Context(), waits), "timeout: short: limit of 1s exceeded")
		require.EqualError(t, steady.Chain(short, long).Do(t.Context(), waits), "timeout: short: limit of 1s exceeded")
		require.ErrorIs(t, steady.Chain(short, short).Do(t.Context(), waits), timeout.ErrExceeded, "one inside itself")
	})
}

// A net.Conn keeps the deadline by a timer of its own, which may fire a moment
// before the context's.
func TestAnIOTimeoutAtTheLimitIsOurTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Second})
		reads := func(ctx context.Context) error {
			ours, theirs := net.Pipe()
			defer ours.Close()
			defer theirs.Close()
			deadline, _ := ctx.Deadline()
			require.NoError(t, ours.SetReadDeadline(deadline))
			_, err := ours.Read(make([]byte, 1))
			return err
		}
		err := p.Do(t.Context(), reads)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, timeout.ErrExceeded)
	})
}

func TestAClientThatIsAMomentAheadOfTheContext(t *testing.T) {
	p := timeout.MustNew(timeout.Config{Limit: time.Nanosecond})
	err := p.Do(t.Context(), func(ctx context.Context) error {
		deadline, _ := ctx.Deadline()
		for time.Now().Before(deadline) {
			continue
		}
		return context.DeadlineExceeded
	})
	require.ErrorIs(t, err, timeout.ErrExceeded)
}

func TestContextsDerivedFromItEndWithTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Second})
		var derived context.Context
		require.NoError(t, p.Do(t.Context(), func(ctx context.Context) error {
			var cancel context.CancelFunc
			derived, cancel = context.WithCancel(ctx)
			t.Cleanup(cancel)
			return nil
		}))
		if timeout.LinesEverywhere() {
			synctest.Wait() // it hears of it on a goroutine of its own
		}
		require.ErrorIs(t, derived.Err(), context.Canceled)
	})
}

func TestHookHearsTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		p := timeout.MustNew(timeout.Config{Name: "db", Limit: time.Second, Hook: &r})
		err := p.Do(t.Context(), waits)
		require.Equal(t, []steady.Event{{
			Kind: steady.KindDone, Policy: "timeout", Name: "db",
			Outcome: steady.Failure, Duration: time.Second, Err: err,
		}}, r.Events())
		require.Zero(t, p.Stats().HookPanics)
	})
}

// Not even when the call goes on past our limit, and then says that it was too late.
func TestAfterTheCallerHasCancelledItIsNotOurTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second/2, cancel)
		err := p.Do(ctx, func(ctx context.Context) error {
			_ = waits(ctx)
			time.Sleep(time.Second)
			return context.DeadlineExceeded
		})
		require.Equal(t, context.DeadlineExceeded, err)
	})
}
