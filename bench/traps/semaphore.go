package traps

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"
)

var semaphoreLibrary = Library{
	Name:     "x/sync/semaphore",
	Module:   "golang.org/x/sync",
	Bulkhead: newSemaphore,
	Notes:    map[string]string{"6": "Release releases the semaphore with a weight of n."},
	Nonsense: map[Policy][]Nonsense{
		BulkheadPolicy: {
			{"a limit of -1", func() error { return made(semaphore.NewWeighted(-1)) }},
		},
	},
}

// A semaphoreBulkhead is what one writes around a semaphore, the release in a
// defer statement.
type semaphoreBulkhead struct {
	semaphore *semaphore.Weighted
	maxWait   time.Duration
}

func newSemaphore(c BulkheadConfig) (Bulkhead, error) {
	return semaphoreBulkhead{semaphore.NewWeighted(int64(c.Limit)), c.MaxWait}, nil
}

func (b semaphoreBulkhead) Do(ctx context.Context, call func(context.Context) error) error {
	release, err := b.Acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	return call(ctx)
}

func (b semaphoreBulkhead) Acquire(ctx context.Context) (release func(), err error) {
	if b.maxWait == 0 {
		if !b.semaphore.TryAcquire(1) {
			return nil, errors.New("full")
		}
	} else {
		ctx, cancel := context.WithTimeout(ctx, b.maxWait)
		defer cancel()
		if err := b.semaphore.Acquire(ctx, 1); err != nil {
			return nil, err
		}
	}
	return func() { b.semaphore.Release(1) }, nil
}
