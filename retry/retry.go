// Package retry repeats calls that failed, a few times, with growing random
// delays, and only while repeating can help.
//
// It stops at once when the next attempt could not start before the caller's
// deadline, when the caller has cancelled, when the error is permanent, and when
// the [Budget] that all callers of one dependency share is empty: in an outage,
// retries multiply the load that causes it.
//
// Retry only what may run twice: an attempt that failed may have done its work
// all the same. Put a retry outside of breaker and attempt timeout, and only one
// around a call: three layers of three attempts are 27 calls. An error of an
// inner retry is therefore final, unless Nested says otherwise.
package retry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/chain"
	"github.com/steady-go/steady/internal/check"
	"github.com/steady-go/steady/internal/report"
)

// NoDelay as Delay of a [Config] makes the next attempt at once.
const NoDelay time.Duration = -1

// Config is the configuration of a [Retry]. Its zero value is a good default.
type Config struct {
	// Name tells retries apart in events. It may be empty.
	Name string

	// Attempts is how many times a call is made at most, the first included. 1
	// means that it is never repeated. 0 means 3: what two retries do not cure,
	// more seldom do.
	Attempts int

	// Delay bounds the delay before the second attempt. Each delay is drawn evenly
	// between 0 and its bound, which grows by Multiplier from attempt to attempt up
	// to MaxDelay ("full jitter", Marc Brooker, Exponential Backoff And Jitter, AWS
	// Architecture Blog 2015). 0 means 50ms; NoDelay means none.
	Delay time.Duration

	// MaxDelay bounds the bound. 0 means 2s, or Delay if that is longer.
	MaxDelay time.Duration

	// Multiplier is by how much the bound grows, at least 1. 0 means 2.
	Multiplier float64

	// MaxRetryAfter caps the time that an error asks to wait (see
	// [steady.RetryAfter]), so that a server cannot park its callers for ten years.
	// Up to it that time is waited in full, and the delay comes on top, so that not
	// all who were sent away come back at one moment. 0 means 30s.
	//
	// A [steady.Rejection] is not waited for that long: one that would last for longer
	// than MaxDelay, or than the caller's deadline, is final, so that a breaker that
	// is open still makes calls fail fast.
	MaxRetryAfter time.Duration

	// Budget bounds the retries of everything that shares it; share one among all
	// that calls the same dependency. nil means one of its own with the defaults of
	// [BudgetConfig]; [NoBudget] means no bound.
	Budget *Budget

	// Nested also retries the errors of a retry further in, which otherwise are
	// final, since the attempts of nested retries multiply.
	Nested bool

	// Classify tells which errors are worth another attempt: those that are
	// failures; see [steady.Classifier]. nil means that all are that its other rules
	// do not excuse. Rejections are not passed to it: they are retried.
	Classify func(error) steady.Outcome

	// Hook hears of every call and each attempt that failed. nil means nobody.
	Hook steady.Hook
}

// withDefaults returns c with its zero fields filled in, or all its faults.
func (c Config) withDefaults() (Config, error) {
	c.Attempts = cmp.Or(c.Attempts, 3)
	c.Delay = cmp.Or(c.Delay, 50*time.Millisecond)
	c.MaxDelay = cmp.Or(c.MaxDelay, max(2*time.Second, c.Delay))
	c.Multiplier = cmp.Or(c.Multiplier, 2)
	c.MaxRetryAfter = cmp.Or(c.MaxRetryAfter, 30*time.Second)

	f := check.Config("retry: Config")
	f.Require(c.Attempts >= 1, "Attempts", "be >= 0", c.Attempts)
	f.Require(c.Delay > 0 || c.Delay == NoDelay, "Delay", "be >= 0, or NoDelay", c.Delay)
	f.Require(c.MaxDelay >= max(c.Delay, 0), "MaxDelay", fmt.Sprintf("be >= Delay (%v), or 0", max(c.Delay, 0)), c.MaxDelay)
	f.Require(c.Multiplier >= 1 && !math.IsInf(c.Multiplier, 1), "Multiplier", "be >= 1 and finite, or 0", c.Multiplier)
	f.Require(c.MaxRetryAfter > 0, "MaxRetryAfter", "be >= 0", c.MaxRetryAfter)
	return c, f.Err()
}

