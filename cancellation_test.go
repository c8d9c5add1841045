package steady_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadytest"
	"github.com/steady-go/steady/timeout"
)

// errGone is the cause with which callers cancel, and of their deadlines.
var errGone = errors.New("the caller is gone")

// Who ends a call.
const (
	callerCancels  = "caller cancels"
	callerDeadline = "caller's deadline"
	ownTimeout     = "own timeout"
	serverDeadline = "server's DeadlineExceeded" // while nobody's deadline has passed
	serverCanceled = "server's Canceled"
)

// When it is ended. A call that is ended during it returns its context's error.
const (
	before     = "before the call"
	briefly    = "during the call, with 2ms left"
	during     = "during the call"
	hanging    = "during the call, after 1s"
	unheard    = "during the call, which ignores it"
	returnsNil = "during the call, which returns nil"
	after      = "after the call has returned nil"
	callerGone = "after the caller has cancelled"
	queued     = "while queued"
	turnComes  = "while queued, as the turn comes"
	backingOff = "while backing off"
)

// How the one outcome event of a Do tells of it.
type told struct {
	kind    steady.Kind
	outcome steady.Outcome
}

var (
	rejected = told{steady.KindRejected, steady.Ignored}
	ignored  = told{steady.KindDone, steady.Ignored}
	failed   = told{steady.KindDone, steady.Failure}
	success  = told{steady.KindDone, steady.Success}
)

// targets are what the errors of the matrix may match.
var targets = []struct {
	name string
	err  error
}{
	{"boom", errBoom}, // how the call failed before it was ended
	{"canceled", context.Canceled},
	{"deadline", context.DeadlineExceeded},
	{"cause", errGone},
	{"exceeded", timeout.ErrExceeded},
}

// matched names all targets that err matches; it is empty for nil alone.
func matched(err error) string {
	if err == nil {
		return ""
	}
	names := []string{}
	for _, target := range targets {
		if errors.Is(err, target.err) {
			names = append(names, target.name)
		}
	}
	if len(names) == 0 {
		return err.Error()
	}
	return strings.Join(names, " ")
}

// counts are what the policies of a row hold.
type counts struct {
	state               breaker.State
	calls, failures     int64
	probes              int
	inFlight, waiting   int
	tokens              int // of 100; a retry costs 10, a success gives 1 back; 90 at first
	abandoned, everLeft int
}

// An underTest is a policy in one state.
type underTest struct {
	steady.Policy
	breaker  *breaker.Breaker
	bulkhead *bulkhead.Bulkhead
	budget   *retry.Budget
	timeout  *timeout.Timeout
	permit   *bulkhead.Permit // what keeps the bulkhead full
}

func (u *underTest) counts() (c counts) {
	if u.breaker != nil {
		s := u.breaker.Stats()
		c.state, c.calls, c.failures, c.probes = s.State, s.Calls, s.Failures, s.Probes
	}
	if u.bulkhead != nil {
		s := u.bulkhead.Stats()
		c.inFlight, c.waiting = s.InFlight, s.Waiting
	}
	if u.budget != nil {
		c.tokens = u.budget.Stats().Tokens
	}
	if u.timeout != nil {
		s := u.timeout.Stats()
		c.abandoned, c.everLeft = s.Abandoned, int(s.AbandonedSoFar)
	}
	return c
}

const (
	callTakes = 100 * time.Millisecond // until it is ended
	waits     = 50 * time.Millisecond  // in a queue, unless the call is ended there
)

