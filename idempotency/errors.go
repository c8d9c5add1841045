package idempotency

import (
	"errors"
	"fmt"
	"time"

	"github.com/steady-go/steady"
)

var (
	// ErrInFlight is matched by the rejection of a duplicate whose original is at work.
	ErrInFlight = errors.New("idempotency: in flight")

	// ErrMismatch is matched by the rejection of a key that was used for something else.
	ErrMismatch = errors.New("idempotency: key was used for another request")

	// ErrUnknown is matched by the error for a key whose call may have had its effect, or not: the process that made it died or stalled, it failed
	// in a way that tells neither, or its outcome could not be stored. With [Rerun] no duplicate gets it. It is
	// permanent to retries, and no rejection: whoever does something else instead may do it twice. It is also matched by the error of a Do whose own call ended
	// so because of [ErrLeaseLost], [ErrMaxRun] or [ErrLost].
	ErrUnknown = errors.New("idempotency: outcome unknown")

	// ErrNotReplayable is matched by the error of a duplicate whose original is done, but has left an outcome that cannot be
	// returned again: too large, not to be encoded or decoded, or sent as it was made. It is permanent to retries, and no rejection.
	ErrNotReplayable = errors.New("idempotency: done, but not replayable")

	// ErrStore is matched by the rejection when the [Store] fails, and by [Info.Err]; both match the store's own error, too.
	ErrStore = errors.New("idempotency: store failed")

	// ErrNoKey is the error of a Do whose key is empty.
	ErrNoKey = steady.Permanent(errors.New("idempotency: key must not be empty"))

	// ErrLost is returned by a [Store] to who is not the owner of a key. It is the error of a Do whose key somebody else has
	// claimed meanwhile: what its call did may be done again.
	ErrLost = errors.New("idempotency: not the owner of the key")

	// ErrLeaseLost is the cause (see [context.Cause]) of the context of a call whose lease has passed, or was lost.
	ErrLeaseLost = errors.New("idempotency: lease lost")

	// ErrMaxRun is the cause of the context of a call that ran for longer than MaxRun.
	ErrMaxRun = errors.New("idempotency: ran for too long")
)

// Final marks err as an answer that another attempt would only repeat, such as a card that was declined: it is stored, and returned to every
// duplicate. There it has the same text, and matches those of [Config.Errors] that err matches. It is
// permanent to retries. Final returns nil if err is nil.
func Final(err error) error { return marked(err, final) }

// NotApplied marks err as the error of a call that had no effect, whatever it did: the key is released, and the next who comes makes
// the call. Where a retry has made several attempts, what the last one says of itself does not hold for those before, and the mark
// does not count: put it around the retry if it holds for all. NotApplied returns nil if err is nil.
func NotApplied(err error) error { return marked(err, notApplied) }

// MaybeApplied marks err as the error of a call that may have had an effect, as errors are without a mark unless they are
// rejections: use it for the rejection of a part of the call, and for what a part has marked, which would otherwise be taken for the whole. A Do within the call does
// so by itself. MaybeApplied returns nil if err is nil.
func MaybeApplied(err error) error { return marked(err, unknown) }

func marked(err error, as verdict) error {
	if err == nil {
		return nil
	}
	return &mark{err: err, as: as}
}

// Unreplayable marks err as that of a call that is done, and whose outcome cannot be returned again, such as one that was sent as it was made. It is
// stored as such: duplicates get [ErrNotReplayable], with its text. Unreplayable returns nil if err is nil.
func Unreplayable(err error) error { return marked(err, unreplayable) }

// IsFinal reports whether err is one that a guard stores: it was marked by [Final] or [Unreplayable], or is the replay of such a one. A transaction in which [Once] has returned it is to
// be committed.
func IsFinal(err error) bool {
	v := judge(err)
	return v == final || v == unreplayable
}

// A verdict is what the error of a call says of its effect.
type verdict uint8

const (
	unknown verdict = iota
	notApplied
	final
	unreplayable
)

type mark struct {
	err error
	as  verdict
}

func (m *mark) Error() string { return m.err.Error() }

// Unwrap hides a rejection that may be one of a part: whoever sees it takes the whole for never started.
func (m *mark) Unwrap() error {
	if m.hides() {
		return nil
	}
	return m.err
}