// A Retry repeats calls. It is a [steady.Policy], made by [New], may be used by
// several goroutines at once, and needs no closing. Between attempts Do blocks.
type Retry struct {
	cfg      Config
	verdicts steady.Classifier
	budget   *Budget
	report   report.Reporter
	drawKey  string
}

// New returns a retry, or an error that names every fault of c.
func New(c Config) (*Retry, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Retry{
		cfg:      c,
		verdicts: steady.Classifier{Classify: c.Classify},
		budget:   c.Budget,
		drawKey:  "retry:" + c.Name,
	}
	if r.budget == nil {
		r.budget = MustNewBudget(BudgetConfig{})
	}
	r.report.Init(c.Hook, "retry", c.Name, "")
	report.Introduce(&r.report, r)
	return r, nil
}

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Retry { return check.Must(New(c)) }

// Do makes call until it succeeds, up to Attempts times. The context of the first
// attempt is ctx itself; from the second on, [steady.Attempt] tells the call which
// one it is.
//
// An error comes back as [*Error], which unwraps to that of the last attempt that
// was started (when the caller ended that, of the one before) and tells, by
// [errors.Is], why there was no further one. When policies further in refused every
// attempt, so that none was started, Do returns the last rejection untouched, or
// [steady.ContextErr] if ctx was done before the next.
func (r *Retry) Do(ctx context.Context, call func(context.Context) error) (err error) {
	if ctx.Err() != nil {
		return r.report.ContextDone(ctx, 0)
	}
	var p progress
	if r.report.On() {
		start := time.Now()
		defer func() { r.done(ctx, &p, start, err) }()
	}
	p.attempts = 1
	if err = call(ctx); err == nil {
		r.succeeded(&p)
	} else {
		err = r.again(ctx, call, &p, err)
	}
	p.returned = true
	return err
}

// Link is how [steady.Chain] runs a Retry without allocating; it is of no other use.
func (r *Retry) Link() chain.Link { return chain.Link{Of: r, Do: r.doNext} }

func (r *Retry) doNext(ctx context.Context, next chain.Next) error { return r.Do(ctx, next.Do) }

// progress is how far a Do has come.
type progress struct {
	attempts  int
	last      error // of the last attempt that was started, unless the caller ended it
	refused   error // the rejection of the latest attempt, if it was one
	succeeded bool
	returned  bool
}

// result is what a Do has come to, before it is wrapped.
func (p *progress) result() error {
	if p.succeeded {
		return nil
	}
	return p.last
}

// succeeded notes that an attempt has succeeded.
func (r *Retry) succeeded(p *progress) {
	p.succeeded = true
	r.budget.succeeded()
}

// again makes further attempts after a first that failed with err.
func (r *Retry) again(ctx context.Context, call func(context.Context) error, p *progress, err error) error {
	for {
		delay, reason, again := r.judge(ctx, p, err)
		if !again {
			return p.err(reason)
		}
		r.report.Emit(ctx, steady.Event{Kind: steady.KindRetry, Attempt: p.attempts, Delay: delay, Err: err})
		if !sleep(ctx, delay) {
			r.budget.giveBack()
			return p.err(steady.ContextErr(ctx))
		}
		p.attempts++
		if err = call(steady.ContextWithAttempt(ctx, p.attempts)); err == nil {
			r.succeeded(p)
			return nil
		}
	}
}

