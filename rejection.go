package steady

import (
	"errors"
	"time"
)

// A Rejection is the error of a policy that did not start the call. It also
// matches, by [errors.Is], the sentinel of its package, such as breaker.ErrOpen.
//
// An error that carries a started attempt must not be a Rejection. A call that has
// done part of its work when a policy further in refuses the rest must not return
// that rejection, nor wrap it by %w: policies further out take it for a call that
// was never started.
type Rejection interface {
	error

	// RejectedBy tells which policy refused: its kind, such as "breaker", and the
	// name and key that it was given, either of which may be empty.
	RejectedBy() (policy, name, key string)

	// RetryAfter tells how long from now it is useless to come back. It reports
	// false when the policy cannot tell.
	RetryAfter() (time.Duration, bool)
}

// AsRejection returns the first rejection in err's tree, as [errors.As] does.
func AsRejection(err error) (Rejection, bool) {
	return errors.AsType[Rejection](err)
}

// Permanent marks err as one that another attempt would only repeat, such as a
// request that the server calls malformed. A retry gives up on it at once.
// Permanent returns nil if err is nil.
//
// The mark concerns retries alone: for a breaker the call failed. Use
// [Classifier.Classify] to tell it otherwise.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err or an error in its tree was marked by
// [Permanent], or is one that says so of itself by a method Permanent() bool.
func IsPermanent(err error) bool {
	return anyIn(err, func(err error) bool {
		e, ok := err.(interface{ Permanent() bool })
		return ok && e.Permanent()
	})
}

// anyIn reports whether is holds for an error in err's tree, which it walks as
// [errors.As] does. Unlike that it goes on past an error of the right type that has
// nothing to say.
func anyIn(err error, is func(error) bool) bool {
	if err == nil {
		return false
	}
	if is(err) {
		return true
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return anyIn(e.Unwrap(), is)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if anyIn(err, is) {
				return true
			}
		}
	}
	return false
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

func (e *permanentError) Permanent() bool { return true }

// RetryAfter marks err with the time that the other side asked its callers to
// stay away, such as the Retry-After header of an HTTP response (RFC 9110,
// section 10.2.3). A retry waits at least that long, up to its own cap. A
// negative d, a date that has passed, counts as 0. It returns nil if err is nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err: err, after: max(d, 0)}
}

// RetryAfterOf returns the time given by the first error in err's tree that was
// marked by [RetryAfter] or is a [Rejection], and can tell. It is never negative.
// It reports false if there is none.
func RetryAfterOf(err error) (after time.Duration, known bool) {
	known = anyIn(err, func(err error) bool {
		if e, ok := err.(interface {
			RetryAfter() (time.Duration, bool)
		}); ok {
			after, ok = e.RetryAfter()
			return ok
		}
		return false
	})
	if !known {
		return 0, false
	}
	return max(after, 0), true
}

type retryAfterError struct {
	err   error
	after time.Duration
}

func (e *retryAfterError) Error() string                     { return e.err.Error() }
func (e *retryAfterError) Unwrap() error                     { return e.err }
func (e *retryAfterError) RetryAfter() (time.Duration, bool) { return e.after, true }