// subjects make the policies of the matrix. hook is to be that of the outermost.
var subjects = map[string]func(t *testing.T, c cancellation, hook steady.Hook) *underTest{
	"breaker closed": func(_ *testing.T, c cancellation, hook steady.Hook) *underTest {
		b := breaker.MustNew(breaker.Config{Hook: hook})
		return &underTest{Policy: c.limited(b), breaker: b}
	},
	"breaker half-open": func(t *testing.T, c cancellation, hook steady.Hook) *underTest {
		b := breaker.MustNew(breaker.Config{ConsecutiveFailures: 1, Probes: 1, Hook: hook})
		require.ErrorIs(t, b.Do(t.Context(), boom), errBoom)
		time.Sleep(b.Stats().RetryAfter)
		return &underTest{Policy: c.limited(b), breaker: b}
	},
	"bulkhead free": func(_ *testing.T, c cancellation, hook steady.Hook) *underTest {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Hook: hook})
		return &underTest{Policy: c.limited(b), bulkhead: b}
	},
	"bulkhead queued": func(t *testing.T, c cancellation, hook steady.Hook) *underTest {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: time.Minute, Hook: hook})
		return &underTest{Policy: c.limited(b), bulkhead: b, permit: c.fill(t, b)}
	},
	"retry": func(t *testing.T, c cancellation, hook steady.Hook) *underTest {
		budget := budgetOf90(t)
		r := retry.MustNew(retry.Config{Attempts: 2, Delay: time.Second, Budget: budget, Hook: hook})
		return &underTest{Policy: c.limited(r), budget: budget}
	},
	"timeout cooperative": func(_ *testing.T, c cancellation, hook steady.Hook) *underTest {
		p := timeout.MustNew(timeout.Config{Limit: c.limit(), Hook: hook})
		return &underTest{Policy: p, timeout: p}
	},
	"timeout abandon": func(_ *testing.T, c cancellation, hook steady.Hook) *underTest {
		p := timeout.MustNew(timeout.Config{Limit: c.limit(), Abandon: true, Hook: hook})
		return &underTest{Policy: p, timeout: p}
	},
	"chain": func(t *testing.T, c cancellation, hook steady.Hook) *underTest {
		return chainOfFour(t, c, hook, c.limit())
	},
	"chain in a total timeout": func(t *testing.T, c cancellation, hook steady.Hook) *underTest {
		u := chainOfFour(t, c, nil, time.Hour)
		u.Policy = steady.Chain(timeout.MustNew(timeout.Config{Limit: c.limit(), Hook: hook}), u.Policy)
		return u
	},
}

func chainOfFour(t *testing.T, c cancellation, hook steady.Hook, limit time.Duration) *underTest {
	u := &underTest{
		bulkhead: bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: time.Minute, Hook: hook}),
		budget:   budgetOf90(t),
		breaker:  breaker.MustNew(breaker.Config{}),
		timeout:  timeout.MustNew(timeout.Config{Limit: limit}),
	}
	if c.when == queued || c.when == turnComes {
		u.permit = c.fill(t, u.bulkhead)
	}
	again := retry.MustNew(retry.Config{Attempts: 2, Delay: time.Second, Budget: u.budget})
	u.Policy = steady.Chain(u.bulkhead, again, u.breaker, u.timeout)
	return u
}

func boom(context.Context) error { return errBoom }

// budgetOf90 returns a budget of 100 tokens that has paid for one retry.
func budgetOf90(t *testing.T) *retry.Budget {
	b := retry.MustNewBudget(retry.BudgetConfig{Tokens: 100, Cost: 10, Refund: 1})
	r := retry.MustNew(retry.Config{Attempts: 2, Delay: retry.NoDelay, Budget: b})
	require.ErrorIs(t, r.Do(t.Context(), boom), errBoom)
	return b
}

// A cancellation is one row of the matrix.
type cancellation struct {
	policy, who, when string

	told    told
	started int    // calls
	is      string // the targets that the error matches; all others it does not
	after   counts
}

// limit is that of the timeout in the row: what ends the call, or out of the way.
func (c cancellation) limit() time.Duration {
	if c.who == ownTimeout {
		return callTakes
	}
	return time.Hour
}

// limited puts a timeout inside p if that is to end the call.
func (c cancellation) limited(p steady.Policy) steady.Policy {
	if c.who == ownTimeout {
		return steady.Chain(p, timeout.MustNew(timeout.Config{Limit: c.limit()}))
	}
	return p
}

