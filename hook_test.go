package steady_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/steadytest"
)

func TestHooksPassesEachEventToAll(t *testing.T) {
	var order []string
	hook := func(name string) steady.Hook {
		return steady.HookFunc(func(_ context.Context, e steady.Event) { order = append(order, name+":"+e.Kind.String()) })
	}
	all := steady.Hooks(hook("a"), nil, steady.Hooks(hook("b"), hook("c")))
	all.On(t.Context(), steady.Event{Kind: steady.KindDone})
	require.Equal(t, []string{"a:done", "b:done", "c:done"}, order)
}

func TestHooksOfNoneIsNone(t *testing.T) {
	require.Nil(t, steady.Hooks())
	require.Nil(t, steady.Hooks(nil, nil))
	var r steadytest.Recorder
	require.Same(t, &r, steady.Hooks(nil, &r))
}

func TestHooksReachesTheOthersWhenOnePanics(t *testing.T) {
	var before, after steadytest.Recorder
	bad := steady.HookFunc(func(context.Context, steady.Event) { panic("bad hook") })
	all := steady.Hooks(&before, bad, &after)
	require.PanicsWithValue(t, "bad hook", func() { all.On(t.Context(), steady.Event{Kind: steady.KindDone}) })
	require.Len(t, before.Events(), 1)
	require.Len(t, after.Events(), 1)
}

func TestHooksPass(t *testing.T) {
	t.Run("Hooks", func(t *testing.T) {
		steadytest.TestHook(t, func(*testing.T) steady.Hook {
			return steady.Hooks(new(steadytest.Recorder), new(steadytest.Recorder))
		})
	})
	t.Run("LogHook", func(t *testing.T) {
		steadytest.TestHook(t, func(*testing.T) steady.Hook {
			return steady.LogHook(slog.New(slog.NewTextHandler(new(bytes.Buffer), nil)))
		})
	})
}

func TestKindNames(t *testing.T) {
	var names []string
	for k := range steady.KindEvicted + 2 {
		names = append(names, k.String())
	}
	require.Equal(t, []string{"unknown", "done", "rejected", "state", "retry", "abandoned", "late", "dry-run", "injected", "new", "load", "loaded", "evicted", "unknown"}, names)
}

func TestPanicErrorTellsWhatThePanicWas(t *testing.T) {
	err := error(&steady.PanicError{Value: errBoom})
	require.EqualError(t, err, "steady: the call panicked: boom")
	require.ErrorIs(t, err, errBoom)
	require.ErrorIs(t, err, steady.ErrNoReturn)
	require.NotErrorIs(t, err, context.Canceled)

	err = &steady.PanicError{Value: "no error"}
	require.EqualError(t, err, "steady: the call panicked: no error")
	require.NoError(t, errors.Unwrap(err))

	err = &steady.PanicError{}
	require.EqualError(t, err, "steady: the call ended its goroutine")
	require.ErrorIs(t, err, steady.ErrNoReturn)
}

func TestLogHookWritesWhatHappened(t *testing.T) {
	var out bytes.Buffer
	hook := steady.LogHook(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	for _, e := range []steady.Event{
		{Kind: steady.KindState, Policy: "breaker", Name: "db", To: "closed"},
		{Kind: steady.KindDone, Policy: "breaker", Name: "db", Key: "n1", Outcome: steady.Success, Duration: time.Second},
		{Kind: steady.KindDone, Policy: "breaker", Name: "db", Outcome: steady.Failure, Duration: time.Second, Err: errBoom},
		{Kind: steady.KindState, Policy: "breaker", Name: "db", From: "closed", To: "open", Reason: "failure ratio", Delay: time.Second, Seq: 1},
		{Kind: steady.KindRejected, Policy: "bulkhead", Outcome: steady.Ignored, Reason: "full", Wait: time.Second, Err: errBoom},
		{Kind: steady.KindRetry, Policy: "retry", Attempt: 1, Delay: time.Second, Err: errBoom},
		{Kind: steady.KindInjected, Policy: "chaos", Key: "n1", Reason: "slow disk", To: "latency", Delay: time.Second},
	} {
		hook.On(t.Context(), e)
	}
	require.Equal(t, strings.TrimLeft(`
level=INFO msg="steady: state" policy=breaker name=db to=closed
level=DEBUG msg="steady: done" policy=breaker name=db key=n1 outcome=success duration=1s
level=INFO msg="steady: done" policy=breaker name=db outcome=failure duration=1s error=boom
level=WARN msg="steady: state" policy=breaker name=db from=closed to=open reason="failure ratio" delay=1s
level=INFO msg="steady: rejected" policy=bulkhead outcome=ignored reason=full wait=1s error=boom
level=INFO msg="steady: retry" policy=retry attempt=1 delay=1s error=boom
level=INFO msg="steady: injected" policy=chaos key=n1 to=latency reason="slow disk" delay=1s
`, "\n"), out.String())
}
