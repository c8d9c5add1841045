package lab_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
)

var errBoom = errors.New("boom")

// work takes 25 ms, through the world's faults.
func work(w *lab.World) (lab.Call, error) {
	return func(ctx context.Context, _ lab.Request) error {
		return w.Chaos().Do(ctx, func(context.Context) error {
			time.Sleep(25 * time.Millisecond)
			return nil
		})
	}, nil
}

// model is an experiment whose hypothesis is met, since nothing is broken.
func model() lab.Experiment {
	return lab.Experiment{
		Name: "model", Hypothesis: "It works.",
		Load:   lab.Constant(200),
		System: work,
		Warmup: 2 * time.Second, Baseline: 5 * time.Second, Fault: 20 * time.Second, Recovery: 10 * time.Second,
		Steady: []lab.Probe{lab.Availability(0.999)},
	}
}

// fails lets a share of the calls fail.
func fails(rate float64) []chaos.Fault {
	return []chaos.Fault{{Name: "fails", Effect: chaos.Error(errBoom), Rate: rate}}
}

func TestCheckNamesEveryFault(t *testing.T) {
	require.NoError(t, model().Check())
	err := lab.Experiment{
		Warmup: -1, Recovery: -1, Faults: []chaos.Fault{{}},
		Steady: []lab.Probe{{}, lab.Availability(1), lab.Latency(1, 0), lab.Throughput(0), lab.Amplification(-1),
			lab.RecoversWithin(-1), lab.Gauge("", lab.AtMost(math.NaN())), lab.Func("f", nil, lab.AtLeast(1)),
			lab.Availability(0.9).In(), lab.Availability(0.9).In(lab.PhaseWarmup), lab.Availability(0.9).Worst(2)},
		Abort:       []lab.Probe{lab.RecoversWithin(0).In(lab.PhaseRecovery).Worst(1)},
		AbortWindow: -1, MaxInFlight: -1, RollbackTimeout: -1,
	}.Check()
	require.Error(t, err)
	for _, want := range []string{
		`Name must be set, got ""`, `Hypothesis must be set, got ""`, "Load must be set, got none", "System must be set, got <nil>",
		"Warmup must be >= 0, got -1ns", "Baseline must be > 0, got 0s", "Fault must be > 0, got 0s", "Recovery must be >= 0, got -1ns",
		"Steady[0] must be made by Availability, Latency or the like, got Probe{}",
		"Steady[1] must have a bound above 0 and below 1, since no number of requests shows more, got 1",
		"Steady[2] must be a quantile above 0 and below 1, got 1", "Steady[2] must have a bound above 0, got 0s",
		"Steady[3] must have a bound above 0, got 0", "Steady[4] must have a bound above 0, got -1",
		"Steady[5] must have a bound of at least 0, got -1ns", "Steady[5] must be at most Recovery less 5s, got -1ns",
		`Steady[6] must have a name, got ""`, "Steady[6] must have a finite bound, got NaN", "Steady[7] must have a func, got <nil>",
		"Steady[8].In must name a phase, got none", "Steady[9].In must be PhaseBaseline, PhaseFault or PhaseRecovery, got warmup",
		"Steady[10].Worst must have a bound above 0 and below 1",
		"Abort[0] must not be RecoversWithin, which comes too late, got recovers",
		"Abort[0] must be without In, got [recovery]", "Abort[0] must be without Worst, got one",
		"AbortWindow must be >= 0, got -1ns", "MaxInFlight must be >= 0, got -1", "RollbackTimeout must be >= 0, got -1ns",
	} {
		require.Contains(t, err.Error(), "lab: Experiment."+want)
	}
	require.Contains(t, err.Error(), "chaos: Config.", "those of the faults too")
}

func TestCheckNamesTheFaultsOfALoad(t *testing.T) {
	for want, load := range map[string]lab.Load{
		"Load must have a rate above 0, got 0":                                                              lab.Constant(0),
		"Load, step 1, must have a rate from 0 to 1,000,000, got NaN":                                       lab.Poisson(math.NaN()),
		"Load, step 1, must have a rate from 0 to 1,000,000, got -1":                                        lab.Constant(-1),
		"Load, step 1, must last for more than 0, but for the last, got 0s":                                 lab.Steps(lab.Step{RPS: 1}, lab.Step{RPS: 2}),
		"Load, the trace, must begin at 0 or later and not decrease, got 1s as number 2":                    lab.Trace(2*time.Second, time.Second),
		"Load must have one Surge, got 2":                                                                   lab.Constant(1).Surge(2, time.Second).Surge(2, time.Second),
		"Load, the surge, must have a factor from 0 to 1000, got -2":                                        lab.Constant(1).Surge(-2, time.Second),
		"Load, the surge, must last for more than 0 and not longer than Fault, got 21s":                     lab.Constant(1).Surge(2, 21*time.Second),
		"Load must be without Surge if it is real traffic, got 100 % of real requests, × 2 in the first 1s": lab.MustNewTraffic(lab.TrafficConfig{Share: 1}).Load().Surge(2, time.Second),
	} {
		e := model()
		e.Load = load
		require.ErrorContains(t, e.Check(), "lab: Experiment."+want)
	}
}

func TestCheckRefusesWhatCouldHaveNoEffect(t *testing.T) {
	e := model()
	e.AbortWindow = time.Second
	e.Faults = []chaos.Fault{{Name: "late", Effect: chaos.Error(nil), Rate: 1, From: 20 * time.Second}}
	e.Steady = []lab.Probe{lab.RecoversWithin(6 * time.Second), lab.RecoversWithin(0).Worst(5.5)}
	err := e.Check()
	require.ErrorContains(t, err, "AbortWindow must be 0 without Abort, got 1s")
	require.ErrorContains(t, err, "Faults[0].From must be before the end of Fault, got 20s")
	require.ErrorContains(t, err, "Steady[0] must be at most Recovery less 5s, got 6s")
	require.ErrorContains(t, err, "Steady[1] must be at most Recovery less 5s, got 5.5s")
	e = model()
	e.Recovery, e.Steady = 0, []lab.Probe{lab.Availability(0.9).In(lab.PhaseRecovery)}
	require.ErrorContains(t, e.Check(), "Steady[0].In must not be PhaseRecovery without Recovery, got recovery")
	e = model()
	e.Load, e.Control = lab.MustNewTraffic(lab.TrafficConfig{Share: 1}).Load(), work
	require.ErrorContains(t, e.Check(), "Control must be nil with real traffic, which comes but once, got one")
}

func TestAnExperimentThatIsFaultyIsNotRun(t *testing.T) {
	e := model()
	e.Name = ""
	e.System = func(*lab.World) (lab.Call, error) { panic("not to be built") }
	r, err := e.Run(t.Context())
	require.EqualError(t, err, e.Check().Error())
	require.Equal(t, lab.Error, r.Verdict)
	require.Equal(t, strings.Split(err.Error(), "\n"), r.Reasons)
}
