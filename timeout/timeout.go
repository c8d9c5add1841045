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
	"context"
	"errors"
	"os"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/chain"
	"github.com/steady-go/steady/internal/check"
	"github.com/steady-go/steady/internal/report"
)

// Config is the configuration of a [Timeout]. Limit is required.
type Config struct {
	// Name tells timeouts apart in events and errors. It may be empty.
	Name string

	// Limit is how long a call may take. There is no default: the 99.9th percentile
	// of the healthy call is a good start.
	Limit time.Duration

	// Hook hears of every call. nil means nobody.
	Hook steady.Hook
}

// ErrExceeded is matched by the error of a call that did not end within the Limit,
// and by the cause (see [context.Cause]) of its context.
var ErrExceeded = errors.New("timeout: limit exceeded")

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

// A Timeout bounds the time of calls. It is a [steady.Policy], made by [New], may
// be used by several goroutines at once, keeps no state between calls, and needs
// no closing.
type Timeout struct {
	name   string
	limit  time.Duration
	cause  *cause
	report report.Reporter
}

// A cause is the cause of a context whose deadline was set by one Timeout.
type cause struct{ text string }

func (c *cause) Error() string        { return c.text }
func (c *cause) Is(target error) bool { return target == ErrExceeded }

// New returns a timeout, or an error that names every fault of c.
func New(c Config) (*Timeout, error) {
	f := check.Config("timeout: Config")
	f.Require(c.Limit > 0, "Limit", "be > 0", c.Limit)
	if err := f.Err(); err != nil {
		return nil, err
	}
	t := &Timeout{name: c.Name, limit: c.Limit}
	t.cause = &cause{(&Error{Name: c.Name, Limit: c.Limit}).Error()}
	t.report.Init(c.Hook, "timeout", c.Name, "")
	return t, nil
}

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Timeout { return check.Must(New(c)) }

// Do runs call with a context that ends after the limit, or with the caller's if
// that is earlier, and waits for it to return: a call that ignores its context
// takes as long as it takes.
//
// The call's result stands, a success that comes after the limit too, with one
// exception: an error after the limit that matches [context.DeadlineExceeded], or
// [os.ErrDeadlineExceeded] as from a net.Conn, comes back in an [*Error]. When the caller's own deadline has passed, or the
// caller has cancelled, the error comes back untouched.
//
// The context given to call is cancelled when call returns. What call returns
// must not need it any more: read a response's body inside.
func (t *Timeout) Do(ctx context.Context, call func(context.Context) error) (err error) {
	if ctx.Err() != nil {
		return t.report.ContextDone(ctx, 0)
	}
	start := t.report.Start()
	limited, cancel := context.WithTimeoutCause(ctx, t.limit, t.cause)
	returned := false
	defer func() {
		cancel()
		t.report.Done(ctx, steady.Classifier{}, start, 0, returned, err)
	}()
	err = call(limited)
	if isDeadline(err) && t.exceeded(ctx, limited) {
		err = &Error{Name: t.name, Limit: t.limit, Err: err}
	}
	returned = true
	return err
}

// DoNext makes a Timeout a step of [steady.Chain]; call Do instead.
func (t *Timeout) DoNext(ctx context.Context, next chain.Next) error { return t.Do(ctx, next.Do) }

func isDeadline(err error) bool {
	return err != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded))
}

// exceeded reports whether it is our limit, not the caller's deadline or
// cancellation, that has ended the context of a call.
func (t *Timeout) exceeded(caller, limited context.Context) bool {
	switch {
	case limited.Err() != nil:
		// The same Timeout may also be around the caller.
		return context.Cause(limited) == t.cause && context.Cause(caller) != t.cause
	default:
		// A client library that keeps the deadline itself, as a net.Conn does, may be
		// a moment ahead of the context.
		deadline, _ := limited.Deadline()
		theirs, ok := caller.Deadline()
		return !time.Now().Before(deadline) && (!ok || deadline.Before(theirs))
	}
}

// Stats is what a [Timeout] has counted.
type Stats struct {
	HookPanics uint64 // panics of the hook so far
}

// Stats returns the present counts.
func (t *Timeout) Stats() Stats { return Stats{HookPanics: t.report.Panics()} }
