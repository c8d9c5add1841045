package chaos

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// ErrKilled is matched by the error of [Injector.Arm] while chaos is switched off for the
// process.
var ErrKilled = errors.New("chaos: switched off for this process")

// EnvKill is the environment variable that keeps injectors from being armed, when it is
// set, to anything but "" or "0", at the start of the process or at the time of [Injector.Arm].
const EnvKill = "STEADY_CHAOS_OFF"

// epoch tells how many times chaos was switched off and on again: it is odd while it is off. A
// plan is in force only in the epoch in which it was armed.
var epoch atomic.Uint64

// offFromStart is what [EnvKill] said when the process started.
var offFromStart = envOff()

// Kill switches chaos off for the whole process, until [Revive]. It beats arming: it takes
// effect on the next call, calls that hang are released at once, and no injector
// can be armed. What was armed stays disarmed after Revive. Killing twice is harmless.
//
// It reaches into no [testing/synctest] bubble but its own, which Go forbids: calls that hang
// in another are released at the end of their plan.
func Kill() {
	for {
		e := epoch.Load()
		if e%2 == 1 || epoch.CompareAndSwap(e, e+1) {
			break
		}
	}
	release(func(*waiting) bool { return true })
}

// Revive takes [Kill] back: injectors can be armed again. It does not beat [EnvKill].
func Revive() {
	for {
		e := epoch.Load()
		if e%2 == 0 || epoch.CompareAndSwap(e, e+1) {
			return
		}
	}
}

// Killed reports whether chaos is switched off, by [Kill] or [EnvKill], so that no
// injector can be armed.
func Killed() bool {
	_, err := alive()
	return err != nil
}

// alive returns the present epoch, or an error while chaos is switched off.
func alive() (uint64, error) {
	e := epoch.Load()
	switch {
	case offFromStart, envOff():
		return 0, fmt.Errorf("%w by %s", ErrKilled, EnvKill)
	case e%2 == 1:
		return 0, fmt.Errorf("%w by Kill", ErrKilled)
	}
	return e, nil
}

// envOff reports whether EnvKill is set.
func envOff() bool {
	v := os.Getenv(EnvKill)
	return v != "" && v != "0"
}
