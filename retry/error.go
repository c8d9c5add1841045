package retry

import (
	"errors"
	"strconv"
)

var (
	// ErrExhausted: all Attempts were made.
	ErrExhausted = errors.New("retry: attempts exhausted")

	// ErrBudget: the [Budget] had no tokens left for another attempt.
	ErrBudget = errors.New("retry: budget empty")

	// ErrTooLate: another attempt could not start before the caller's deadline, or
	// a rejection said that it would be refused for longer than MaxDelay.
	ErrTooLate = errors.New("retry: next attempt too late")
)

// An Error is the error of a call that a [Retry] gave up on. By [errors.Is] and
// [errors.As] it matches what Err matches.
//
// By errors.Is it also matches why there was no further attempt: [ErrExhausted],
// [ErrBudget], [ErrTooLate], the error of the caller's context, and the rejection
// of the last attempt if that was refused. It matches none of these when Err
// itself is final. It is never a [steady.Rejection], since an attempt was started:
// where that matters ask [steady.AsRejection], not errors.Is.
type Error struct {
	Attempts int   // made, those included that a policy further in refused
	Err      error // of the last attempt that was started, or of the one before if the caller ended that

	reason  error
	refused error
}

// err is the error of a Do that gives up for reason.
func (p *progress) err(reason error) error {
	if p.last != nil {
		return &Error{Attempts: p.attempts, Err: p.last, reason: reason, refused: p.refused}
	}
	switch reason {
	case nil, ErrExhausted, ErrBudget, ErrTooLate:
		return p.refused
	}
	return reason // the caller's context is done
}

func (e *Error) Error() string {
	s := "retry: " + strconv.Itoa(e.Attempts) + " attempt"
	if e.Attempts != 1 {
		s += "s"
	}
	if e.reason != nil {
		s += " (" + e.reason.Error() + ")"
	}
	if e.refused != nil {
		s += " (" + e.refused.Error() + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Repeated reports whether there was more than one attempt: then what Err says of itself, such as that it had no effect, need
// not hold for those before it.
func (e *Error) Repeated() bool { return e.Attempts > 1 }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is why there was no further attempt.
func (e *Error) Is(target error) bool {
	return errors.Is(e.reason, target) || errors.Is(e.refused, target)
}
