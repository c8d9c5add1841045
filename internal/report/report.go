// Package report carries the events of one policy to its hook.
package report

import (
	"context"
	"sync/atomic"
	"time"
	"weak"

	"github.com/steady-go/steady"
)

// A Reporter reports for one policy. Its methods must be called with no lock
// held.
type Reporter struct {
	hook              steady.Hook
	policy, name, key string
	id                uint64
	panics            atomic.Uint64
}

// lastID is the ID of the policy that was made last in this process.
var lastID atomic.Uint64

// Init sets the hook, which may be nil, and who is reporting. It must be called
// before any other method.
func (r *Reporter) Init(hook steady.Hook, policy, name, key string) {
	r.hook, r.policy, r.name, r.key = hook, policy, name, key
}

// Introduce gives a policy its ID and tells the hook of it, which thereby can look into
// it for as long as somebody else keeps it. It is the last thing that happens in the
// making of a policy, but for its first state.
func Introduce[T any, P interface {
	*T
	steady.Inspector
}](r *Reporter, policy P) {
	r.id = lastID.Add(1)
	if r.hook == nil {
		return
	}
	r.Emit(context.Background(), steady.Event{Kind: steady.KindNew, Of: glimpse[T, P]{weak.Make((*T)(policy))}})
}

// A glimpse looks into a policy without keeping it.
type glimpse[T any, P interface {
	*T
	steady.Inspector
}] struct{ policy weak.Pointer[T] }

// Gone reports whether the policy has been collected.
func (g glimpse[T, P]) Gone() bool { return g.policy.Value() == nil }

func (g glimpse[T, P]) Inspect() []steady.Status {
	if p := P(g.policy.Value()); p != nil {
		return p.Inspect()
	}
	return nil
}

// MemberOf gives r the ID of the group that its policy is a member of.
func (r *Reporter) MemberOf(group *Reporter) { r.id = group.id }

// Status returns a status that tells who reports and what levels hold, and the
// panics of the hook.
func (r *Reporter) Status(levels ...steady.Level) steady.Status {
	return steady.Status{
		Policy: r.policy, Name: r.name, Key: r.key, ID: r.id,
		Levels: append(levels, steady.Level{Name: steady.LevelHookPanics, Value: float64(r.Panics())}),
	}
}

// DryRunSwitch returns the switch that begins a dry run, or ends the present one.
func DryRunSwitch(on bool, set func(bool)) steady.Switch {
	name := "begin dry run"
	if on {
		name = "end dry run"
	}
	return steady.Switch{Name: name, Throw: func() { set(!on) }}
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
