package traps

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// A tumblingBreaker is broken on purpose: its window does not slide, it starts
// afresh every ten seconds, as that of a well-known breaker in Rust does.
type tumblingBreaker struct {
	config          BreakerConfig
	length          time.Duration // of its window
	began           time.Time
	calls, failures int
	open            bool
}

var errRefused = errors.New("refused")

func newTumblingBreaker(c BreakerConfig) (Breaker, error) {
	return &tumblingBreaker{config: c, length: window, began: time.Now()}, nil
}

// newUnforgivingBreaker returns a breaker that is broken on purpose: its window
// never ends.
func newUnforgivingBreaker(c BreakerConfig) (Breaker, error) {
	return &tumblingBreaker{config: c, length: math.MaxInt64, began: time.Now()}, nil
}

func (b *tumblingBreaker) State() string {
	if b.open {
		return "open"
	}
	return "closed"
}

func (b *tumblingBreaker) Do(ctx context.Context, call func(context.Context) error) error {
	if b.open {
		return errRefused
	}
	err := call(ctx)
	if since := time.Since(b.began); since >= b.length {
		b.began = b.began.Add(since.Truncate(b.length))
		b.calls, b.failures = 0, 0
	}
	b.calls++
	if err != nil {
		b.failures++
	}
	b.open = b.calls >= b.config.MinCalls && float64(b.failures) >= b.config.Ratio*float64(b.calls)
	return err
}

// A forgetfulBulkhead is broken on purpose: who releases hands the permit to the
// first in the queue without a look at whether that is still there.
type forgetfulBulkhead struct {
	maxWait time.Duration

	mu    sync.Mutex
	free  int             // guarded by mu
	queue []chan struct{} // guarded by mu
}

func newForgetfulBulkhead(c BulkheadConfig) (Bulkhead, error) {
	return &forgetfulBulkhead{free: c.Limit, maxWait: c.MaxWait}, nil
}

func (b *forgetfulBulkhead) Do(ctx context.Context, call func(context.Context) error) error {
	b.mu.Lock()
	if b.free == 0 {
		turn := make(chan struct{}, 1)
		b.queue = append(b.queue, turn)
		b.mu.Unlock()
		ctx, cancel := context.WithTimeout(ctx, b.maxWait)
		defer cancel()
		select {
		case <-turn:
		case <-ctx.Done():
			return ctx.Err()
		}
	} else {
		b.free--
		b.mu.Unlock()
	}
	defer b.release()
	return call(ctx)
}

func (b *forgetfulBulkhead) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.free++
		return
	}
	b.queue[0] <- struct{}{}
	b.queue = b.queue[1:]
}

// A sleepyRetry is broken on purpose: it sleeps after the last attempt too.
type sleepyRetry struct{ config RetryConfig }

func newSleepyRetry(c RetryConfig) (Retry, error) { return sleepyRetry{c}, nil }

func (r sleepyRetry) Do(ctx context.Context, call func(context.Context) error) (err error) {
	for range r.config.Attempts {
		if err = call(ctx); err == nil {
			return nil
		}
		time.Sleep(r.config.Delay)
	}
	return err
}

// A stingyRetry is broken on purpose: its budget is one retry for ten calls that
// went before, with nothing to begin with.
type stingyRetry struct {
	config RetryConfig
	calls  int
}

func newStingyRetry(c RetryConfig) (Retry, error) { return &stingyRetry{config: c}, nil }

func (r *stingyRetry) Do(ctx context.Context, call func(context.Context) error) (err error) {
	r.calls++
	for range r.config.Attempts {
		if err = call(ctx); err == nil {
			return nil
		}
		if r.calls < 10 {
			return err
		}
		r.calls -= 10
		time.Sleep(r.config.Delay)
	}
	return err
}

// A greedyTimeout is broken on purpose: whatever ends the context of a call, it
// says that its limit was exceeded.
type greedyTimeout struct{ limit time.Duration }

func newGreedyTimeout(c TimeoutConfig) (Timeout, error) { return greedyTimeout{c.Limit}, nil }

func (t greedyTimeout) Do(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	if err := call(ctx); ctx.Err() == nil {
		return err
	}
	return errLimit
}

func (greedyTimeout) TimedOut(err error) bool { return errors.Is(err, errLimit) }

// An insistingCache is broken on purpose: it keeps nothing, and calls a load that has failed once more.
type insistingCache struct{}

func newInsistingCache(CacheConfig) (Cache, error) { return insistingCache{}, nil }

func (insistingCache) Get(ctx context.Context, _ string, load func(context.Context) (string, error)) (string, error) {
	v, err := load(ctx)
	if err != nil {
		v, err = load(ctx)
	}
	return v, err
}

func (insistingCache) Invalidate(string) {}