// fill takes the only permit of b, for a while unless the call is to be ended in
// the queue.
func (c cancellation) fill(t *testing.T, b *bulkhead.Bulkhead) *bulkhead.Permit {
	p, err := b.Acquire(t.Context())
	require.NoError(t, err)
	if c.when != queued && c.when != turnComes {
		time.AfterFunc(waits, p.Release)
	}
	return p
}

// caller returns the context of the row's caller.
func (c cancellation) caller(ctx context.Context, u *underTest) (context.Context, context.CancelFunc) {
	at := callTakes
	switch c.when {
	case before:
		at = 0
	case briefly:
		at = 2 * time.Millisecond
	case hanging:
		at = steady.HangAfter
	}
	switch {
	case c.who == callerDeadline:
		return context.WithTimeoutCause(ctx, at, errGone)
	case c.who == callerCancels || c.when == callerGone:
		ctx, cancel := context.WithCancelCause(ctx)
		end := func() {
			cancel(errGone)
			if c.when == turnComes {
				u.permit.Release()
			}
		}
		if at == 0 {
			end()
		} else {
			time.AfterFunc(at, end)
		}
		return ctx, func() { cancel(nil) }
	}
	return context.WithCancel(ctx)
}

// serverMade is the error with which the server ends the row's call, if it does.
func (c cancellation) serverMade() error {
	switch c.who {
	case serverDeadline:
		return context.DeadlineExceeded
	case serverCanceled:
		return context.Canceled
	}
	return nil
}