func (m *mark) hides() bool {
	_, rejected := steady.AsRejection(m.err)
	return rejected && m.as == unknown
}

// Is shows what Unwrap hides.
func (m *mark) Is(target error) bool { return errors.Is(m.err, target) }

// As shows what Unwrap hides, but for the rejection.
func (m *mark) As(target any) bool {
	_, hidden := target.(*steady.Rejection)
	return !hidden && m.hides() && errors.As(m.err, target)
}

// RetryAfter shows that of what Unwrap hides.
func (m *mark) RetryAfter() (time.Duration, bool) {
	if m.hides() {
		return steady.RetryAfterOf(m.err)
	}
	return 0, false
}

// Permanent reports whether another attempt is in vain; see steady.IsPermanent.
func (m *mark) Permanent() bool {
	return m.as == final || m.as == unreplayable || m.hides() && steady.IsPermanent(m.err)
}

// An innerError is what a Do within another one's call returns that did nothing: that holds for itself, and not for the call around it.
type innerError struct{ err error }

func (e *innerError) Error() string { return e.err.Error() }
func (e *innerError) Unwrap() error { return e.err }

// judge returns what err says of the effect of the call that returned it. The outermost mark counts, and a rejection is one. Several
// errors that are joined must agree.
func judge(err error) verdict { return judgeTree(err, false) }

// judgeTree is judge, where repeated says that several attempts were made of which err is the error of the last.
func judgeTree(err error, repeated bool) verdict {
	switch e := err.(type) {
	case *mark:
		if repeated && e.as == notApplied {
			return unknown
		}
		return e.as
	case *innerError:
		return unknown
	case *replayedError:
		return final
	case *notReplayableError:
		return unreplayable
	case steady.Rejection:
		if repeated {
			return unknown
		}
		return notApplied
	case interface{ Repeated() bool }:
		repeated = repeated || e.Repeated()
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return judgeTree(e.Unwrap(), repeated)
	case interface{ Unwrap() []error }:
		all := e.Unwrap()
		for _, err := range all[min(1, len(all)):] {
			if judgeTree(err, repeated) != judgeTree(all[0], repeated) {
				return unknown
			}
		}
		if len(all) > 0 {
			return judgeTree(all[0], repeated)
		}
	}
	return unknown
}

// An inFlight is the rejection of a duplicate whose original is at work.
type inFlight struct {
	name string
	left time.Duration
}

// comeBack is the longest that a duplicate is told to stay away: most calls end long before their lease.
const comeBack = time.Second

func (e *inFlight) Error() string {
	if e.name == "" {
		return ErrInFlight.Error()
	}
	return ErrInFlight.Error() + " (" + e.name + ")"
}

// Is reports whether target is ErrInFlight.
func (e *inFlight) Is(target error) bool { return target == ErrInFlight }

// RejectedBy tells which guard refused.
func (e *inFlight) RejectedBy() (policy, name, key string) { return policyName, e.name, "" }

// RetryAfter returns what is left of the lease, or a second if that is less.
func (e *inFlight) RetryAfter() (time.Duration, bool) { return min(e.left, comeBack), true }

// A storeFault is the error when the store fails after the call: no rejection, whatever the store's own error is.
type storeFault struct{ err error }

func (e *storeFault) Error() string { return ErrStore.Error() + ": " + e.err.Error() }

// Is reports whether target is ErrStore, or matched by the error of the store.
func (e *storeFault) Is(target error) bool { return target == ErrStore || errors.Is(e.err, target) }

// A storeError is the rejection when the store fails before the call.
type storeError struct {
	name string
	err  error
}

func (e *storeError) Error() string {
	if e.name == "" {
		return fmt.Sprintf("%v: %v", ErrStore, e.err)
	}
	return fmt.Sprintf("%v (%s): %v", ErrStore, e.name, e.err)
}

func (e *storeError) Unwrap() error { return e.err }

// Is reports whether target is ErrStore.
func (e *storeError) Is(target error) bool { return target == ErrStore }

// RejectedBy tells which guard refused.
func (e *storeError) RejectedBy() (policy, name, key string) { return policyName, e.name, "" }

// RetryAfter reports false: it cannot tell.
func (e *storeError) RetryAfter() (time.Duration, bool) { return 0, false }
