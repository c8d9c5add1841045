package traps

import (
	"context"
	"sync"
	"time"

	"github.com/avast/retry-go/v5"
)

var retryGoLibrary = Library{
	Name:   "retry-go",
	Module: "github.com/avast/retry-go/v5",
	Retry:  newRetryGo,
	Nonsense: map[Policy][]Nonsense{
		RetryPolicy: {
			{"a negative delay", func() error { return made(retry.New(retry.Delay(-time.Second))) }},
			{"a longest delay below the first", func() error {
				return made(retry.New(retry.Delay(time.Minute), retry.MaxDelay(time.Second)))
			}},
		},
	},
	Remedies: map[string]string{"19a": "DelayType(FullJitterBackoffDelay)"},
}

type retryGoRetry struct {
	options []retry.Option
}

func newRetryGo(c RetryConfig) (Retry, error) {
	if c.RetryAfter {
		return nil, Lacks("knows no Retry-After; a DelayType of one's own could read it")
	}
	// With its default DelayType: BackOffDelay plus RandomDelay.
	options := []retry.Option{retry.Attempts(uint(c.Attempts)), retry.Delay(c.Delay)}
	if c.MaxDelay > 0 {
		options = append(options, retry.MaxDelay(c.MaxDelay))
	}
	if c.Budget {
		// One for all calls, though a Retrier carries the context of one.
		options = append(options, retry.WithThrottle(retry.NewFixedTokenBucketThrottle(retry.FixedTokenBucketThrottleConfig{})))
	}
	if c.OnRetry != nil {
		options = append(options, retry.OnRetry(func(uint, error) { c.OnRetry() }))
	}
	if c.Remedy {
		options = append(options, retry.DelayType(retry.FullJitterBackoffDelay))
	}
	return retryGoRetry{options}, nil
}

func (r retryGoRetry) Do(ctx context.Context, call func(context.Context) error) error {
	return r.with(retry.Context(ctx)).Do(func() error { return call(ctx) })
}

func (r retryGoRetry) with(o retry.Option) *retry.Retrier {
	return retry.New(append(r.options[:len(r.options):len(r.options)], o)...)
}

// Delays replaces the timer by one that keeps no time, as the library allows.
func (r retryGoRetry) Delays(n int) []time.Duration {
	var t retryGoTimer
	_ = r.with(retry.WithTimer(&t)).Do(func() error { return errDown })
	return t.heard[:n]
}

type retryGoTimer struct {
	mu    sync.Mutex
	heard []time.Duration // guarded by mu
}

func (t *retryGoTimer) After(d time.Duration) <-chan time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard = append(t.heard, d)
	c := make(chan time.Time)
	close(c)
	return c
}
