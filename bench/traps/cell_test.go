package traps_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/bench/traps"
)

func TestWhatEndsWithoutAVerdictIsToldApart(t *testing.T) {
	for name, want := range map[string]traps.Result{
		"endless loop":   {Verdict: traps.Hang, Reason: "hangs: an endless loop"},
		"own lock":       {Verdict: traps.Hang, Reason: "hangs: deadlock, it waits for its own lock"},
		"waits for ever": {Verdict: traps.Hang, Reason: "hangs: everybody waits for ever"},
		"fatal error":    {Verdict: traps.Crash, Reason: "kills the process: fatal error: sync: unlock of unlocked mutex"},
		"panic":          {Verdict: traps.Crash, Reason: "kills the process: panic: in a goroutine"},
		"exit":           {Verdict: traps.Crash, Reason: "kills the process: exit status 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			require.Equal(t, want, traps.Rehearse(ctx, name))
		})
	}
}
