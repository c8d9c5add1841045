package chaos

import "errors"

// ErrInjected is matched by every injected error, beside the cause that it was given.
var ErrInjected = errors.New("chaos: injected")

// An InjectedError is the error of a call into which a fault was injected. It matches
// [ErrInjected], and what Err matches. It is no [steady.Rejection] of its own.
type InjectedError struct {
	Fault string // the fault's name
	Key   string // where the call went, if that is known
	Err   error  // the cause that the effect was given, or that ended the fault; it may be nil
}

func (e *InjectedError) Error() string {
	s := "chaos: injected by " + e.Fault
	if e.Key != "" {
		s += " at " + e.Key
	}
	if e.Err == nil {
		return s
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *InjectedError) Unwrap() error { return e.Err }

// Is makes an InjectedError match [ErrInjected].
func (e *InjectedError) Is(target error) bool { return target == ErrInjected }

// Timeout reports whether the cause is a timeout, as that of a [net.Error] does.
func (e *InjectedError) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Err)
	return ok && t.Timeout()
}
