package lab_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
)

// at returns when the first mark of that kind was made, since the beginning of the
// fault phase.
func at(t *testing.T, a lab.Arm, what string) time.Duration {
	t.Helper()
	var begin time.Duration
	for _, m := range a.Marks {
		switch m.What {
		case "fault":
			begin = m.At
		case what:
			return m.At - begin
		}
	}
	require.Fail(t, "no such mark", what)
	return 0
}

// The error budget of one in a hundred is spent, and the faults were planned for a
// minute.
func TestTheFirstBreachEndsTheFaults(t *testing.T) {
	for name, fault := range map[string]chaos.Fault{
		"error":                {Effect: chaos.Error(errBoom), Rate: 0.5},
		"hang":                 {Effect: chaos.Hang(), Rate: 0.5},
		"hang ignoring ctx":    {Effect: chaos.HangIgnoringContext(), Rate: 0.5},
		"begins in the middle": {Effect: chaos.Error(errBoom), Rate: 0.5, From: 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fault.Name = "fault"
				e := model()
				e.Fault, e.Faults = time.Minute, []chaos.Fault{fault}
				e.Abort = []lab.Probe{lab.Availability(0.99)}
				begin, undone, hanging := time.Now(), time.Time{}, atomic.Int64{}
				e.System = func(w *lab.World) (lab.Call, error) {
					w.Rollback("undo", func(context.Context) error { undone = time.Now(); return nil })
					w.Step(40*time.Second, "not done any more", func(context.Context) error { return errBoom })
					call, err := work(w)
					return func(ctx context.Context, r lab.Request) error {
						hanging.Add(1)
						defer hanging.Add(-1)
						return call(ctx, r)
					}, err
				}
				r, err := e.Run(t.Context())
				require.NoError(t, err)
				require.Equal(t, lab.Aborted, r.Verdict)
				require.Contains(t, r.Reasons[0], "aborted by probe: availability ≥ 99 %: it was 9")
				require.Contains(t, r.Reasons[0], " in the last 5s")

				// An error is seen when 11 of 1,000 requests of five seconds have failed, after
				// 0.1 s; a hang when it has been there for the whole window.
				breach := fault.From + 110*time.Millisecond
				if strings.HasPrefix(name, "hang") {
					breach += 5 * time.Second
				}
				require.LessOrEqual(t, at(t, r.System, "abort"), breach+time.Second)
				require.GreaterOrEqual(t, at(t, r.System, "abort"), breach-50*time.Millisecond)
				require.Equal(t, at(t, r.System, "abort"), at(t, r.System, "disarm"), "at once")
				require.Equal(t, at(t, r.System, "abort"), at(t, r.System, "rollback"))
				require.Equal(t, 7*time.Second+at(t, r.System, "rollback"), undone.Sub(begin))
				require.Zero(t, hanging.Load())

				// The recovery begins with the abort and lasts as long as planned.
				require.Equal(t, 2000, tally(t, r.System, lab.PhaseRecovery).OK)
				require.Equal(t, lab.Recovery{Runs: 1}, r.System.Recovery)
				require.Equal(t, at(t, r.System, "abort"), tally(t, r.System, lab.PhaseFault).Lasted)
				require.Less(t, time.Since(begin), 7*time.Second+at(t, r.System, "abort")+11*time.Second)
			})
		})
	}
}

func TestAbortProbes(t *testing.T) {
	for name, c := range map[string]struct {
		abort lab.Probe
		fault chaos.Effect
		after time.Duration // the breach, at least
		why   string
	}{
		"latency": {lab.Latency(0.99, 100*time.Millisecond), chaos.Latency(chaos.Constant(time.Second)), 175 * time.Millisecond, "p99 ≤ 100ms: it was"},
		// The first is slow 100 ms after it was due, the tenth 150 ms.
		"latency of what hangs": {lab.Latency(0.99, 100*time.Millisecond), chaos.Hang(), 150 * time.Millisecond, "p99 ≤ 100ms: it was"},
		"throughput":            {lab.Throughput(100), chaos.Error(errBoom), 2500 * time.Millisecond, "throughput ≥ 100/s: it was"},
		"throughput of a hang":  {lab.Throughput(1), chaos.Hang(), 4900 * time.Millisecond, "throughput ≥ 1/s: it was"},
		"func": {lab.Func("injected", func(n lab.Tally) float64 { return float64(n.Injected["fault"]) }, lab.AtMost(100)), chaos.Error(errBoom),
			500 * time.Millisecond, "injected ≤ 100: it was"},
		"gauge": {lab.Gauge("clock", lab.AtMost(10)), chaos.Error(errBoom), 4 * time.Second, "clock ≤ 10: it was 11"},
		"attempts": {lab.Func("attempts", func(n lab.Tally) float64 { return float64(n.Attempts) }, lab.AtLeast(900)), chaos.Hang(),
			500 * time.Millisecond, "attempts ≥ 900: it was"},
	} {
		t.Run(name, func(t *testing.T) {
			e := model()
			e.Faults = []chaos.Fault{{Name: "fault", Effect: c.fault, Rate: 1}}
			e.Abort = []lab.Probe{c.abort, lab.Availability(0.000001)}
			e.System = func(w *lab.World) (lab.Call, error) {
				begin := time.Now()
				w.Gauge("clock", func() float64 { return time.Since(begin).Seconds() })
				return work(w)
			}
			r, err := inBubble(t, e)
			require.NoError(t, err)
			require.Equal(t, lab.Aborted, r.Verdict, r.Reasons)
			require.Contains(t, r.Reasons[0], "aborted by probe: "+c.why)
			require.GreaterOrEqual(t, at(t, r.System, "abort"), c.after)
			require.LessOrEqual(t, at(t, r.System, "abort"), c.after+time.Second)
		})
	}
}

