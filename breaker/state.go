package breaker

// A State is what a breaker does with calls.
type State uint8

// The states. Closed is the zero value.
const (
	Closed       State = iota // admits every call, after the Ramp, and counts how they end
	Open                      // refuses every call until its time is over
	HalfOpen                  // admits a few probes and decides by them
	ForcedOpen                // refuses every call until Reset
	ForcedClosed              // admits and counts every call until Reset, and never opens
	Disabled                  // admits every call until Reset, and counts none
)

var stateNames = [...]string{"closed", "open", "half-open", "forced-open", "forced-closed", "disabled"}

// String returns the state's name, such as "half-open".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// admitsAll reports whether calls are refused in s at most during a ramp.
func (s State) admitsAll() bool { return s == Closed || s == ForcedClosed || s == Disabled }
