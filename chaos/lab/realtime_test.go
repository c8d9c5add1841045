package lab_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos/lab"
)

// The same value runs against a real socket, in real time.
func TestAgainstARealServer(t *testing.T) {
	e := model()
	e.Load = lab.Constant(100)
	e.Warmup, e.Baseline, e.Fault, e.Recovery = 100*time.Millisecond, 300*time.Millisecond, 400*time.Millisecond, 200*time.Millisecond
	e.Faults = fails(1)
	e.Steady = []lab.Probe{lab.Availability(0.5).In(lab.PhaseBaseline)}
	e.System = func(w *lab.World) (lab.Call, error) {
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		w.Rollback("server", func(context.Context) error { return nil })
		w.Go(func() { <-w.Context().Done(); server.Close() })
		return func(ctx context.Context, _ lab.Request) error {
			return w.Chaos().Do(ctx, func(ctx context.Context) error {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
				if err != nil {
					return err
				}
				resp, err := server.Client().Do(req)
				if err != nil {
					return err
				}
				return resp.Body.Close()
			})
		}, nil
	}
	r, err := e.Run(t.Context())
	require.NoError(t, err)
	require.False(t, r.Virtual)
	if r.Verdict != lab.Met { // on a machine that has too much to do
		require.Equal(t, lab.Inconclusive, r.Verdict)
		require.Contains(t, r.Reasons[0], "the load was late")
	}
	for phase, offered := range map[lab.Phase]int{lab.PhaseBaseline: 30, lab.PhaseFault: 40, lab.PhaseRecovery: 20} {
		require.Equal(t, offered, tally(t, r.System, phase).Offered)
	}
	n := tally(t, r.System, lab.PhaseFault)
	require.Equal(t, n.Failed, n.Injected["fails"])
	require.Positive(t, n.Failed)
	require.Positive(t, tally(t, r.System, lab.PhaseBaseline).OK)
}

// A machine that cannot keep up measures itself.
func TestALoadThatIsLateTellsNothing(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const burst = 100 * time.Millisecond
	e := model()
	e.Load = lab.Trace(slices.Repeat([]time.Duration{burst}, 20)...)
	e.Warmup, e.Baseline, e.Fault, e.Recovery = 0, 50*time.Millisecond, 200*time.Millisecond, 0
	e.Steady = []lab.Probe{lab.Latency(0.5, time.Millisecond).In(lab.PhaseFault)}
	e.System = func(*lab.World) (lab.Call, error) {
		return func(context.Context, lab.Request) error {
			for begin := time.Now(); time.Since(begin) < 5*time.Millisecond; {
				continue // it takes the processor, and the others wait for that
			}
			return nil
		}, nil
	}
	r, err := e.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, lab.Inconclusive, r.Verdict, "though a bound was missed")
	require.Equal(t, lab.Deviated, r.System.Verdict)
	require.Contains(t, r.Reasons, fmt.Sprintf("the load was late: %d of the 20 requests of the system were started more than 20ms after they were due", r.Lag.Late))
	require.Greater(t, r.Lag.Late, 10)
	require.True(t, r.Lag.Spoiled)
	require.Greater(t, r.Lag.Max, 50*time.Millisecond)
}
