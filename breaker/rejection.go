package breaker

import "time"

// A rejection is what refused calls get: one for each opening, made beforehand,
// so that refusing costs no allocation.
type rejection struct {
	breaker *Breaker
	is      error  // the sentinel that it matches
	reason  string // in an event
	text    string
	until   int64 // when an open breaker will probe
}

// refusal makes the rejection of a breaker that is in the state called is.
func (b *Breaker) refusal(reason, is string, until int64) *rejection {
	text := "breaker: " + is
	if b.name != "" {
		text = "breaker: " + b.name + " is " + is
	}
	return &rejection{breaker: b, is: ErrOpen, reason: reason, text: text, until: until}
}

func (r *rejection) Error() string        { return r.text }
func (r *rejection) Is(target error) bool { return target == r.is }

func (r *rejection) RejectedBy() (policy, name, key string) {
	return "breaker", r.breaker.cfg.Name, r.breaker.key
}

// Permanent reports whether another attempt is in vain: nobody knows how long a
// state is forced, and a retry that drew again would undo what is shed.
func (r *rejection) Permanent() bool {
	return r.reason == ForcedOpen.String() || r.reason == shedding
}

// RetryAfter is the time until an open breaker probes. A forced one cannot tell,
// nor can one that is probing.
func (r *rejection) RetryAfter() (time.Duration, bool) {
	if d := r.until - r.breaker.now(); d > 0 && d < 2*int64(longest) && r.until != 0 {
		return time.Duration(d), true
	}
	return 0, false
}
