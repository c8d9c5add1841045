package idempotency

import (
	"context"
	"fmt"
	"time"
)

// calm makes an error of a panic of a store. On the goroutine that extends a lease it would end the process.
type calm struct{ store Store }

func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
	}
}

func (c calm) Begin(ctx context.Context, claim Claim) (g Grant, err error) {
	defer recovered(&err)
	return c.store.Begin(ctx, claim)
}

func (c calm) Extend(ctx context.Context, key, token string, lease time.Duration) (err error) {
	defer recovered(&err)
	return c.store.Extend(ctx, key, token, lease)
}

func (c calm) Finish(ctx context.Context, key, token string, o Outcome, keep time.Duration) (err error) {
	defer recovered(&err)
	return c.store.Finish(ctx, key, token, o, keep)
}

func (c calm) Release(ctx context.Context, key, token string) (err error) {
	defer recovered(&err)
	return c.store.Release(ctx, key, token)
}
