package steadytest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
)

// A Subject is a policy in one state, to be put to the test by [TestPolicy].
type Subject struct {
	// New returns the policy, which reports to hook, in the state in which it is to
	// be tested. It is called for each ending, inside a [testing/synctest] bubble,
	// in which it may let virtual time pass.
	//
	// held returns what the policy holds at the moment, such as permits in flight
	// and places in a queue, as a value that can be compared with ==. It may be nil
	// if the policy holds nothing.
	New func(t *testing.T, hook steady.Hook) (p steady.Policy, held func() any)

	// Refuses says that in this state the policy starts no call.
	Refuses bool

	// ForCaller says that the policy judges what became of its caller, not what is called:
	// a rejection further in, and the passing of the caller's deadline, are failures.
	ForCaller bool
}

// errBoom is how the calls of the table fail.
var errBoom = errors.New("steadytest: boom")

// errGone is the cause with which the callers of the table cancel.
var errGone = errors.New("steadytest: the caller is gone")

// refusal is the rejection of a policy further in.
type refusal struct{ error }

func (refusal) RejectedBy() (policy, name, key string)    { return "steadytest", "", "" }
func (refusal) RetryAfter() (d time.Duration, known bool) { return 0, false }

var errRefused = refusal{errors.New("steadytest: refused further in")}

// An ending is one way for a call to end, and what a policy must make of it.
type ending struct {
	name    string
	call    func(context.Context) error
	caller  func(context.Context) (context.Context, context.CancelFunc) // nil: one who waits
	outcome steady.Outcome
	failed  bool    // whether it is a failure for the caller, in spite of outcome
	is      []error // what the error must match; none: it must be nil
	panics  any     // the value that must reach the caller
	exits   bool    // runtime.Goexit must go through
}

// endings is the table.
var endings = []ending{
	{
		name:    "return",
		call:    func(context.Context) error { return nil },
		outcome: steady.Success,
	},
	{
		name:    "error",
		call:    func(context.Context) error { return errBoom },
		outcome: steady.Failure,
		is:      []error{errBoom},
	},
	{
		name:    "ignored",
		call:    func(context.Context) error { return errRefused },
		outcome: steady.Ignored,
		failed:  true,
		is:      []error{errRefused},
	},
	{
		name:    "panic",
		call:    func(context.Context) error { panic(errBoom) },
		outcome: steady.Failure,
		panics:  errBoom,
	},
	{
		name:    "Goexit",
		call:    func(context.Context) error { runtime.Goexit(); return nil },
		outcome: steady.Failure,
		exits:   true,
	},
	{
		name:    "cancel",
		call:    func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		caller:  gone,
		outcome: steady.Ignored,
		is:      []error{context.Canceled},
	},
	{
		name: "deadline",
		call: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		caller: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, patience)
		},
		outcome: steady.Ignored,
		failed:  true,
		is:      []error{context.DeadlineExceeded},
	},
	{
		name:    "success after cancel",
		call:    func(ctx context.Context) error { <-ctx.Done(); return nil },
		caller:  gone,
		outcome: steady.Success,
	},
}

// patience is how long the callers of the table wait: longer than a policy may let
// them queue, shorter than [steady.HangAfter].
const patience = 500 * time.Millisecond

// gone is a caller who cancels after a while.
func gone(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(patience, func() { cancel(errGone) })
	return ctx, func() { timer.Stop(); cancel(nil) }
}

// TestPolicy puts a policy through the table of endings: a call that returns,
// fails, is refused further in, panics, calls [runtime.Goexit], is cancelled, runs
// into the caller's deadline, succeeds after the caller has gone, is never started
// since its context is done, and never returns. It checks of each
//
//   - what reaches the caller: the error, the original panic, the Goexit;
//   - that the hook hears of exactly one outcome, the right one, and that it is the
//     last event;
//   - that the policy holds afterwards what it held before, and starts a call
//     again, an hour of virtual time later at the latest;
//   - that no goroutine is left;
//   - that a hook that panics changes nothing of this.
//
// Policies that repeat, replace or swallow results pass too as long as an error
// that they return matches that of the call. It runs in a [testing/synctest]
// bubble; run it under the race detector.
func TestPolicy(t *testing.T, s Subject) {
	t.Helper()
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) { s.run(t, e, &Recorder{}) })
		t.Run(e.name+", hook panics", func(t *testing.T) { s.run(t, e, &panicking{}) })
	}
	t.Run("done on entry", s.doneOnEntry)
	t.Run("never returns", s.neverReturns)
	t.Run("all at once", s.allAtOnce)
}

// panicking is a hook that records and then panics.
type panicking struct{ Recorder }

func (p *panicking) On(ctx context.Context, e steady.Event) {
	p.Recorder.On(ctx, e)
	panic("steadytest: the hook panics")
}

// recording is a hook that can be asked what it heard.
type recording interface {
	steady.Hook
	Outcomes() []steady.Event
	Events(...steady.Kind) []steady.Event
	Reset()
}