// judge takes in the error of an attempt and decides whether there is another,
// which it then takes out of the budget. Otherwise reason is why not; it is nil if
// the error itself is.
func (r *Retry) judge(ctx context.Context, p *progress, err error) (delay time.Duration, reason error, again bool) {
	rejection, refused := steady.AsRejection(err)
	ended := ctx.Err()
	switch {
	case refused:
		p.refused = err
		if p.attempts > 1 {
			r.budget.giveBack() // an attempt that was not started is no load
		}
	case p.last != nil && ended != nil && errors.Is(err, ended):
		p.refused = nil // the caller ended this attempt: what failed before tells more
	default:
		p.last, p.refused = err, nil
	}
	switch {
	case ended != nil:
		return 0, steady.ContextErr(ctx), false
	case !refused && r.final(ctx, err):
		return 0, nil, false
	case refused && steady.IsPermanent(err):
		return 0, nil, false
	case p.attempts >= r.cfg.Attempts:
		return 0, ErrExhausted, false
	}
	delay = r.delay(ctx, p.attempts, err)
	if refused {
		// To come back sooner than it says is to be refused again; to wait for long is
		// not to fail fast, which is what the rejection is for.
		after, ok := rejection.RetryAfter()
		if ok && after > r.cfg.MaxDelay {
			return 0, ErrTooLate, false
		}
		delay = max(delay, after)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= delay {
		return 0, ErrTooLate, false
	}
	if !r.budget.take() {
		return 0, ErrBudget, false
	}
	return delay, nil, true
}

// final reports whether the error of an attempt rules out another.
func (r *Retry) final(ctx context.Context, err error) bool {
	if steady.IsPermanent(err) {
		return true
	}
	if _, nested := errors.AsType[*Error](err); nested && !r.cfg.Nested {
		return true
	}
	outcome := r.verdicts.Outcome(ctx, err, 0)
	if outcome == steady.Success {
		r.budget.succeeded() // what was called works, whatever it said
	}
	return outcome != steady.Failure
}

// delay draws the time to wait after the given attempt, which failed with err.
func (r *Retry) delay(ctx context.Context, attempt int, err error) time.Duration {
	delay := time.Duration(0)
	if r.cfg.Delay != NoDelay {
		bound := backoff(r.cfg.Delay, r.cfg.MaxDelay, r.cfg.Multiplier, attempt)
		delay = time.Duration(steady.Random(ctx, r.drawKey, uint64(attempt)) * float64(bound))
	}
	after, _ := steady.RetryAfterOf(err)
	after = min(after, r.cfg.MaxRetryAfter)
	if sum := after + delay; sum >= after {
		return sum
	}
	return math.MaxInt64
}

// backoff returns first times multiplier to the power of attempt-1, up to limit.
func backoff(first, limit time.Duration, multiplier float64, attempt int) time.Duration {
	bound := float64(first) * math.Pow(multiplier, float64(attempt-1))
	if bound < float64(limit) {
		return time.Duration(bound)
	}
	return limit
}

// sleep waits for d and reports whether ctx is still not done then.
func sleep(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

// done reports the end of a Do.
func (r *Retry) done(ctx context.Context, p *progress, start time.Time, err error) {
	e := steady.Event{Kind: steady.KindDone, Duration: time.Since(start), Attempt: p.attempts, Err: err}
	switch {
	case !p.returned:
		e.Outcome, e.Err = steady.Failure, steady.ErrNoReturn
	case err != nil && p.last == nil:
		e.Kind, e.Outcome, e.Reason = steady.KindRejected, steady.Ignored, "refused"
	default:
		// Classify judges what a call returned, not what we make of it.
		e.Outcome = r.verdicts.Outcome(ctx, p.result(), e.Duration)
	}
	r.report.Emit(ctx, e)
}

// Inspect implements [steady.Inspector].
func (r *Retry) Inspect() []steady.Status {
	budget := r.budget.Stats()
	if budget.Limit == 0 {
		return []steady.Status{r.report.Status()}
	}
	return []steady.Status{r.report.Status(
		steady.Level{Name: steady.LevelTokens, Value: float64(budget.Tokens)},
		steady.Level{Name: steady.LevelMaxTokens, Value: float64(budget.Limit)},
	)}
}

// Stats is what a [Retry] holds at one moment.
type Stats struct {
	Budget     BudgetStats
	HookPanics uint64 // panics of the hook so far
}

// Stats returns the present state. It is cheap, and safe at any time.
func (r *Retry) Stats() Stats {
	return Stats{Budget: r.budget.Stats(), HookPanics: r.report.Panics()}
}
