package steady

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Hook hears what policies do. It is the one way in which they report: metrics,
// logs and traces are hooks.
//
// The contract, for who writes one:
//
//   - On is called on the goroutine that makes the guarded call, so a slow hook
//     slows that call and no other. It may be called by several goroutines at
//     once.
//   - No lock is held during On: it may use the policy that called it.
//   - Each Do of each policy, and each request for a key of a cache, reports exactly one event
//     of [KindDone] or [KindRejected], and it is the last of that Do but for [KindLate]. Other kinds
//     come as they happen.
//   - Because no lock is held, events of different calls may arrive out of order.
//     Of events of [KindState], drop one whose Seq is lower than the last seen
//     from the same policy, name and key.
//   - ctx is the context that the policy was given, so a hook can find the active
//     span in it. At the construction of a policy, when a group drops a member, and
//     when a state is forced, it is [context.Background].
//   - A kind that the hook does not know is to be left alone: kinds and fields are
//     added over time, methods never.
//   - A panic in On is recovered by the policy, which counts it in its Stats; the
//     guarded call goes on. A [runtime.Goexit] in On, which is what t.FailNow and
//     require do, cannot be stopped: it ends the goroutine of the call.
//
// steadytest.TestHook checks an implementation against this contract.
type Hook interface {
	On(ctx context.Context, e Event)
}

// HookFunc is a func that is a [Hook].
type HookFunc func(ctx context.Context, e Event)

// On calls f.
func (f HookFunc) On(ctx context.Context, e Event) { f(ctx, e) }

// A Kind tells what an [Event] reports.
type Kind uint8

const (
	// KindDone: a call has ended, or a permit for one was given back. Outcome,
	// Duration (how long it ran), Wait (how long it queued before) and Err are set. For
	// a policy that repeats calls it is the whole of them, and Attempt is their number. For a request to
	// a cache Duration is how long the caller waited for a load, Reason where the answer came from, such as "fresh", and
	// Age how old it was; of a stale one Err is why. For a request to an idempotency guard Reason is what became of it, such as "run"
	// or "replayed", Duration how long its call ran if it was made, and Wait how long it waited for another one.
	KindDone Kind = iota + 1
	// KindRejected: a call was not started. Err tells why, a [Rejection] or
	// [ContextErr], and Reason in a few words. Outcome is Ignored.
	KindRejected
	// KindState: the policy is now in state To, for about Delay if that is set. At its
	// construction From is empty; otherwise it is the state that was left, and Reason
	// tells why. To is empty when a group drops a member that nobody has called for
	// long. Seq grows with each change of the same policy, name and key; policies
	// whose states are to be told apart need names of their own.
	KindState
	// KindRetry: attempt number Attempt failed with Err, and the next will be made
	// after Delay.
	KindRetry
	// KindAbandoned: a call that ignores its context was left running after
	// Duration, and its caller gets an error.
	KindAbandoned
	// KindLate: an abandoned call has ended after Duration, with Err, a
	// [*PanicError] if it panicked. It is the one kind that comes after the outcome of
	// its Do, and on another goroutine.
	KindLate
	// KindDryRun: a policy that only tries out its configuration would have refused
	// the call for Reason with Err. The call is made.
	KindDryRun
	// KindInjected: a fault was put into the call on purpose (see package chaos), so that
	// nobody looks for its cause elsewhere. Reason is the fault's name, To its effect,
	// such as "hang", Delay the latency, and Err the error if there is one yet.
	KindInjected
	// KindNew: a policy has been made, with this hook. Of looks into it from then on,
	// and does not keep it from being collected. It is the first event of the
	// policy. Members of a group come without one: they are seen through the group.
	KindNew
	// KindLoad: a cache begins to load. Reason tells what for: "miss", when somebody waits for
	// it, "refresh" or "refresh ahead", in the background. It is called on the goroutine of the load, with its
	// context.
	KindLoad
	// KindLoaded: that load has ended after Duration, with Outcome and Err. Who waited for it
	// need not have been told before. A load that was left running, or whose cache was closed meanwhile,
	// ends with KindLate instead.
	KindLoaded
	// KindEvicted: a cache has dropped an entry of Age to make room, for Reason: "room", or "expired"
	// if the entry was good for nothing any more.
	KindEvicted
)

// String returns the kind in one word, such as "done", and "unknown" for a value
// that is none of the kinds.
func (k Kind) String() string {
	switch k {
	case KindDone:
		return "done"
	case KindRejected:
		return "rejected"
	case KindState:
		return "state"
	case KindRetry:
		return "retry"
	case KindAbandoned:
		return "abandoned"
	case KindLate:
		return "late"
	case KindDryRun:
		return "dry-run"
	case KindInjected:
		return "injected"
	case KindNew:
		return "new"
	case KindLoad:
		return "load"
	case KindLoaded:
		return "loaded"
	case KindEvicted:
		return "evicted"
	}
	return "unknown"
}

// An Event is one thing that a policy did. Which fields beside Kind, Policy, Name
// and Key are set depends on the kind.
type Event struct {
	Kind   Kind
	Policy string // the kind of policy: "breaker", "bulkhead", "retry", "timeout", …
	Name   string // the Name of its Config
	Key    string // the key of a member of a group; unbounded, so seldom fit for a metric's attribute

	Outcome  Outcome
	Duration time.Duration
	Wait     time.Duration
	Delay    time.Duration
	Age      time.Duration
	Attempt  int
	Seq      uint64
	From, To string
	Reason   string
	Err      error

	// Of is set with [KindNew]. Its Inspect returns nil when the policy has been
	// collected.
	Of Inspector
}

// ErrNoReturn is the Err of a [KindDone] event of a call that did not return: it
// panicked or ended its goroutine with [runtime.Goexit].
var ErrNoReturn = errors.New("steady: the call did not return")

// A PanicError is the error of a call that panicked, or called [runtime.Goexit], on
// a goroutine of its own, when nobody was waiting for it any more, or several were.
type PanicError struct {
	Value any    // of the panic; nil for a Goexit
	Stack []byte // as of [runtime/debug.Stack]
}

func (e *PanicError) Error() string {
	if e.Value == nil {
		return "steady: the call ended its goroutine"
	}
	return fmt.Sprintf("steady: the call panicked: %v", e.Value)
}

// Unwrap returns the value of the panic if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Is makes a PanicError match [ErrNoReturn].
func (e *PanicError) Is(target error) bool { return target == ErrNoReturn }

// Hooks returns a hook that passes each event to all of hooks, in order. Nil
// hooks are left out, and without any other Hooks returns nil. When one panics
// the others still get the event, and the panic goes on.
func Hooks(hooks ...Hook) Hook {
	var all fanOut
	for _, h := range hooks {
		switch h := h.(type) {
		case nil:
		case fanOut:
			all = append(all, h...)
		default:
			all = append(all, h)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

type fanOut []Hook

// On defers the rest, so that a panic in one hook does not keep the event from it.
func (f fanOut) On(ctx context.Context, e Event) {
	if len(f) == 0 {
		return
	}
	defer f[1:].On(ctx, e)
	f[0].On(ctx, e)
}
