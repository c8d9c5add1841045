package lab_test

import (
	"context"
	"encoding/json"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// busy is an experiment with all policies, a queue that is full at times, faults of
// several kinds, and random arrivals.
func busy() lab.Experiment {
	e := model()
	e.Load = lab.Poisson(200).Surge(1.5, 10*time.Second)
	e.Faults = []chaos.Fault{
		{Name: "fails", Effect: chaos.Error(errBoom), Rate: 0.1},
		{Name: "slow", Effect: chaos.Latency(chaos.Constant(300 * time.Millisecond)), Rate: 0.05},
		{Name: "hang", Effect: chaos.Hang(), Rate: 0.01, From: 5 * time.Second},
	}
	e.Abort = []lab.Probe{lab.Availability(0.2)}
	e.Control = work
	e.System = func(w *lab.World) (lab.Call, error) {
		hook := w.Hook()
		guard := steady.Chain(
			timeout.MustNew(timeout.Config{Limit: 2 * time.Second, Hook: hook}),
			bulkhead.MustNew(bulkhead.Config{Limit: 12, Queue: 20, MaxWait: 100 * time.Millisecond, Hook: hook}),
			retry.MustNew(retry.Config{Hook: hook}),
			breaker.MustNew(breaker.Config{Hook: hook}),
			timeout.MustNew(timeout.Config{Limit: 250 * time.Millisecond, Hook: hook}),
			w.Chaos(),
		)
		return func(ctx context.Context, r lab.Request) error {
			return guard.Do(ctx, func(ctx context.Context) error {
				time.Sleep(time.Duration(-math.Log1p(-w.Random("work", r.N)) * float64(25*time.Millisecond)))
				return ctx.Err()
			})
		}, nil
	}
	return e
}

// On one processor a run in virtual time is the same each time, to the byte.
func TestARunRepeats(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var first []byte
	for range 20 {
		r, err := inBubble(t, busy())
		require.NoError(t, err)
		b, err := json.Marshal(r)
		require.NoError(t, err)
		if first == nil {
			first = b
			n := tally(t, r.System, lab.PhaseFault)
			require.Positive(t, n.Rejected)
			require.Len(t, n.Injected, 3)
		}
		require.Equal(t, string(first), string(b))
	}
}

// On several, what runs at one instant may change places.
func TestARunNearlyRepeatsOnSeveralProcessors(t *testing.T) {
	var shares []float64
	var verdicts []lab.Verdict
	for range 5 {
		r, err := inBubble(t, busy())
		require.NoError(t, err)
		shares = append(shares, tally(t, r.System, lab.PhaseFault).Availability)
		verdicts = append(verdicts, r.Verdict)
	}
	require.Len(t, slices.Compact(verdicts), 1)
	require.Less(t, slices.Max(shares)-slices.Min(shares), 0.003)
}

// Hangs that were released in random order let those behind them change places.
func TestHangsAreReleasedInTheirOrder(t *testing.T) {
	if race {
		t.Skip("the race detector shuffles goroutines that become ready together")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var first []byte
	for range 10 {
		e := model()
		e.Steady = []lab.Probe{lab.Availability(0.3)}
		e.Faults = []chaos.Fault{{Name: "hang", Effect: chaos.HangIgnoringContext(), Rate: 0.05}}
		e.System = func(w *lab.World) (lab.Call, error) {
			few := bulkhead.MustNew(bulkhead.Config{Limit: 5, Hook: w.Hook()})
			return func(ctx context.Context, r lab.Request) error {
				_ = w.Chaos().Do(ctx, func(context.Context) error { return nil })
				return few.Do(ctx, func(context.Context) error {
					time.Sleep(time.Duration(w.Random("work", r.N) * float64(30*time.Millisecond)))
					return nil
				})
			}, nil
		}
		r, err := inBubble(t, e)
		require.NoError(t, err)
		b, err := json.Marshal(r)
		require.NoError(t, err)
		if first == nil {
			first = b
		}
		require.Equal(t, string(first), string(b))
	}
}
