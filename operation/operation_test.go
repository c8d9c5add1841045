package operation_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/operation"
	"github.com/steady-go/steady/steadytest"
)

var errBoom = errors.New("boom")

func TestEndings(t *testing.T) {
	steadytest.TestPolicy(t, steadytest.Subject{ForCaller: true, New: func(_ *testing.T, h steady.Hook) (steady.Policy, func() any) {
		return operation.MustNew(operation.Config{Name: "checkout", Hook: h}), func() any { return nil }
	}})
}

func TestTrap15ANameIsRequired(t *testing.T) {
	_, err := operation.New(operation.Config{})
	require.EqualError(t, err, `operation: Config.Name must be set, got ""`)
	require.Panics(t, func() { operation.MustNew(operation.Config{}) })
}

// outcome returns how an operation judges the end of a call.
func outcome(t *testing.T, ctx context.Context, classify func(error) steady.Outcome, call func(context.Context) error) steady.Event {
	t.Helper()
	var r steadytest.Recorder
	o := operation.MustNew(operation.Config{Name: "checkout", Classify: classify, Hook: &r})
	_ = o.Do(ctx, call)
	require.Len(t, r.Outcomes(), 1)
	return r.Outcomes()[0]
}

func TestARejectionFurtherInIsAFailure(t *testing.T) {
	open := breaker.MustNew(breaker.Config{Name: "db"})
	open.ForceOpen()
	refused := func(ctx context.Context) error { return open.Do(ctx, func(context.Context) error { return nil }) }
	e := outcome(t, t.Context(), nil, refused)
	require.Equal(t, steady.Failure, e.Outcome)
	require.ErrorIs(t, e.Err, breaker.ErrOpen)
	require.Equal(t, []string{"operation", "checkout"}, []string{e.Policy, e.Name})
}

func TestWhatTheCallerCancelledIsIgnored(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e := outcome(t, ctx, nil, func(context.Context) error { cancel(); return errBoom })
	require.Equal(t, steady.Ignored, e.Outcome)
	e = outcome(t, ctx, nil, func(context.Context) error { return nil })
	require.Equal(t, steady.KindRejected, e.Kind, "its context is done already")
}

// Who waited in vain got no answer, whether it waited for a second or for a moment.
func TestThePassingDeadlineIsAFailureHoweverEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		e := outcome(t, ctx, nil, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		require.Equal(t, steady.Failure, e.Outcome)
		require.Equal(t, time.Millisecond, e.Duration)
	})
}

// A server whose queue eats up the deadlines of its requests is not available.
func TestADeadlineThatHadPassedBeforeIsAFailureToo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	e := outcome(t, ctx, nil, func(context.Context) error { panic("is not made") })
	require.Equal(t, []any{steady.KindDone, steady.Failure, time.Duration(0)}, []any{e.Kind, e.Outcome, e.Duration})
	require.ErrorIs(t, e.Err, context.DeadlineExceeded)
}

func TestClassifyJudgesErrors(t *testing.T) {
	for want, says := range map[steady.Outcome]steady.Outcome{steady.Success: steady.Success, steady.Ignored: steady.Ignored, steady.Failure: 0} {
		e := outcome(t, t.Context(), func(err error) steady.Outcome {
			require.ErrorIs(t, err, errBoom)
			return says
		}, func(context.Context) error { return errBoom })
		require.Equal(t, want, e.Outcome)
	}
}

func TestAClassifyThatPanicsIsHeardOf(t *testing.T) {
	var r steadytest.Recorder
	o := operation.MustNew(operation.Config{Name: "checkout", Hook: &r, Classify: func(error) steady.Outcome { panic("bad") }})
	require.PanicsWithValue(t, "bad", func() { _ = o.Do(t.Context(), func(context.Context) error { return errBoom }) })
	require.Equal(t, steady.Failure, r.Outcomes()[0].Outcome)
}

func TestTrap14AHookMayPanicAndUseTheOperation(t *testing.T) {
	var o *operation.Operation
	o = operation.MustNew(operation.Config{Name: "checkout", Hook: steady.HookFunc(func(context.Context, steady.Event) {
		_ = o.Stats() // panics while o is nil, at its construction
		_ = o.Inspect()
		panic("hook")
	})})
	require.NoError(t, o.Do(t.Context(), func(context.Context) error { return nil }))
	require.Equal(t, uint64(2), o.Stats().HookPanics)
}

func TestAllocatesNothing(t *testing.T) {
	bare := operation.MustNew(operation.Config{Name: "checkout"})
	heard := operation.MustNew(operation.Config{Name: "checkout", Hook: steady.HookFunc(func(context.Context, steady.Event) {})})
	ctx, n := t.Context(), 0
	for _, o := range []*operation.Operation{bare, heard} {
		require.Zero(t, testing.AllocsPerRun(1000, func() { _ = o.Do(ctx, func(context.Context) error { n++; return nil }) }))
	}
}
