package chaos

import (
	"errors"

	"github.com/steady-go/steady"
)

// An Effect is what a fault does to a call. It is made by one of the functions that
// return it, and immutable; what is wrong with one is told by [New]. The zero value is
// none, which [New] refuses.
type Effect struct {
	kind  kind
	delay Distribution
	err   error
	value any
	bytes int
}

// A kind is a kind of effect.
type kind uint8

const (
	latency kind = iota + 1
	failure
	lateFailure
	panicking
	exit
	hang
	deafHang
	lostReply
	corrupt
	slowBody
	cutBody
	refuse
	reset
	stall
	bandwidth
)

// String returns the name of the effect in events.
func (k kind) String() string {
	return [...]string{
		"", "latency", "error", "error after latency", "panic", "goexit", "hang", "hang ignoring context",
		"lost reply", "corrupt", "slow body", "cut body", "refuse", "reset", "stall", "bandwidth",
	}[k]
}

// A site is a place where calls pass by, or several.
type site uint8

const (
	inDo     site = 1 << iota
	inValue       // a Do inside of a DoValue that can corrupt
	inHTTP        // a RoundTripper
	inAccept      // a Listener
	inConn        // a Conn
)

// sites returns where effects of the kind can be applied.
func (k kind) sites() site {
	switch k {
	case corrupt:
		return inValue
	case slowBody, cutBody:
		return inHTTP
	case refuse:
		return inAccept
	case reset, stall, bandwidth:
		return inConn
	}
	return inDo | inValue | inHTTP
}

// Latency makes calls slow: the delay passes first, then the call is made, or the next
// fault considered. Of a delay that the caller's context ends early comes an error, and
// the call is not made.
func Latency(d Distribution) Effect { return Effect{kind: latency, delay: d} }

// Error fails in place of the call, at once, with an [*InjectedError] that matches err
// too. err may be nil.
func Error(err error) Effect { return Effect{kind: failure, err: err} }

// ErrorAfter is [Error] after a delay: real failures are slow, such as a connection that
// times out. When the fault ends during the delay, the error comes at once.
func ErrorAfter(d Distribution, err error) Effect {
	return Effect{kind: lateFailure, delay: d, err: err}
}

// Panic panics with value, which must not be nil, in place of the call.
func Panic(value any) Effect { return Effect{kind: panicking, value: value} }

// Goexit calls [runtime.Goexit] in place of the call.
func Goexit() Effect { return Effect{kind: exit} }

// Hang keeps the caller waiting in place of the call, until its context is done or the
// injector is disarmed, as it is at the end of its time; the end of the fault's window
// releases nobody. Then comes an error.
func Hang() Effect { return Effect{kind: hang} }

// HangIgnoringContext is [Hang] for calls that do not obey their context: only disarming
// releases them.
func HangIgnoringContext() Effect { return Effect{kind: deafHang} }

// LoseReply makes the call, and if that succeeds returns an [*InjectedError] in its place,
// which matches err too: the work is done, and the caller cannot know. That is what
// makes idempotency necessary. An error of the call's own comes back untouched, and
// nothing counts as injected. err may be nil, and must not be a [steady.Rejection], which says
// that the call was never started.
func LoseReply(err error) Effect { return Effect{kind: lostReply, err: err} }

// Corrupt changes the result of a successful call. It applies only to calls through
// [DoValue], whose argument says how.
func Corrupt() Effect { return Effect{kind: corrupt} }

// SlowBody lets the body of an HTTP response drip at bytesPerSecond, which must be > 0. It
// applies only through [Injector.RoundTripper].
func SlowBody(bytesPerSecond int) Effect { return Effect{kind: slowBody, bytes: bytesPerSecond} }

// CutBody ends the body of an HTTP response after that many bytes, which must be > 0, with an
// error that matches [io.ErrUnexpectedEOF]. A body that is known to be no longer than that is
// left alone, and nothing counts as injected. It applies only through [Injector.RoundTripper].
func CutBody(afterBytes int) Effect { return Effect{kind: cutBody, bytes: afterBytes} }

// Refuse closes an incoming connection at once, before anybody can accept it: the other
// side sees it reset. It applies only through [Injector.Listener]. For a client that is
// refused, use [Error] with [syscall.ECONNREFUSED] around its dialling.
func Refuse() Effect { return Effect{kind: refuse} }

// Reset lets that many bytes, which must be > 0, pass through a connection in both
// directions together, and then resets it. It counts as injected when it does. It applies only
// through [Injector.Conn] and [Injector.Listener].
func Reset(afterBytes int) Effect { return Effect{kind: reset, bytes: afterBytes} }

// Stall lets nothing pass through a connection, while the fault's window is open. Reads
// and writes obey their deadlines and Close. It applies only through [Injector.Conn] and
// [Injector.Listener].
func Stall() Effect { return Effect{kind: stall} }

// Bandwidth lets bytesPerSecond, which must be > 0, pass through a connection, in each
// direction, while the fault's window is open. It applies only through [Injector.Conn] and
// [Injector.Listener].
func Bandwidth(bytesPerSecond int) Effect { return Effect{kind: bandwidth, bytes: bytesPerSecond} }

// check returns what is wrong with e.
func (e Effect) check() error {
	switch e.kind {
	case 0:
		return errors.New("be given, got none")
	case latency, lateFailure:
		return e.delay.check()
	case panicking:
		return broken(e.value != nil, "panic with a value, got nil")
	case lostReply:
		_, rejection := steady.AsRejection(e.err)
		return broken(!rejection, "not lose a reply to a rejection, got %v", e.err)
	case slowBody, bandwidth:
		return broken(e.bytes > 0, "have bytes per second > 0, got %d", e.bytes)
	case cutBody, reset:
		return broken(e.bytes > 0, "have bytes > 0, got %d", e.bytes)
	}
	return nil
}