// call is the row's call; *started counts.
func (c cancellation) call(started *int) func(context.Context) error {
	return func(ctx context.Context) error {
		*started++
		switch c.when {
		case returnsNil:
			<-ctx.Done()
			return nil
		case after:
			return nil
		case unheard:
			time.Sleep(time.Minute)
			return nil
		case backingOff:
			return errBoom
		}
		if made := c.serverMade(); made != nil {
			if c.when == callerGone {
				<-ctx.Done()
			}
			return made
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

// lingers is a policy that keeps a success until its context has ended.
type lingers struct{}

func (lingers) Do(ctx context.Context, call func(context.Context) error) error {
	err := call(ctx)
	<-ctx.Done()
	return err
}

// theCaller marks the context of the row's caller, to tell its events from those of
// whoever brought the policy into its state.
type theCaller struct{}

func (c cancellation) run(t *testing.T) {
	var hook steadytest.Recorder
	u := subjects[c.policy](t, c, steady.HookFunc(func(ctx context.Context, e steady.Event) {
		if ctx.Value(theCaller{}) != nil {
			hook.On(ctx, e)
		}
	}))
	halfway := steady.ContextWithSource(t.Context(), constant(0.5)) // of a second: the delay of a retry
	ctx, cancel := c.caller(context.WithValue(halfway, theCaller{}, true), u)
	defer cancel()

	policy, started := u.Policy, 0
	if c.when == after {
		policy = steady.Chain(policy, lingers{})
	}
	err := policy.Do(ctx, c.call(&started))
	synctest.Wait()

	require.Equal(t, c.is, matched(err), "what the error matches: %v", err)
	require.Equal(t, c.started, started, "calls started")
	var outcomes []told
	for _, e := range hook.Outcomes() {
		outcomes = append(outcomes, told{e.Kind, e.Outcome})
	}
	require.Equal(t, []told{c.told}, outcomes, "the one outcome event")
	require.Equal(t, c.after, u.counts(), "counts afterwards")

	if u.permit != nil {
		u.permit.Release()
	}
	time.Sleep(time.Hour)
	left := u.counts()
	require.Equal(t, [4]int{}, [4]int{left.probes, left.inFlight, left.waiting, left.abandoned}, "what is held an hour later")
}

// TestCancellation is the matrix of who ends a call, and when, for each policy.
// What cannot be is not in it: nothing queues in a breaker, a timeout further in
// cannot pass before the call.
func TestCancellation(t *testing.T) {
	const (
		open     = breaker.Open
		halfOpen = breaker.HalfOpen
	)
	for _, c := range []cancellation{
		{"breaker closed", callerCancels, before, rejected, 0, "canceled cause", counts{}},
		{"breaker closed", callerCancels, during, ignored, 1, "canceled", counts{}},
		{"breaker closed", callerCancels, hanging, ignored, 1, "canceled", counts{}},
		{"breaker closed", callerCancels, returnsNil, success, 1, "", counts{calls: 1}},
		{"breaker closed", callerCancels, after, success, 1, "", counts{calls: 1}},
		{"breaker closed", callerDeadline, before, rejected, 0, "deadline cause", counts{}},
		{"breaker closed", callerDeadline, briefly, ignored, 1, "deadline", counts{}},
		{"breaker closed", callerDeadline, during, ignored, 1, "deadline", counts{}},
		{"breaker closed", callerDeadline, hanging, failed, 1, "deadline", counts{calls: 1, failures: 1}},
		{"breaker closed", callerDeadline, returnsNil, success, 1, "", counts{calls: 1}},
		{"breaker closed", callerDeadline, after, success, 1, "", counts{calls: 1}},
		{"breaker closed", ownTimeout, during, failed, 1, "deadline exceeded", counts{calls: 1, failures: 1}},
		{"breaker closed", ownTimeout, returnsNil, success, 1, "", counts{calls: 1}},
		{"breaker closed", ownTimeout, after, success, 1, "", counts{calls: 1}},
		{"breaker closed", serverDeadline, during, failed, 1, "deadline", counts{calls: 1, failures: 1}},
		{"breaker closed", serverDeadline, callerGone, ignored, 1, "deadline", counts{}},
		{"breaker closed", serverCanceled, during, failed, 1, "canceled", counts{calls: 1, failures: 1}},
		{"breaker closed", serverCanceled, callerGone, ignored, 1, "canceled", counts{}},

		{"breaker half-open", callerCancels, before, rejected, 0, "canceled cause", counts{state: halfOpen}},
		{"breaker half-open", callerCancels, during, ignored, 1, "canceled", counts{state: halfOpen}},
		{"breaker half-open", callerCancels, returnsNil, success, 1, "", counts{}},
		{"breaker half-open", callerCancels, after, success, 1, "", counts{}},
		{"breaker half-open", callerDeadline, before, rejected, 0, "deadline cause", counts{state: halfOpen}},
		{"breaker half-open", callerDeadline, briefly, ignored, 1, "deadline", counts{state: halfOpen}},
		{"breaker half-open", callerDeadline, during, ignored, 1, "deadline", counts{state: halfOpen}},
		{"breaker half-open", callerDeadline, hanging, failed, 1, "deadline", counts{state: open}},
		{"breaker half-open", callerDeadline, returnsNil, success, 1, "", counts{}},
		{"breaker half-open", callerDeadline, after, success, 1, "", counts{}},
		{"breaker half-open", ownTimeout, during, failed, 1, "deadline exceeded", counts{state: open}},
		{"breaker half-open", ownTimeout, returnsNil, success, 1, "", counts{}},
		{"breaker half-open", ownTimeout, after, success, 1, "", counts{}},
		{"breaker half-open", serverDeadline, during, failed, 1, "deadline", counts{state: open}},
		{"breaker half-open", serverDeadline, callerGone, ignored, 1, "deadline", counts{state: halfOpen}},
		{"breaker half-open", serverCanceled, during, failed, 1, "canceled", counts{state: open}},
		{"breaker half-open", serverCanceled, callerGone, ignored, 1, "canceled", counts{state: halfOpen}},

		{"bulkhead free", callerCancels, before, rejected, 0, "canceled cause", counts{}},
		{"bulkhead free", callerCancels, during, ignored, 1, "canceled", counts{}},
		{"bulkhead free", callerCancels, returnsNil, success, 1, "", counts{}},
		{"bulkhead free", callerCancels, after, success, 1, "", counts{}},
		{"bulkhead free", callerDeadline, before, rejected, 0, "deadline cause", counts{}},
		{"bulkhead free", callerDeadline, during, ignored, 1, "deadline", counts{}},
		{"bulkhead free", callerDeadline, hanging, failed, 1, "deadline", counts{}},
		{"bulkhead free", callerDeadline, returnsNil, success, 1, "", counts{}},
		{"bulkhead free", callerDeadline, after, success, 1, "", counts{}},
		{"bulkhead free", ownTimeout, during, failed, 1, "deadline exceeded", counts{}},
		{"bulkhead free", ownTimeout, returnsNil, success, 1, "", counts{}},
		{"bulkhead free", ownTimeout, after, success, 1, "", counts{}},
		{"bulkhead free", serverDeadline, during, failed, 1, "deadline", counts{}},
		{"bulkhead free", serverDeadline, callerGone, ignored, 1, "deadline", counts{}},
		{"bulkhead free", serverCanceled, during, failed, 1, "canceled", counts{}},
		{"bulkhead free", serverCanceled, callerGone, ignored, 1, "canceled", counts{}},

		// Of the second of the caller, the call ran for what the queue had left.
		{"bulkhead queued", callerCancels, before, rejected, 0, "canceled cause", counts{inFlight: 1}},
		{"bulkhead queued", callerCancels, queued, rejected, 0, "canceled cause", counts{inFlight: 1}},
		{"bulkhead queued", callerCancels, turnComes, rejected, 0, "canceled cause", counts{}},
		{"bulkhead queued", callerCancels, during, ignored, 1, "canceled", counts{}},
		{"bulkhead queued", callerCancels, returnsNil, success, 1, "", counts{}},
		{"bulkhead queued", callerCancels, after, success, 1, "", counts{}},
		{"bulkhead queued", callerDeadline, before, rejected, 0, "deadline cause", counts{inFlight: 1}},
		{"bulkhead queued", callerDeadline, queued, rejected, 0, "deadline cause", counts{inFlight: 1}},
		{"bulkhead queued", callerDeadline, during, ignored, 1, "deadline", counts{}},
		{"bulkhead queued", callerDeadline, hanging, ignored, 1, "deadline", counts{}},
		{"bulkhead queued", callerDeadline, returnsNil, success, 1, "", counts{}},
		{"bulkhead queued", callerDeadline, after, success, 1, "", counts{}},
		{"bulkhead queued", ownTimeout, during, failed, 1, "deadline exceeded", counts{}},
		{"bulkhead queued", ownTimeout, returnsNil, success, 1, "", counts{}},
		{"bulkhead queued", serverDeadline, during, failed, 1, "deadline", counts{}},
		{"bulkhead queued", serverDeadline, callerGone, ignored, 1, "deadline", counts{}},
		{"bulkhead queued", serverCanceled, during, failed, 1, "canceled", counts{}},
		{"bulkhead queued", serverCanceled, callerGone, ignored, 1, "canceled", counts{}},

		// A retry shows the caller's cause. It never backs off past the deadline: what
		// comes back, at once, is the last error alone.
		{"retry", callerCancels, before, rejected, 0, "canceled cause", counts{tokens: 90}},
		{"retry", callerCancels, during, ignored, 1, "canceled cause", counts{tokens: 90}},
		{"retry", callerCancels, backingOff, ignored, 1, "boom canceled cause", counts{tokens: 90}},
		{"retry", callerCancels, returnsNil, success, 1, "", counts{tokens: 91}},
		{"retry", callerCancels, after, success, 1, "", counts{tokens: 91}},
		{"retry", callerDeadline, before, rejected, 0, "deadline cause", counts{tokens: 90}},
		{"retry", callerDeadline, during, ignored, 1, "deadline cause", counts{tokens: 90}},
		{"retry", callerDeadline, hanging, failed, 1, "deadline cause", counts{tokens: 90}},
		{"retry", callerDeadline, backingOff, failed, 1, "boom", counts{tokens: 90}},
		{"retry", callerDeadline, returnsNil, success, 1, "", counts{tokens: 91}},
		{"retry", callerDeadline, after, success, 1, "", counts{tokens: 91}},
		{"retry", ownTimeout, during, failed, 2, "deadline exceeded", counts{tokens: 80}},
		{"retry", ownTimeout, returnsNil, success, 1, "", counts{tokens: 91}},
		{"retry", ownTimeout, after, success, 1, "", counts{tokens: 91}},
		{"retry", serverDeadline, during, failed, 2, "deadline", counts{tokens: 80}},
		{"retry", serverDeadline, callerGone, ignored, 1, "canceled deadline cause", counts{tokens: 90}},
		{"retry", serverCanceled, during, failed, 2, "canceled", counts{tokens: 80}},
		{"retry", serverCanceled, callerGone, ignored, 1, "canceled cause", counts{tokens: 90}},

		{"timeout cooperative", callerCancels, before, rejected, 0, "canceled cause", counts{}},
		{"timeout cooperative", callerCancels, during, ignored, 1, "canceled", counts{}},
		{"timeout cooperative", callerCancels, unheard, success, 1, "", counts{}},
		{"timeout cooperative", callerCancels, returnsNil, success, 1, "", counts{}},
		{"timeout cooperative", callerCancels, after, success, 1, "", counts{}},
		{"timeout cooperative", callerDeadline, before, rejected, 0, "deadline cause", counts{}},
		{"timeout cooperative", callerDeadline, during, ignored, 1, "deadline", counts{}},
		{"timeout cooperative", callerDeadline, hanging, failed, 1, "deadline", counts{}},
		{"timeout cooperative", callerDeadline, unheard, success, 1, "", counts{}},
		{"timeout cooperative", callerDeadline, returnsNil, success, 1, "", counts{}},
		{"timeout cooperative", callerDeadline, after, success, 1, "", counts{}},
		{"timeout cooperative", ownTimeout, during, failed, 1, "deadline exceeded", counts{}},
		{"timeout cooperative", ownTimeout, unheard, success, 1, "", counts{}},
		{"timeout cooperative", ownTimeout, returnsNil, success, 1, "", counts{}},
		{"timeout cooperative", ownTimeout, after, success, 1, "", counts{}},
		{"timeout cooperative", serverDeadline, during, failed, 1, "deadline", counts{}},
		{"timeout cooperative", serverDeadline, callerGone, ignored, 1, "deadline", counts{}},
		{"timeout cooperative", serverCanceled, during, failed, 1, "canceled", counts{}},
		{"timeout cooperative", serverCanceled, callerGone, ignored, 1, "canceled", counts{}},

		// Who leaves a call gets an error of ours, which shows the cause.
		{"timeout abandon", callerCancels, before, rejected, 0, "canceled cause", counts{}},
		{"timeout abandon", callerCancels, during, ignored, 1, "canceled", counts{}},
		{"timeout abandon", callerCancels, unheard, ignored, 1, "canceled cause", counts{abandoned: 1, everLeft: 1}},
		{"timeout abandon", callerCancels, returnsNil, success, 1, "", counts{}},
		{"timeout abandon", callerCancels, after, success, 1, "", counts{}},
		{"timeout abandon", callerDeadline, before, rejected, 0, "deadline cause", counts{}},
		{"timeout abandon", callerDeadline, during, ignored, 1, "deadline", counts{}},
		{"timeout abandon", callerDeadline, hanging, failed, 1, "deadline", counts{}},
		{"timeout abandon", callerDeadline, unheard, ignored, 1, "deadline cause", counts{abandoned: 1, everLeft: 1}},
		{"timeout abandon", callerDeadline, returnsNil, success, 1, "", counts{}},
		{"timeout abandon", callerDeadline, after, success, 1, "", counts{}},
		{"timeout abandon", ownTimeout, during, failed, 1, "deadline exceeded", counts{}},
		{"timeout abandon", ownTimeout, unheard, failed, 1, "deadline exceeded", counts{abandoned: 1, everLeft: 1}},
		{"timeout abandon", ownTimeout, returnsNil, success, 1, "", counts{}},
		{"timeout abandon", ownTimeout, after, success, 1, "", counts{}},
		{"timeout abandon", serverDeadline, during, failed, 1, "deadline", counts{}},
		{"timeout abandon", serverDeadline, callerGone, ignored, 1, "deadline", counts{}},
		{"timeout abandon", serverCanceled, during, failed, 1, "canceled", counts{}},
		{"timeout abandon", serverCanceled, callerGone, ignored, 1, "canceled", counts{}},

		{"chain", callerCancels, before, rejected, 0, "canceled cause", counts{tokens: 90}},
		{"chain", callerCancels, queued, rejected, 0, "canceled cause", counts{tokens: 90, inFlight: 1}},
		{"chain", callerCancels, turnComes, rejected, 0, "canceled cause", counts{tokens: 90}},
		{"chain", callerCancels, during, ignored, 1, "canceled cause", counts{tokens: 90}},
		{"chain", callerCancels, backingOff, ignored, 1, "boom canceled cause", counts{tokens: 90, calls: 1, failures: 1}},
		{"chain", callerCancels, returnsNil, success, 1, "", counts{tokens: 91, calls: 1}},
		{"chain", callerCancels, after, success, 1, "", counts{tokens: 91, calls: 1}},
		{"chain", callerDeadline, before, rejected, 0, "deadline cause", counts{tokens: 90}},
		{"chain", callerDeadline, queued, rejected, 0, "deadline cause", counts{tokens: 90, inFlight: 1}},
		{"chain", callerDeadline, briefly, ignored, 1, "deadline cause", counts{tokens: 90}},
		{"chain", callerDeadline, during, ignored, 1, "deadline cause", counts{tokens: 90}},
		{"chain", callerDeadline, hanging, failed, 1, "deadline cause", counts{tokens: 90, calls: 1, failures: 1}},
		{"chain", callerDeadline, backingOff, failed, 1, "boom", counts{tokens: 90, calls: 1, failures: 1}},
		{"chain", callerDeadline, returnsNil, success, 1, "", counts{tokens: 91, calls: 1}},
		{"chain", callerDeadline, after, success, 1, "", counts{tokens: 91, calls: 1}},
		{"chain", ownTimeout, during, failed, 2, "deadline exceeded", counts{tokens: 80, calls: 2, failures: 2}},
		{"chain", ownTimeout, returnsNil, success, 1, "", counts{tokens: 91, calls: 1}},
		{"chain", ownTimeout, after, success, 1, "", counts{tokens: 91, calls: 1}},
		{"chain", serverDeadline, during, failed, 2, "deadline", counts{tokens: 80, calls: 2, failures: 2}},
		{"chain", serverDeadline, callerGone, ignored, 1, "canceled deadline cause", counts{tokens: 90}},
		{"chain", serverCanceled, during, failed, 2, "canceled", counts{tokens: 80, calls: 2, failures: 2}},
		{"chain", serverCanceled, callerGone, ignored, 1, "canceled cause", counts{tokens: 90}},

		// To what is inside it, a total timeout is the caller.
		{"chain in a total timeout", ownTimeout, queued, failed, 0, "deadline exceeded", counts{tokens: 90, inFlight: 1}},
		{"chain in a total timeout", ownTimeout, during, failed, 1, "deadline exceeded", counts{tokens: 90}},
		{"chain in a total timeout", ownTimeout, backingOff, failed, 1, "boom", counts{tokens: 90, calls: 1, failures: 1}},
		{"chain in a total timeout", ownTimeout, returnsNil, success, 1, "", counts{tokens: 91, calls: 1}},
		{"chain in a total timeout", ownTimeout, after, success, 1, "", counts{tokens: 91, calls: 1}},
	} {
		t.Run(c.policy+"/"+c.who+"/"+c.when, func(t *testing.T) {
			synctest.Test(t, c.run)
		})
	}
}
