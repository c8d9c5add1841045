package steadyotel

import (
	"context"

	"github.com/steady-go/steady"
)

// The words of package cache, which this package does not import.
const (
	cache        = "cache" // the kind of policy
	fresh        = "fresh"
	loaded       = "loaded"
	stale        = "stale"
	staleOnError = "stale on error"
	negative     = "negative"
	none         = "none"
	miss         = "miss" // why there is a load
)

// answered reports the answer of a cache. Hits are by far the most, and cheaper than what tells of them: each
// is two recordings, and is no call whose duration would say anything.
func (h *Hook) answered(ctx context.Context, e steady.Event) {
	s := h.series(e.Policy, e.Name, e.Key)
	a := &s.fresh
	if e.Reason != fresh {
		a = s.with(detail{kind: kindAnswer, source: e.Reason})
	}
	h.requests.Add(ctx, 1, a.add...)
	if e.Reason != loaded && e.Reason != none {
		h.age.Record(ctx, e.Age.Seconds(), a.record...)
	}
	switch e.Reason {
	case fresh, stale, negative:
	default: // there was nothing at hand
		h.done(ctx, e)
	}
}

// loaded reports the end of a load of a cache.
func (h *Hook) loaded(ctx context.Context, e steady.Event) {
	d := detail{kind: e.Kind, outcome: e.Outcome, reason: e.Reason}
	if e.Outcome != steady.Success {
		d.errorType = h.errorType(e.Err)
	}
	h.loads.Record(ctx, e.Duration.Seconds(), h.series(e.Policy, e.Name, e.Key).with(d).record...)
}
