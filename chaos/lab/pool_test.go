package lab_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
)

// runSeeds runs e with each seed in virtual time.
func runSeeds(t *testing.T, e lab.Experiment, seeds ...uint64) []lab.Report {
	t.Helper()
	var reports []lab.Report
	for _, seed := range seeds {
		r, _ := inBubble(t, e.Seeded(seed))
		reports = append(reports, r)
	}
	return reports
}

func pool(t *testing.T, reports ...lab.Report) lab.Report {
	t.Helper()
	r, err := lab.Pool(reports...)
	require.NoError(t, err)
	return r
}

func TestPooledCountsAreThoseOfAllRuns(t *testing.T) {
	e := model()
	e.Faults = fails(0.1)
	runs := runSeeds(t, e, 1, 2, 3)
	r := pool(t, runs...)
	require.Equal(t, []uint64{1, 2, 3}, r.Seeds)
	require.Equal(t, lab.Deviated, r.Verdict)
	for i, phase := range []lab.Phase{lab.PhaseBaseline, lab.PhaseFault, lab.PhaseRecovery} {
		var want lab.Tally
		for _, run := range runs {
			n := run.System.Phases[i]
			want.Offered += n.Offered
			want.OK += n.OK
			want.Failed += n.Failed
			want.Attempts += n.Attempts
			want.Lasted += n.Lasted
		}
		got := tally(t, r.System, phase)
		require.Equal(t, []int{want.Offered, want.OK, want.Failed, want.Attempts}, []int{got.Offered, got.OK, got.Failed, got.Attempts})
		require.Equal(t, want.Lasted, got.Lasted)
		require.InDelta(t, float64(want.OK)/float64(want.Offered), got.Availability, 1e-12)
		require.Equal(t, got.Failed, got.Injected["fails"])
	}
	require.Equal(t, lab.Recovery{Runs: 3}, r.System.Recovery)
	require.Equal(t, runs[0].System.Seconds, r.System.Seconds, "the timeline is that of the first seed")
	require.Equal(t, runs[0].System.Marks, r.System.Marks)
	worst := runs[0]
	for _, run := range runs {
		if tally(t, run.System, lab.PhaseFault).OK < tally(t, worst.System, lab.PhaseFault).OK {
			worst = run
		}
	}
	require.Equal(t, &lab.Worst{Seed: worst.Seeds[0], Availability: tally(t, worst.System, lab.PhaseFault).Availability}, r.System.Worst)
}

func TestPooledQuantilesAreThoseOfAllLatencies(t *testing.T) {
	e := model()
	e.System = func(w *lab.World) (lab.Call, error) {
		slow := time.Duration(w.Random("slow", 0)*1000) * time.Millisecond
		return func(context.Context, lab.Request) error { time.Sleep(slow); return nil }, nil
	}
	runs := runSeeds(t, e, 1, 2, 3, 4, 5)
	r := pool(t, runs...)
	var all []time.Duration
	for _, run := range runs {
		all = append(all, tally(t, run.System, lab.PhaseFault).P50)
	}
	n := tally(t, r.System, lab.PhaseFault)
	require.Contains(t, all, n.P50)
	below := 0
	for _, d := range all {
		if d < n.P50 {
			below++
		}
		require.LessOrEqual(t, d, n.Max)
	}
	require.Equal(t, 2, below, "the median of five equal parts is the third of them")
	require.Equal(t, n.Max, n.P99)
}

func TestPoolsOfPoolsAreThoseOfAllRuns(t *testing.T) {
	e := model()
	e.Faults = fails(0.1)
	runs := runSeeds(t, e, 1, 2, 3, 4)
	want, err := json.Marshal(pool(t, runs...))
	require.NoError(t, err)
	got, err := json.Marshal(pool(t, pool(t, runs[0], runs[1]), runs[2], runs[3]))
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got))
}

func TestMoreSeedsAreEnoughToClaimWhatOneIsNot(t *testing.T) {
	e := model()
	e.Load = lab.Constant(100)
	runs := runSeeds(t, e, 1, 2)
	require.Equal(t, lab.Inconclusive, runs[0].Verdict)
	r := pool(t, runs...)
	require.Equal(t, lab.Met, r.Verdict, r.Reasons)
}

func TestTheWorstSeedHasItsOwnBound(t *testing.T) {
	e := model()
	e.Faults = fails(0.1)
	runs := runSeeds(t, e, 1, 2, 3, 4, 5)
	lowest := pool(t, runs...).System.Worst.Availability
	for name, c := range map[string]struct {
		bound float64
		want  lab.Verdict
	}{"kept": {lowest - 0.001, lab.Met}, "missed": {lowest + 0.001, lab.Deviated}} {
		t.Run(name, func(t *testing.T) {
			e.Steady = []lab.Probe{lab.Availability(0.88).Worst(c.bound).In(lab.PhaseFault)}
			runs := runSeeds(t, e, 1, 2, 3, 4, 5)
			require.Equal(t, lab.Met, runs[0].Verdict, "it does not concern a run that is alone")
			r := pool(t, runs...)
			require.Equal(t, c.want, r.Verdict, r.Reasons)
			require.Len(t, r.System.Checks, 2)
			require.True(t, r.System.Checks[1].WorstRun)
			require.Contains(t, r.System.Checks[1].Name, ", worst run")
			require.InDelta(t, lowest, r.System.Checks[1].Number, 1e-12)
		})
	}
}

