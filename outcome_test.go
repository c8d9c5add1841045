package steady_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
)

// refused is a rejection.
type refused struct {
	after time.Duration
	known bool
}

func (refused) Error() string                               { return "refused" }
func (refused) RejectedBy() (policy, name, key string)      { return "test", "", "" }
func (r refused) RetryAfter() (d time.Duration, known bool) { return r.after, r.known }

func TestOutcomesByDefault(t *testing.T) {
	live := t.Context()
	canceled, cancel := context.WithCancel(live)
	cancel()
	late, cancel := context.WithDeadline(live, time.Unix(0, 0))
	defer cancel()
	excused := func(error) steady.Outcome { return steady.Ignored }

	for _, test := range []struct {
		name       string
		classifier steady.Classifier
		ctx        context.Context
		err        error
		ran        time.Duration
		want       steady.Outcome
	}{
		{name: "nil", ctx: live, want: steady.Success},
		{name: "nil after the caller cancelled", ctx: canceled, want: steady.Success},
		{name: "nil after the caller's deadline", ctx: late, want: steady.Success},
		{name: "error", ctx: live, err: errBoom, want: steady.Failure},
		{name: "rejection", ctx: live, err: refused{}, want: steady.Ignored},
		{name: "wrapped rejection", ctx: live, err: fmt.Errorf("x: %w", refused{}), want: steady.Ignored},
		{name: "caller cancelled", ctx: canceled, err: context.Canceled, ran: time.Hour, want: steady.Ignored},
		{name: "caller cancelled, foreign error", ctx: canceled, err: errBoom, want: steady.Ignored},
		{name: "Canceled made by the server", ctx: live, err: context.Canceled, want: steady.Failure},
		{name: "DeadlineExceeded made by the server", ctx: live, err: context.DeadlineExceeded, want: steady.Failure},
		{name: "caller had 2 ms left", ctx: late, err: context.DeadlineExceeded, ran: 2 * time.Millisecond, want: steady.Ignored},
		{name: "caller waited almost HangAfter", ctx: late, err: context.DeadlineExceeded, ran: time.Second - 1, want: steady.Ignored},
		{name: "hang hidden by the caller's deadline", ctx: late, err: context.DeadlineExceeded, ran: time.Second, want: steady.Failure},
		{name: "own HangAfter", classifier: steady.Classifier{HangAfter: time.Minute}, ctx: late, err: errBoom, ran: time.Second, want: steady.Ignored},
		{name: "excused", classifier: steady.Classifier{Classify: excused}, ctx: live, err: errBoom, want: steady.Ignored},
		{name: "excuses are not asked about a hang", classifier: steady.Classifier{Classify: excused}, ctx: late, err: errBoom, ran: time.Second, want: steady.Failure},
		{name: "no outcome", classifier: steady.Classifier{Classify: func(error) steady.Outcome { return 0 }}, ctx: live, err: errBoom, want: steady.Failure},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want.String(), test.classifier.Outcome(test.ctx, test.err, test.ran).String())
		})
	}
}

func TestOutcomeNames(t *testing.T) {
	require.Equal(t, "none success failure ignored", fmt.Sprint(steady.Outcome(0), steady.Success, steady.Failure, steady.Ignored))
}

func TestContextErrShowsErrorAndCause(t *testing.T) {
	require.NoError(t, steady.ContextErr(t.Context()))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, context.Canceled, steady.ContextErr(ctx), "without a cause it is the context's own error")

	gone := errors.New("gone")
	ctx, cancelCause := context.WithCancelCause(t.Context())
	cancelCause(gone)
	err := steady.ContextErr(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, gone)
	require.EqualError(t, err, "context canceled: gone")

	ctx, cancelCause = context.WithCancelCause(t.Context())
	cancelCause(refused{})
	err = steady.ContextErr(ctx)
	require.ErrorIs(t, err, refused{})
	_, rejected := steady.AsRejection(err)
	require.False(t, rejected, "that another call was refused is not that this one was")
}

// passing is an error that says of itself that it is not permanent.
type passing struct{}

func (passing) Error() string   { return "passing" }
func (passing) Permanent() bool { return false }

func TestMarksKeepTheError(t *testing.T) {
	require.NoError(t, steady.Permanent(nil))
	require.NoError(t, steady.RetryAfter(nil, time.Second))

	err := fmt.Errorf("x: %w", steady.Permanent(steady.RetryAfter(errBoom, time.Second)))
	require.ErrorIs(t, err, errBoom)
	require.EqualError(t, err, "x: boom")
	require.True(t, steady.IsPermanent(err))
	require.False(t, steady.IsPermanent(errBoom))
	require.True(t, steady.IsPermanent(errors.Join(passing{}, steady.Permanent(errBoom))), "one that says no hides none that says yes")
	require.False(t, steady.IsPermanent(nil))
	after, ok := steady.RetryAfterOf(err)
	require.True(t, ok)
	require.Equal(t, time.Second, after)
	_, rejected := steady.AsRejection(err)
	require.False(t, rejected, "a mark makes no rejection")
}

func TestRetryAfterOf(t *testing.T) {
	_, ok := steady.RetryAfterOf(errBoom)
	require.False(t, ok)
	_, ok = steady.RetryAfterOf(nil)
	require.False(t, ok)
	_, ok = steady.RetryAfterOf(refused{after: time.Second})
	require.False(t, ok, "a rejection that cannot tell")
	after, ok := steady.RetryAfterOf(errors.Join(refused{}, fmt.Errorf("x: %w", steady.RetryAfter(errBoom, time.Minute))))
	require.True(t, ok, "one that cannot tell does not hide one that can")
	require.Equal(t, time.Minute, after)
	after, ok = steady.RetryAfterOf(refused{after: time.Second, known: true})
	require.True(t, ok)
	require.Equal(t, time.Second, after)
	after, ok = steady.RetryAfterOf(steady.RetryAfter(errBoom, -time.Second))
	require.True(t, ok, "a date that has passed")
	require.Zero(t, after)
}

// constant is a source that always gives the same number.
type constant float64

func (c constant) Float64(string, uint64) float64 { return float64(c) }

func TestRandomComesFromTheContextsSource(t *testing.T) {
	ctx := steady.ContextWithSource(t.Context(), constant(0.25))
	require.Equal(t, 0.25, steady.Random(ctx, "key", 1))
	for range 1000 {
		r := steady.Random(t.Context(), "key", 1)
		require.True(t, r >= 0 && r < 1, "%v", r)
	}
}

func TestAttemptIsOneUnlessTold(t *testing.T) {
	require.Equal(t, 1, steady.Attempt(t.Context()))
	require.Equal(t, 3, steady.Attempt(steady.ContextWithAttempt(t.Context(), 3)))
}
