package steady

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/steady-go/steady/internal/deadline"
)

// An Outcome is what the end of a call says about what was called.
type Outcome uint8

const (
	// Success: the call did its work.
	Success Outcome = iota + 1
	// Failure: the call did not do its work, and the cause lies with what was
	// called. A panic and a runtime.Goexit are failures.
	Failure
	// Ignored: the end of the call says nothing about what was called. It gives
	// back what the call held and changes no verdict.
	Ignored
)

// String returns "success", "failure", "ignored", or "none" for the zero value.
func (o Outcome) String() string {
	switch o {
	case Success:
		return "success"
	case Failure:
		return "failure"
	case Ignored:
		return "ignored"
	}
	return "none"
}

// HangAfter is the default of [Classifier.HangAfter].
const HangAfter = time.Second

// A Classifier judges the end of a call. Its zero value holds the rules that
// every policy uses by default:
//
//   - nil is a success;
//   - a rejection (see [AsRejection]) is ignored: the call was never started;
//   - any error after the caller cancelled its context is ignored;
//   - any error after the caller's deadline passed is ignored, unless the call
//     had run for HangAfter: then it is a failure, so that a hang cannot hide
//     behind callers who give up, while a caller who came with 2 ms left does not
//     count against what it called;
//   - every other error is a failure, the timeout of a policy further in
//     included.
//
// "The caller" is who made the context that the policy was given.
type Classifier struct {
	// HangAfter is how long a call must have run for the caller's passing
	// deadline to count as a failure. 0 means [HangAfter], one second: shorter
	// than the usual deadline of a request, longer than a healthy call.
	HangAfter time.Duration

	// Classify judges the errors that the rules above call failures; it is asked
	// for no other. nil means that they all are. A result that is neither Success
	// nor Ignored counts as Failure. It may be called by several goroutines at
	// once.
	Classify func(error) Outcome
}

// Outcome judges a call that returned err after it had run for ran, where ctx is
// the context that the caller gave.
func (c Classifier) Outcome(ctx context.Context, err error, ran time.Duration) Outcome {
	if err == nil {
		return Success
	}
	if _, ok := AsRejection(err); ok {
		return Ignored
	}
	ctxErr := ctx.Err()
	if ctxErr == nil && deadline.Is(err) && deadline.Passed(ctx) {
		ctxErr = context.DeadlineExceeded
	}
	if ctxErr != nil {
		if errors.Is(ctxErr, context.DeadlineExceeded) && ran >= cmp.Or(c.HangAfter, HangAfter) {
			return Failure
		}
		return Ignored
	}
	if c.Classify != nil {
		if o := c.Classify(err); o == Success || o == Ignored {
			return o
		}
	}
	return Failure
}

// ContextErr returns nil while ctx is not done. After that it returns an error
// that matches, by [errors.Is], both ctx.Err() and the cause that was given for
// it (see [context.Cause]).
func ContextErr(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		return &contextError{err: err, cause: cause}
	}
	return err
}

// contextError is the error of a context that was ended for a reason of its own.
type contextError struct{ err, cause error }

func (e *contextError) Error() string { return e.err.Error() + ": " + e.cause.Error() }
func (e *contextError) Unwrap() error { return e.err }

// Is shows the cause, but only to errors.Is: a caller who cancelled because of a
// rejection did not thereby refuse this call.
func (e *contextError) Is(target error) bool { return errors.Is(e.cause, target) }