func TestRecoveryOfSeveralRuns(t *testing.T) {
	e := model()
	e.Recovery = 30 * time.Second
	e.System = func(w *lab.World) (lab.Call, error) {
		takes := map[bool]time.Duration{true: 2 * time.Second, false: 9 * time.Second}[w.Random("slow", 0) < 0.7]
		var end time.Time
		w.Rollback("heals", func(context.Context) error { end = time.Now().Add(takes); return nil })
		return func(_ context.Context, r lab.Request) error {
			if r.Phase == lab.PhaseRecovery && time.Now().Before(end) {
				return errBoom
			}
			return nil
		}, nil
	}
	for name, c := range map[string]struct {
		probe lab.Probe
		want  lab.Verdict
	}{
		"all must":                      {lab.RecoversWithin(3 * time.Second), lab.Deviated},
		"the median, and all a bit":     {lab.RecoversWithin(3 * time.Second).Worst(10), lab.Met},
		"the median, and all a bit not": {lab.RecoversWithin(3 * time.Second).Worst(8), lab.Deviated},
		"not even the median":           {lab.RecoversWithin(time.Second).Worst(10), lab.Deviated},
		"all do":                        {lab.RecoversWithin(9 * time.Second), lab.Met},
	} {
		t.Run(name, func(t *testing.T) {
			e.Steady = []lab.Probe{c.probe}
			r := pool(t, runSeeds(t, e, 1, 2, 3, 4, 5)...)
			require.Equal(t, lab.Recovery{Median: 2 * time.Second, Max: 9 * time.Second, Runs: 5}, r.System.Recovery)
			require.Equal(t, c.want, r.Verdict, r.Reasons)
		})
	}
}

func TestRunsThatNeverRecoverAreCounted(t *testing.T) {
	e := model()
	e.Steady = []lab.Probe{lab.RecoversWithin(time.Second)}
	e.System = func(w *lab.World) (lab.Call, error) {
		dies := w.Random("slow", 0) < 0.7 // as above, three of five
		return func(_ context.Context, r lab.Request) error {
			if dies && r.Phase == lab.PhaseRecovery {
				return errBoom
			}
			return nil
		}, nil
	}
	r := pool(t, runSeeds(t, e, 1, 2, 3, 4, 5)...)
	require.Equal(t, lab.Recovery{Median: 10 * time.Second, Max: 10 * time.Second, Never: 3, Runs: 5}, r.System.Recovery)
	require.Equal(t, []string{"recovery: recovers within 1s: 3 of 5 runs did not recover"}, r.Reasons)
}

func TestOneBadRunDecidesForAll(t *testing.T) {
	hurt := func(f func(*lab.Experiment)) lab.Report {
		e := model().Seeded(9)
		f(&e)
		r, _ := inBubble(t, e)
		return r
	}
	good := runSeeds(t, model(), 1, 2)
	for want, bad := range map[lab.Verdict]lab.Report{
		lab.Aborted: hurt(func(e *lab.Experiment) {
			e.Abort = []lab.Probe{lab.Availability(0.9)}
			e.System = func(*lab.World) (lab.Call, error) {
				return func(_ context.Context, r lab.Request) error {
					if r.Phase == lab.PhaseFault {
						return errBoom
					}
					return nil
				}, nil
			}
		}),
		lab.Error: hurt(func(e *lab.Experiment) { e.System = func(*lab.World) (lab.Call, error) { return nil, errBoom } }),
		lab.Inconclusive: hurt(func(e *lab.Experiment) {
			e.System = func(*lab.World) (lab.Call, error) {
				return func(context.Context, lab.Request) error { return errBoom }, nil
			}
		}),
	} {
		r := pool(t, append(good, bad)...)
		require.Equal(t, want, r.Verdict, r.Reasons)
		require.Contains(t, r.Reasons[0], "seed 9: ")
	}
}

func TestOnlyRunsOfOneExperimentArePooled(t *testing.T) {
	_, err := lab.Pool()
	require.EqualError(t, err, "lab: Pool: there are no reports")
	runs := runSeeds(t, model(), 1, 2)
	_, err = lab.Pool(runs[0], runs[1], runs[0])
	require.EqualError(t, err, "lab: Pool: two runs have the seed 1")
	b, err := json.Marshal(runs[1])
	require.NoError(t, err)
	var read lab.Report
	require.NoError(t, json.Unmarshal(b, &read))
	_, err = lab.Pool(runs[0], read)
	require.EqualError(t, err, "lab: Pool: report 2 holds no run")
	other := model()
	other.Name = "other"
	_, err = lab.Pool(runs[0], runSeeds(t, other, 7)[0])
	require.EqualError(t, err, "lab: Pool: run 2 is of another experiment")
}

func TestTheControlIsPooledToo(t *testing.T) {
	e := model()
	e.Faults = []chaos.Fault{{Name: "fails", Effect: chaos.Error(errBoom), Rate: 0.2}}
	e.Control = work
	e.System = func(*lab.World) (lab.Call, error) {
		return func(context.Context, lab.Request) error { return nil }, nil
	}
	r := pool(t, runSeeds(t, e, 1, 2)...)
	require.Equal(t, lab.Met, r.Verdict, r.Reasons)
	require.Equal(t, 8000, tally(t, *r.Control, lab.PhaseFault).Offered)
	require.InDelta(t, 0.8, tally(t, *r.Control, lab.PhaseFault).Availability, 0.02)
}
