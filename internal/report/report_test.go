package report_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/report"
	"github.com/steady-go/steady/steadytest"
)

func TestNobodyListens(t *testing.T) {
	var r report.Reporter
	r.Init(nil, "policy", "name", "key")
	require.False(t, r.On())
	require.Zero(t, r.Start(), "no clock is read")
	r.Emit(t.Context(), steady.Event{})
	r.Done(t.Context(), steady.Classifier{Classify: func(error) steady.Outcome { t.Error("asked"); return 0 }}, time.Time{}, 0, true, errors.New("boom"))
	require.Equal(t, context.Canceled, r.Reject(t.Context(), "reason", 0, context.Canceled))
}

func TestEventsCarryWhoReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard steadytest.Recorder
		var r report.Reporter
		r.Init(&heard, "policy", "name", "key")
		require.True(t, r.On())
		start := r.Start()
		time.Sleep(time.Second)
		boom := errors.New("boom")
		r.Done(t.Context(), steady.Classifier{}, start, time.Minute, true, boom)
		r.Done(t.Context(), steady.Classifier{}, start, 0, false, nil)
		require.Equal(t, boom, r.Reject(t.Context(), "full", time.Hour, boom))
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(boom)
		err := r.ContextDone(ctx, 0)
		require.Equal(t, steady.ContextErr(ctx), err)
		r.Emit(t.Context(), steady.Event{Kind: steady.KindLate, Policy: "another"})

		ran, who := time.Second, func(e steady.Event) steady.Event {
			e.Policy, e.Name, e.Key = "policy", "name", "key"
			return e
		}
		require.Equal(t, []steady.Event{
			who(steady.Event{Kind: steady.KindDone, Outcome: steady.Failure, Duration: ran, Wait: time.Minute, Err: boom}),
			who(steady.Event{Kind: steady.KindDone, Outcome: steady.Failure, Duration: ran, Err: steady.ErrNoReturn}),
			who(steady.Event{Kind: steady.KindRejected, Outcome: steady.Ignored, Reason: "full", Wait: time.Hour, Err: boom}),
			who(steady.Event{Kind: steady.KindRejected, Outcome: steady.Ignored, Reason: "context", Err: err}),
			who(steady.Event{Kind: steady.KindLate}),
		}, heard.Events())
	})
}

func TestPanicsOfTheHookAreCounted(t *testing.T) {
	var r report.Reporter
	r.Init(steady.HookFunc(func(context.Context, steady.Event) { panic("hook") }), "policy", "", "")
	require.Equal(t, context.Canceled, r.Reject(t.Context(), "reason", 0, context.Canceled))
	r.Done(t.Context(), steady.Classifier{}, r.Start(), 0, true, nil)
	require.Equal(t, uint64(2), r.Panics())
}
