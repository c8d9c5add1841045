package steadyotel

import (
	"context"

	"github.com/steady-go/steady"
)

// The words of package idempotency, which this package does not import.
const (
	idempotency   = "idempotency" // the kind of policy
	run           = "run"         // the call was made, and its outcome stored
	replayed      = "replayed"
	notReplayable = "not replayable"
	unknown       = "unknown"
)

// guarded reports what became of a request to a guard. It has a duration if its call was made.
func (h *Hook) guarded(ctx context.Context, e steady.Event) {
	s := h.series(e.Policy, e.Name, e.Key)
	h.results.Add(ctx, 1, s.with(detail{kind: kindResult, result: e.Reason}).add...)
	if e.Kind != steady.KindDone {
		return
	}
	switch e.Reason {
	case replayed, notReplayable, unknown:
		if e.Wait > 0 {
			h.wait.Record(ctx, e.Wait.Seconds(), s.plain.record...)
		}
	default:
		h.done(ctx, e)
	}
}