func TestTheWindowOfAnAbortSlides(t *testing.T) {
	// Six in a thousand fail, in any five seconds, and in all many more than the ten that
	// a window may hold.
	e := model()
	e.Fault, e.Steady = 2*time.Minute, []lab.Probe{lab.Availability(0.99)}
	e.Faults = []chaos.Fault{{Name: "blip", Effect: chaos.Error(errBoom), Rate: 1, Until: 30 * time.Millisecond, Every: 6 * time.Second}}
	e.Abort = []lab.Probe{lab.Availability(0.99)}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Met, r.Verdict, r.Reasons)
	require.Greater(t, tally(t, r.System, lab.PhaseFault).Failed, 100)
}

func TestAShorterWindowSeesAShortBurst(t *testing.T) {
	e := model()
	e.Faults = []chaos.Fault{{Name: "blip", Effect: chaos.Error(errBoom), Rate: 1, Until: 40 * time.Millisecond}}
	e.Abort, e.AbortWindow = []lab.Probe{lab.Availability(0.99)}, time.Second
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Aborted, r.Verdict, r.Reasons)
}

func TestTheControlDoesNotAbort(t *testing.T) {
	e := model()
	e.Abort = []lab.Probe{lab.Availability(0.99)}
	e.Faults = fails(1)
	e.Control = work
	e.System = func(w *lab.World) (lab.Call, error) {
		return func(context.Context, lab.Request) error { return nil }, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Met, r.Verdict, r.Reasons)
}

func TestASurgeEndsWithAnAbort(t *testing.T) {
	e := model()
	e.Load = lab.Constant(200).Surge(2, 20*time.Second)
	e.Faults = []chaos.Fault{{Name: "fault", Effect: chaos.Error(errBoom), Rate: 1, From: 5 * time.Second}}
	e.Abort = []lab.Probe{lab.Availability(0.9)}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Aborted, r.Verdict)
	require.Equal(t, 2000, tally(t, r.System, lab.PhaseRecovery).Offered)
}

func TestCancelEndsTheFaultsAndRollsBack(t *testing.T) {
	for phase, after := range map[lab.Phase]time.Duration{
		lab.PhaseWarmup: time.Second, lab.PhaseBaseline: 4 * time.Second, lab.PhaseFault: 17 * time.Second, lab.PhaseRecovery: 30 * time.Second,
	} {
		t.Run(string(phase), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := model()
				e.Faults = []chaos.Fault{{Name: "hang", Effect: chaos.HangIgnoringContext(), Rate: 0.5}}
				undone, ctxErr := 0, errors.New("none")
				e.System = func(w *lab.World) (lab.Call, error) {
					w.Rollback("undo", func(ctx context.Context) error {
						undone, ctxErr = undone+1, ctx.Err()
						return nil
					})
					return work(w)
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				begin := time.Now()
				time.AfterFunc(after+time.Millisecond, func() { cancel(errors.New("signal: interrupt")) })
				r, err := e.Run(ctx)
				require.NoError(t, err)
				require.Equal(t, lab.Aborted, r.Verdict)
				require.Equal(t, "aborted by cancel: context canceled: signal: interrupt", r.Reasons[0])
				require.Equal(t, 1, undone)
				require.NoError(t, ctxErr, "a rollback does not see that the run was cancelled")
				require.LessOrEqual(t, time.Since(begin), after+100*time.Millisecond)
				begun := map[lab.Phase]int{lab.PhaseWarmup: 0, lab.PhaseBaseline: 1, lab.PhaseFault: 2, lab.PhaseRecovery: 3}
				require.Len(t, r.System.Phases, begun[phase])
			})
		})
	}
}

func TestCancelWhileTheLastRequestsEndIsAnAbortToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := model()
		e.System = func(*lab.World) (lab.Call, error) {
			return func(context.Context, lab.Request) error { time.Sleep(3 * time.Second); return nil }, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 38*time.Second)
		defer cancel()
		r, err := e.Run(ctx)
		require.NoError(t, err)
		require.Equal(t, lab.Aborted, r.Verdict)
	})
}

func TestTheKillSwitchAborts(t *testing.T) {
	defer chaos.Revive()
	e := model()
	e.Faults = []chaos.Fault{{Name: "hang", Effect: chaos.Hang(), Rate: 0.5}}
	e.System = func(w *lab.World) (lab.Call, error) {
		w.Step(10*time.Second+time.Millisecond, "kill", func(context.Context) error { chaos.Kill(); return nil })
		return work(w)
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Aborted, r.Verdict, r.Reasons)
	require.Equal(t, "aborted by kill: chaos was switched off", r.Reasons[0])
	require.Equal(t, 10250*time.Millisecond, at(t, r.System, "abort"))
}

func TestARunWithChaosSwitchedOffDoesNothing(t *testing.T) {
	defer chaos.Revive()
	chaos.Kill()
	e := model()
	e.System = func(*lab.World) (lab.Call, error) { return nil, fmt.Errorf("not to be built") }
	r, err := e.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, lab.Inconclusive, r.Verdict)
	require.Equal(t, []string{"chaos is switched off, so nothing was broken"}, r.Reasons)
}
