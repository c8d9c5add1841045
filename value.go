package steady

import (
	"context"
	"errors"
	"sync/atomic"
)

// ErrNoValue is returned by [DoValue] when the policy reported success although
// no call stored a value: a policy that swallows errors, for example.
var ErrNoValue = errors.New("steady: no call stored a value")

// DoValue runs call under p and returns its value. When p returns an error, so
// does DoValue, with the zero value.
//
// It is safe with policies that run several calls at once or leave a call
// running: a value that arrives after DoValue has returned is dropped. Of several
// calls that succeeded the last one counts, and a call whose context was done
// when it ended counts only if no other succeeded, so that a call that a timeout
// gave up on cannot replace the result of a later attempt.
//
// It makes three allocations at most for a call that succeeds.
func DoValue[T any](ctx context.Context, p Policy, call func(context.Context) (T, error)) (T, error) {
	var stored atomic.Pointer[T]
	err := p.Do(ctx, func(ctx context.Context) error {
		v, err := call(ctx)
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			stored.CompareAndSwap(nil, &v)
		default:
			stored.Store(&v)
		}
		return nil
	})
	v := stored.Load()
	switch {
	case err == nil && v != nil:
		return *v, nil
	case err == nil:
		err = ErrNoValue
	}
	var zero T
	return zero, err
}
