// Package timeout bounds how long a call may take.
//
// It gives the call a context with a real deadline, which every well-behaved
// client library obeys, and tells its own limit from that of the caller: what the
// caller cancelled is not reported as a timeout.
//
// Use one inside retry and breaker for each attempt, and one around everything
// for the whole. The bounds must nest: all attempts, and the delays between them,
// have to fit into the outer limit.
package timeout

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/chain"
	"github.com/steady-go/steady/internal/check"
	"github.com/steady-go/steady/internal/deadline"
	"github.com/steady-go/steady/internal/refusal"
	"github.com/steady-go/steady/internal/report"
)

// Config is the configuration of a [Timeout]. Limit is required.
type Config struct {
	// Name tells timeouts apart in events and errors. It may be empty.
	Name string

	// Limit is how long a call may take. There is no default: the 99.9th percentile
	// of the healthy call is a good start.
	Limit time.Duration

	// Abandon is for calls that ignore their context. Do then makes the call on a
	// goroutine of its own and returns when the context has ended, whether the call
	// has or not: one that has not is abandoned. It runs on, holds what it holds, and
	// its result is dropped. Prefer calls that obey their context: this mode costs a
	// goroutine for each.
	Abandon bool

	// MaxAbandoned is how many abandoned calls may still be running before further
	// calls are refused, since abandoned calls would otherwise pile up unseen. Calls
	// that are under way at that moment may still be abandoned: bound those with a
	// bulkhead. It must be left out without Abandon. 0 means 100.
	MaxAbandoned int

	// MinRemaining refuses a call whose caller's deadline is nearer than that, since
	// it could only fail, and its work would be in vain. It must be below Limit. 0
	// means that every call is started.
	MinRemaining time.Duration

	// Hook hears of every call. nil means nobody.
	Hook steady.Hook
}

const defaultMaxAbandoned = 100

// ErrExceeded is matched by the error of a call that did not end within the Limit,
// and by the cause (see [context.Cause]) of its context.
var ErrExceeded = errors.New("timeout: limit exceeded")

var (
	// ErrNoTime is matched by the rejection of a call whose caller had less than
	// MinRemaining left.
	ErrNoTime = errors.New("timeout: too little time left")

	// ErrSaturated is matched by the rejection of a call while MaxAbandoned calls
	// that were abandoned are still running.
	ErrSaturated = errors.New("timeout: too many abandoned calls")
)

// An Error says that a call did not end within the Limit. It matches
// [ErrExceeded], [context.DeadlineExceeded], and what Err matches.
type Error struct {
	Name  string        // of the policy
	Limit time.Duration // that was exceeded
	Err   error         // what the call returned
}

