// Package steadytest helps to test with policies: a hook that records, a test that
// any [steady.Hook] must pass, and the table of endings that any
// [steady.Policy] must survive.
package steadytest

import (
	"context"
	"slices"
	"sync"

	"github.com/steady-go/steady"
)

// A Recorder is a [steady.Hook] that keeps every event. Its zero value is ready,
// and may be used by several goroutines at once.
type Recorder struct {
	mu     sync.Mutex
	events []steady.Event
}

// On records e.
func (r *Recorder) On(_ context.Context, e steady.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Events returns the events of the given kinds in the order in which they came. Without
// any it returns those of all kinds but [steady.KindNew], which tells of no call.
func (r *Recorder) Events(kinds ...steady.Kind) []steady.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []steady.Event
	for _, e := range r.events {
		if slices.Contains(kinds, e.Kind) || len(kinds) == 0 && e.Kind != steady.KindNew {
			out = append(out, e)
		}
	}
	return out
}

// Outcomes returns the events that end a Do, of which each Do of each policy has
// exactly one.
func (r *Recorder) Outcomes() []steady.Event {
	return r.Events(steady.KindDone, steady.KindRejected)
}

// Reset forgets all events.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}
