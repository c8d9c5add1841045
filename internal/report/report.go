// Package report carries the events of one policy to its hook.
package report

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
)

// A Reporter reports for one policy. Its methods must be called with no lock
// held.
type Reporter struct {
	hook              steady.Hook
	policy, name, key string
	panics            atomic.Uint64
}

// Init sets the hook, which may be nil, and who is reporting. It must be called
// before any other method.
func (r *Reporter) Init(hook steady.Hook, policy, name, key string) {
	r.hook, r.policy, r.name, r.key = hook, policy, name, key
}

// On reports whether anybody listens. While it is false, no event needs to be
// made and no clock to be read.
func (r *Reporter) On() bool { return r.hook != nil }

// Panics returns how many times the hook has panicked.
func (r *Reporter) Panics() uint64 { return r.panics.Load() }

// Emit sends e, with the policy's own fields filled in, if anybody listens.
func (r *Reporter) Emit(ctx context.Context, e steady.Event) {
	if r.hook == nil {
		return
	}
	e.Policy, e.Name, e.Key = r.policy, r.name, r.key
	defer func() {
		if recover() != nil {
			r.panics.Add(1)
		}
	}()
	r.hook.On(ctx, e)
}

// Reject reports that err kept a call from being started, and returns err.
func (r *Reporter) Reject(ctx context.Context, reason string, wait time.Duration, err error) error {
	if r.hook != nil {
		r.Emit(ctx, steady.Event{
			Kind: steady.KindRejected, Outcome: steady.Ignored, Reason: reason, Wait: wait, Err: err,
		})
	}
	return err
}

// ContextDone is Reject for a context that is done.
func (r *Reporter) ContextDone(ctx context.Context, wait time.Duration) error {
	return r.Reject(ctx, "context", wait, steady.ContextErr(ctx))
}

// Start returns the time if anybody listens.
func (r *Reporter) Start() time.Time {
	if r.hook == nil {
		return time.Time{}
	}
	return time.Now()
}

// Done reports the end of a call, judged by c, that was started at start and
// waited before. A call that did not return is a failure.
func (r *Reporter) Done(ctx context.Context, c steady.Classifier, start time.Time, wait time.Duration, returned bool, err error) {
	if r.hook == nil {
		return
	}
	ran := time.Since(start)
	outcome := steady.Failure
	if returned {
		outcome = c.Outcome(ctx, err, ran)
	} else {
		err = steady.ErrNoReturn
	}
	r.Emit(ctx, steady.Event{
		Kind: steady.KindDone, Outcome: outcome, Duration: ran, Wait: wait, Err: err,
	})
}