func (e *Error) Error() string {
	s := "timeout: limit of " + e.Limit.String() + " exceeded"
	if e.Name != "" {
		s = "timeout: " + e.Name + ": limit of " + e.Limit.String() + " exceeded"
	}
	if e.Err == nil || e.Err == context.DeadlineExceeded {
		return s
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns [ErrExceeded] and what the call returned.
func (e *Error) Unwrap() []error { return []error{ErrExceeded, e.Err} }

// Is makes an Error match [context.DeadlineExceeded].
func (e *Error) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout reports true, as that of a [net.Error] does.
func (e *Error) Timeout() bool { return true }

// A Timeout bounds the time of calls. It is a [steady.Policy], made by [New], may
// be used by several goroutines at once, and needs no closing.
type Timeout struct {
	name         string
	limit        time.Duration
	minRemaining time.Duration
	cause        *cause
	exceeded     context.Context // one that has ended because of cause
	habit        habit
	line         line
	noTime       *refusal.Refusal
	saturated    *refusal.Refusal
	report       report.Reporter

	abandon        bool
	maxAbandoned   int64
	abandoned      atomic.Int64  // those that are still running
	abandonedSoFar atomic.Uint64 // all
}

// A cause is the cause of a context whose deadline was set by one Timeout.
type cause struct{ text string }

func (c *cause) Error() string { return c.text }

// Is also matches the context's own error, for calls that return the cause in its
// place.
func (c *cause) Is(target error) bool {
	return target == ErrExceeded || target == context.DeadlineExceeded
}

// New returns a timeout, or an error that names every fault of c.
func New(c Config) (*Timeout, error) {
	f := check.Config("timeout: Config")
	f.Require(c.Limit > 0, "Limit", "be > 0", c.Limit)
	f.Require(c.MaxAbandoned >= 0, "MaxAbandoned", "be >= 0", c.MaxAbandoned)
	f.Require(c.MaxAbandoned <= 0 || c.Abandon, "MaxAbandoned", "be 0 without Abandon", c.MaxAbandoned)
	f.Require(c.MinRemaining >= 0 && (c.MinRemaining == 0 || c.MinRemaining < c.Limit), "MinRemaining", "be >= 0 and below Limit", c.MinRemaining)
	if err := f.Err(); err != nil {
		return nil, err
	}
	t := &Timeout{
		name: c.Name, limit: c.Limit, minRemaining: c.MinRemaining,
		abandon: c.Abandon, maxAbandoned: int64(cmp.Or(c.MaxAbandoned, defaultMaxAbandoned)),
		noTime:    refusal.NewPermanent("timeout", c.Name, ErrNoTime),
		saturated: refusal.New("timeout", c.Name, ErrSaturated),
	}
	t.cause = &cause{(&Error{Name: c.Name, Limit: c.Limit}).Error()}
	t.exceeded = exceededBy(t.cause)
	t.report.Init(c.Hook, "timeout", c.Name, "")
	report.Introduce(&t.report, t)
	return t, nil
}

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Timeout { return check.Must(New(c)) }

// Do runs call with a context that ends after the limit, or with the caller's if
// that is earlier, and waits for it to return: unless Abandon is set, a call that
// ignores its context takes as long as it takes.
//
// The call's result stands, a success that comes after the limit too, with one
// exception: an error after the limit that matches [context.DeadlineExceeded], or
// [os.ErrDeadlineExceeded] as from a net.Conn, comes back in an [*Error]. When the
// caller's own deadline passed before that, or the caller cancelled, the error
// comes back untouched.
//
// The context given to call is cancelled when call returns. What call returns
// must not need it any more: read a response's body inside.
func (t *Timeout) Do(ctx context.Context, call func(context.Context) error) error {
	if t.abandon {
		return t.mayLeave(ctx, call)
	}
	return t.stay(ctx, call)
}

// Link is how [steady.Chain] runs a Timeout without allocating; it is of no other
// use. It chooses between the modes, so that only a call that may be left allocates a
// func.
func (t *Timeout) Link() chain.Link {
	if t.abandon {
		return chain.Link{Of: t, Do: t.mayLeaveNext}
	}
	return chain.Link{Of: t, Do: t.stayNext}
}

func (t *Timeout) stayNext(ctx context.Context, next chain.Next) error { return t.stay(ctx, next.Do) }

func (t *Timeout) mayLeaveNext(ctx context.Context, next chain.Next) error {
	return t.mayLeave(ctx, next.Do)
}

// stay makes a call and waits for it to return.
func (t *Timeout) stay(ctx context.Context, call func(context.Context) error) (err error) {
	limited, err := t.enter(ctx)
	if err != nil {
		return err
	}
	start := t.report.Start()
	returned := false
	defer func() { t.report.Done(ctx, steady.Classifier{}, start, 0, returned, err) }()
	defer limited.end()
	err = t.attribute(ctx, limited, call(limited))
	returned = true
	return err
}

// enter returns the context of a call, or reports why there is none.
func (t *Timeout) enter(ctx context.Context) (*limited, error) {
	if ctx.Err() != nil {
		return nil, t.report.ContextDone(ctx, 0)
	}
	now := time.Now()
	if t.minRemaining > 0 {
		if deadline, ok := ctx.Deadline(); ok && deadline.Sub(now) < t.minRemaining {
			return nil, t.report.Reject(ctx, "too little time left", 0, t.noTime)
		}
	}
	return &limited{caller: ctx, deadline: now.Add(t.limit), timeout: t}, nil
}

// attribute returns the error of a call, in an [*Error] if it comes of our limit. It
// must be asked before the call's context is ended.
func (t *Timeout) attribute(caller, limited context.Context, err error) error {
	if deadline.Is(err) && t.hasExceeded(caller, limited) {
		return &Error{Name: t.name, Limit: t.limit, Err: err}
	}
	return err
}

// hasExceeded reports whether it is our limit, not the caller's deadline or
// cancellation, that has ended the context of a call.
func (t *Timeout) hasExceeded(caller, limited context.Context) bool {
	if limited.Err() != nil {
		// The same Timeout may also be around the caller.
		return context.Cause(limited) == t.cause && context.Cause(caller) != t.cause
	}
	if !deadline.Passed(limited) {
		return false
	}
	ours, _ := limited.Deadline()
	theirs, ok := caller.Deadline()
	return !ok || ours.Before(theirs)
}

// Inspect implements [steady.Inspector].
func (t *Timeout) Inspect() []steady.Status {
	levels := []steady.Level{{Name: steady.LevelTimeLimit, Value: t.limit.Seconds()}}
	if t.abandon {
		levels = append(levels, steady.Level{Name: steady.LevelAbandoned, Value: float64(t.abandoned.Load())})
	}
	return []steady.Status{t.report.Status(levels...)}
}

// Stats is what a [Timeout] holds at one moment.
type Stats struct {
	Abandoned      int    // calls that were abandoned and are still running
	AbandonedSoFar uint64 // calls that were abandoned, running or not
	HookPanics     uint64 // panics of the hook so far
}

// Stats returns the present counts. It is cheap, and safe at any time.
func (t *Timeout) Stats() Stats {
	return Stats{
		Abandoned:      int(t.abandoned.Load()),
		AbandonedSoFar: t.abandonedSoFar.Load(),
		HookPanics:     t.report.Panics(),
	}
}
