package lab_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/steady-go/steady/chaos/lab"
)

// later returns a report of the same experiment, changed.
func later(change func(*lab.Report)) lab.Report {
	r := metReport()
	change(&r)
	return r
}

func TestCompareIsSilentAboutWhatDoesNotMatter(t *testing.T) {
	require.Empty(t, metReport().Compare(metReport()))
	require.Empty(t, later(func(r *lab.Report) {
		fault := &r.System.Phases[1]
		fault.Availability -= 0.0001 // the intervals still meet
		fault.P99 = fault.P99 * 109 / 100
		fault.Amplification += 0.04
		r.System.Phases[0].P50 = 990 * time.Microsecond
		r.System.Recovery.Max += 900 * time.Millisecond
		r.System.Checks[1].Value = "99.95 %"
		r.Seeds = []uint64{5}
		r.Hypothesis = "other words"
	}).Compare(later(func(r *lab.Report) {
		r.System.Phases[0].P50 = 23 * time.Microsecond // twice as slow would be nothing either
	})))
}

func TestCompareSaysInSentencesWhatHasChanged(t *testing.T) {
	worse := later(func(r *lab.Report) {
		r.Verdict = lab.Deviated
		fault := &r.System.Phases[1]
		fault.Availability, fault.Low, fault.High = 0.9971, 0.9968, 0.9974
		fault.P99, fault.Amplification = 420*time.Millisecond, 1.31
		r.System.Recovery.Median, r.System.Recovery.Max, r.System.Recovery.Never = 3*time.Second, 30*time.Second, 2
		r.System.Checks[1].Verdict, r.System.Checks[1].Value = lab.Deviated, "99.71 %"
	})
	require.Equal(t, []string{
		"the verdict is deviated, and was met",
		"recovers 3s later than before: 0s → 3s",
		"the slowest run recovers 29s later than before: 1s → 30s",
		"2 of 20 runs did not recover; before, 0 of 20 runs did not",
		"availability during the fault 99.949 % → 99.71 %",
		"p99 during the fault 318ms → 420ms",
		"attempts a request during the fault 1.03 → 1.31",
		"fault: availability ≥ 99.9 % is deviated, and was met: 99.9493 % → 99.71 %",
	}, worse.Compare(metReport()))
	require.Contains(t, metReport().Compare(worse), "recovers 3s sooner than before: 3s → 0s")
}

func TestCompareTellsWhetherItRecoversAtAll(t *testing.T) {
	never := later(func(r *lab.Report) {
		r.System.Recovery = lab.Recovery{Median: 30 * time.Second, Max: 30 * time.Second, Never: 20, Runs: 20}
	})
	require.Equal(t, []string{"does not recover any more; it did at once before"}, never.Compare(metReport()))
	require.Equal(t, []string{"recovers at once; it did not before"}, metReport().Compare(never))
	require.Empty(t, never.Compare(never))
}

func TestCompareTellsOfPhasesThatWereNotReached(t *testing.T) {
	aborted := later(func(r *lab.Report) {
		r.System.Phases, r.System.Recovery = r.System.Phases[:2], lab.Recovery{}
	})
	require.Equal(t, []string{"the recovery was not reached, and was before"}, aborted.Compare(metReport()))
	require.Equal(t, []string{"the recovery was reached, and was not before"}, metReport().Compare(aborted))
}

func TestCompareTellsWhetherTheFaultsBiteAsTheyDid(t *testing.T) {
	milder := later(func(r *lab.Report) {
		control := *r.Control
		control.Phases = append([]lab.Tally(nil), control.Phases...)
		control.Phases[1].Availability, control.Phases[1].Low, control.Phases[1].High = 0.92, 0.91, 0.93
		control.Phases[1].P99 /= 2
		r.Control = &control
	})
	require.Equal(t, []string{"control: availability during the fault 79.4 % → 92 %"}, milder.Compare(metReport()))
	without := later(func(r *lab.Report) { r.Control = nil })
	require.Equal(t, []string{"there is no control any more"}, without.Compare(metReport()))
	require.Equal(t, []string{"there is a control now"}, metReport().Compare(without))
}

func TestCompareTellsOfAnotherClock(t *testing.T) {
	require.Equal(t, []string{"the clock is now real time, and was virtual time"},
		later(func(r *lab.Report) { r.Virtual = false }).Compare(metReport()))
}

func TestCompareRefusesAnotherExperiment(t *testing.T) {
	require.Equal(t, []string{`not compared: this is the experiment "retry storm", and the earlier report is of "two of ten nodes hang"`},
		deviatedReport().Compare(metReport()))
	require.Equal(t, []string{"not compared: the load is Poisson, 300/s, and was Poisson, 200/s"},
		later(func(r *lab.Report) { r.Load = "Poisson, 300/s" }).Compare(metReport()))
	require.Equal(t, []string{"not compared: the phases are 5s warm-up, 10s baseline, 1m fault, 30s recovery, and were 5s warm-up, 10s baseline, 30s fault, 30s recovery"},
		later(func(r *lab.Report) { r.Plan.Fault = time.Minute }).Compare(metReport()))
}

func TestCompareOfAnyReportsDoesNotPanic(t *testing.T) {
	require.Empty(t, lab.Report{}.Compare(lab.Report{}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyReport(t), anyReport(t)
		b.Name, b.Load, b.Plan = a.Name, a.Load, a.Plan
		_ = a.Compare(b)
	})
}
