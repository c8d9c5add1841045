package traps

import (
	"context"
	"errors"
	"time"
)

var contextLibrary = Library{
	Name:     "context.WithTimeout",
	Module:   "std",
	Timeout:  newContextTimeout,
	Remedies: map[string]string{"30b": "context.WithTimeoutCause"},
}

// A contextTimeout is what one writes without a library.
type contextTimeout struct {
	limit time.Duration
	cause error // nil for the usual
}

func newContextTimeout(c TimeoutConfig) (Timeout, error) {
	if c.Mode == Abandons {
		return nil, cannotLeave
	}
	t := contextTimeout{limit: c.Limit}
	if c.Remedy {
		t.cause = errLimit
	}
	return t, nil
}

var errLimit = errors.New("our limit was exceeded")

func (t contextTimeout) Do(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, t.limit, t.cause)
	defer cancel()
	err := call(ctx)
	if t.cause != nil && err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (t contextTimeout) TimedOut(err error) bool {
	if t.cause != nil {
		return errors.Is(err, t.cause)
	}
	return errors.Is(err, context.DeadlineExceeded)
}