// bubble runs test on the policy in a bubble of its own, and checks before and
// after what the policy holds.
func (s Subject) bubble(t *testing.T, hook recording, test func(t *testing.T, p steady.Policy)) {
	synctest.Test(t, func(t *testing.T) {
		p, held := s.New(t, hook)
		if held == nil {
			held = func() any { return nil }
		}
		before := held()
		hook.Reset()
		test(t, p)
		if !s.Refuses {
			time.Sleep(time.Hour)
			require.NoError(t, p.Do(t.Context(), func(context.Context) error { return nil }), "a call an hour later")
		}
		synctest.Wait()
		require.Equal(t, before, held(), "what the policy holds afterwards")
	})
}

// run puts the policy through one ending.
func (s Subject) run(t *testing.T, e ending, hook recording) {
	s.bubble(t, hook, func(t *testing.T, p steady.Policy) {
		got := e.make(t.Context(), p)
		if s.Refuses {
			require.Zero(t, got.started, "calls started")
			requireRejection(t, got.err)
		} else {
			require.NotZero(t, got.started, "calls started")
			e.check(t, got)
		}
		outcome := requireOneOutcome(t, hook)
		if s.Refuses {
			require.Equal(t, steady.KindRejected, outcome.Kind)
			return
		}
		want := e.outcome
		if s.ForCaller && e.failed {
			want = steady.Failure
		}
		require.Equal(t, want, outcome.Outcome, "outcome")
		if want != steady.Ignored {
			require.Equal(t, steady.KindDone, outcome.Kind)
		}
	})
}

// A result is what reached the caller.
type result struct {
	started  int
	returned bool
	err      error
	panicked any
}

// make makes the call under p on a goroutine of its own.
func (e ending) make(ctx context.Context, p steady.Policy) result {
	if e.caller != nil {
		var cancel context.CancelFunc
		ctx, cancel = e.caller(ctx)
		defer cancel()
	}
	var r result
	var started atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() { r.panicked = recover() }()
		r.err = p.Do(ctx, func(ctx context.Context) error {
			started.Add(1)
			return e.call(ctx)
		})
		r.returned = true
	})
	wg.Wait()
	r.started = int(started.Load())
	return r
}

// check compares what reached the caller with what should have.
func (e ending) check(t *testing.T, r result) {
	t.Helper()
	require.Equal(t, e.panics, r.panicked, "the panic that reached the caller")
	require.Equal(t, e.panics == nil && !e.exits, r.returned, "whether Do returned")
	if len(e.is) == 0 {
		require.NoError(t, r.err)
	}
	for _, target := range e.is {
		require.ErrorIs(t, r.err, target)
	}
	_, rejected := steady.AsRejection(r.err)
	require.Equal(t, e.outcome == steady.Ignored && e.caller == nil, rejected, "whether the error is a rejection: %v", r.err)
}

// doneOnEntry checks that no call is started on a context that is done.
func (s Subject) doneOnEntry(t *testing.T) {
	hook := &Recorder{}
	s.bubble(t, hook, func(t *testing.T, p steady.Policy) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errGone)
		err := p.Do(ctx, func(context.Context) error {
			t.Error("a call was started on a context that is done")
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, errGone, "the cause of the context")
		require.Equal(t, steady.KindRejected, requireOneOutcome(t, hook).Kind)
	})
}

// neverReturns checks that a call that ignores its context and does not come back
// takes nothing from the others, and holds nothing once it does.
func (s Subject) neverReturns(t *testing.T) {
	if s.Refuses {
		return
	}
	s.bubble(t, &Recorder{}, func(t *testing.T, p steady.Policy) {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		var hung sync.WaitGroup
		hung.Go(func() {
			_ = p.Do(ctx, func(context.Context) error { <-release; return nil })
		})
		time.Sleep(patience)
		cancel()
		time.Sleep(time.Hour)
		err := p.Do(t.Context(), func(context.Context) error { return nil })
		require.NoError(t, err, "another call while one hangs")
		close(release)
		hung.Wait()
	})
}

// allAtOnce runs every ending on many goroutines, for the race detector and for
// what the policy holds.
func (s Subject) allAtOnce(t *testing.T) {
	s.bubble(t, &Recorder{}, func(t *testing.T, p steady.Policy) {
		var wg sync.WaitGroup
		for range 10 {
			for _, e := range endings {
				wg.Go(func() { e.make(t.Context(), p) })
			}
		}
		wg.Wait()
	})
}

// requireOneOutcome checks that the outermost policy, which is that of the last
// event, has reported exactly one outcome, and returns it.
func requireOneOutcome(t *testing.T, hook recording) steady.Event {
	t.Helper()
	all := hook.Events()
	require.NotEmpty(t, all, "events")
	last := all[len(all)-1]
	own := 0
	for _, e := range hook.Outcomes() {
		if e.Policy == last.Policy && e.Name == last.Name && e.Key == last.Key {
			own++
		}
	}
	require.Contains(t, []steady.Kind{steady.KindDone, steady.KindRejected}, last.Kind, "the kind of the last event")
	require.Equal(t, 1, own, "outcomes of one Do")
	return last
}

// requireRejection checks that err is a rejection.
func requireRejection(t *testing.T, err error) {
	t.Helper()
	_, ok := steady.AsRejection(err)
	require.True(t, ok, "a rejection is wanted, not: %v", err)
}
