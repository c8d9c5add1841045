package cache

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrOverloaded is matched by the rejection of a Get that needs a load while MaxLoads are
	// running.
	ErrOverloaded = errors.New("cache: too many loads")

	// ErrClosed is matched by the rejection of a Get after [Cache.Close], and is the error of one that waited for
	// a load then, and the cause of that load's context.
	ErrClosed = errors.New("cache: closed")

	// ErrLoadTimeout is matched by the error of a Get whose load took longer than LoadTimeout, and by the
	// cause (see [context.Cause]) of that load's context. That error matches [context.DeadlineExceeded] too, and what
	// the load returned.
	ErrLoadTimeout = errors.New("cache: load timeout exceeded")

	// ErrNotFound is matched by what [NotFound] has marked. A load may also return it as it
	// is, but a retry inside the load then repeats it: it is not permanent. It is the error of those keys that a load of [Cache.GetMany] brought no value for.
	ErrNotFound = errors.New("cache: not found")
)

// NotFound marks err as the answer that there is nothing, such as status 404. The cache remembers it for
// NegativeFor, drops what it had for the key, and never returns a stale value in its place. It matches
// [ErrNotFound], and is permanent to retries (see [steady.IsPermanent]). To a
// breaker inside the load it is a failure like others: let its Classify call it a success. NotFound returns nil if err is nil.
func NotFound(err error) error {
	if err == nil {
		return nil
	}
	return &notFoundError{err}
}

type notFoundError struct{ err error }

func (e *notFoundError) Error() string        { return e.err.Error() }
func (e *notFoundError) Unwrap() error        { return e.err }
func (e *notFoundError) Is(target error) bool { return target == ErrNotFound }
func (e *notFoundError) Permanent() bool      { return true }

// A loadTimeoutError says that a load did not end within LoadTimeout.
type loadTimeoutError struct {
	name  string
	limit time.Duration
	err   error // what the load returned; nil if it did not
}

func (e *loadTimeoutError) Error() string {
	s := fmt.Sprintf("cache: load timeout of %v exceeded", e.limit)
	if e.name != "" {
		s = fmt.Sprintf("cache: %s: load timeout of %v exceeded", e.name, e.limit)
	}
	if e.err == nil || e.err == context.DeadlineExceeded {
		return s
	}
	return s + ": " + e.err.Error()
}

func (e *loadTimeoutError) Unwrap() error { return e.err }

func (e *loadTimeoutError) Is(target error) bool {
	return target == ErrLoadTimeout || target == context.DeadlineExceeded
}

// Timeout reports true, as that of a [net.Error] does.
func (e *loadTimeoutError) Timeout() bool { return true }
