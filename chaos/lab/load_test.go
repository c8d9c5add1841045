package lab_test

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos/lab"
)

var plan = lab.Plan{Warmup: 5 * time.Second, Baseline: 10 * time.Second, Fault: 20 * time.Second, Recovery: 25 * time.Second}

// perPhase counts the requests that are due in each phase of plan.
func perPhase(due []time.Duration) (n [4]int) {
	ends := []time.Duration{plan.Warmup, plan.Warmup + plan.Baseline, plan.Warmup + plan.Baseline + plan.Fault}
	for _, at := range due {
		phase := 0
		for phase < len(ends) && at >= ends[phase] {
			phase++
		}
		n[phase]++
	}
	return n
}

func TestLoadsOfferWhatTheySay(t *testing.T) {
	const end = time.Minute
	for name, c := range map[string]struct {
		load lab.Load
		want [4]int
	}{
		"constant":           {lab.Constant(200), [4]int{1000, 2000, 4000, 5000}},
		"a third":            {lab.Constant(1.0 / 3), [4]int{2, 3, 7, 8}},
		"an uneven rate":     {lab.Constant(7), [4]int{35, 70, 140, 175}},
		"surge":              {lab.Constant(200).Surge(2, 10*time.Second), [4]int{1000, 2000, 6000, 5000}},
		"surge by a part":    {lab.Constant(100).Surge(1.5, 20*time.Second), [4]int{500, 1000, 3000, 2500}},
		"nothing for a time": {lab.Constant(100).Surge(0, 20*time.Second), [4]int{500, 1000, 0, 2500}},
		"steps":              {lab.Steps(lab.Step{For: 15 * time.Second, RPS: 10}, lab.Step{For: 20 * time.Second}, lab.Step{RPS: 4}), [4]int{50, 100, 0, 100}},
		"steps that end":     {lab.Steps(lab.Step{For: 10 * time.Second, RPS: 10}), [4]int{50, 50, 0, 0}},
		"a step that surges": {lab.Steps(lab.Step{For: 25 * time.Second, RPS: 10}, lab.Step{RPS: 20}).Surge(3, 20*time.Second), [4]int{50, 100, 900, 500}},
		"trace":              {lab.Trace(0, time.Second, 6*time.Second, 6*time.Second, 20*time.Second, 59*time.Second), [4]int{2, 2, 1, 1}},
		"a trace that surges": {lab.Trace(0, time.Second, 16*time.Second, 20*time.Second, 59*time.Second).Surge(3, 4*time.Second),
			[4]int{2, 0, 4, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			due := c.load.Due(7, plan, end)
			require.True(t, slices.IsSorted(due))
			require.Equal(t, c.want, perPhase(due))
		})
	}
}

func TestConstantLoadComesAtEqualDistances(t *testing.T) {
	for i, at := range lab.Constant(200).Due(1, plan, time.Minute) {
		require.Equal(t, time.Duration(i)*5*time.Millisecond, at)
	}
}

func TestPoissonLoadComesAtRandom(t *testing.T) {
	load := lab.Poisson(100)
	due := load.Due(1, plan, 1000*time.Second)
	require.InDelta(t, 100_000, len(due), 4*math.Sqrt(100_000))
	// The distances of such a process are spread as widely as they are long.
	var sum, squares float64
	for i := 1; i < len(due); i++ {
		d := (due[i] - due[i-1]).Seconds()
		sum, squares = sum+d, squares+d*d
	}
	mean := sum / float64(len(due)-1)
	require.InDelta(t, mean, math.Sqrt(squares/float64(len(due)-1)-mean*mean), mean/50)
	require.Equal(t, due, load.Due(1, plan, 1000*time.Second), "the same for one seed")
	require.NotEqual(t, due[:10], load.Due(2, plan, time.Minute)[:10], "another for another")
}

func TestATraceSurgesByPartsToo(t *testing.T) {
	var trace []time.Duration
	for i := range 6000 {
		trace = append(trace, time.Duration(i)*10*time.Millisecond)
	}
	n := perPhase(lab.Trace(trace...).Surge(1.25, 20*time.Second).Due(1, plan, time.Minute))
	require.Equal(t, []int{500, 1000, 2500}, []int{n[0], n[1], n[3]})
	require.InDelta(t, 2500, n[2], 80)
}

func TestLoadsDescribeThemselves(t *testing.T) {
	for want, load := range map[string]lab.Load{
		"none":                  {},
		"200/s":                 lab.Constant(200),
		"0.5/s at random":       lab.Poisson(0.5),
		"10/s for 1m0s, 0/s":    lab.Steps(lab.Step{For: time.Minute, RPS: 10}, lab.Step{}),
		"a trace of 2 requests": lab.Trace(0, 0),
		"200/s, × 2 in the first 30s of the fault": lab.Constant(200).Surge(2, 30*time.Second),
		"5 % of real requests":                     lab.MustNewTraffic(lab.TrafficConfig{Share: 0.05}).Load(),
	} {
		require.Equal(t, want, load.String())
	}
}

// Requests that were due at one instant would run in an order that is chance.
func TestNoTwoRequestsAreDueAtOneInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := model()
		e.Load = lab.Trace(slices.Repeat([]time.Duration{time.Second}, 1000)...)
		e.Control = e.System
		var mu sync.Mutex
		var due []time.Duration
		seen := func(b lab.Build) lab.Build {
			return func(w *lab.World) (lab.Call, error) {
				_, err := b(w)
				begin := time.Now()
				return func(_ context.Context, r lab.Request) error {
					mu.Lock()
					defer mu.Unlock()
					require.Equal(t, r.Due, time.Since(begin), "it is made when it is due")
					due = append(due, r.Due)
					return nil
				}, err
			}
		}
		e.System, e.Control = seen(e.System), seen(e.Control)
		_, err := e.Run(t.Context())
		require.NoError(t, err)
		require.Len(t, due, 2000)
		require.True(t, slices.IsSorted(due), "they come in their order")
		require.Len(t, slices.Compact(due), 2000)
		require.Less(t, due[1999], time.Second+10*time.Microsecond)
	})
}

// The arrival that is waited for when an experiment is aborted may be due after its end.
func TestNoRequestIsMadeAfterTheEnd(t *testing.T) {
	e := model()
	e.Load = lab.Trace(3*time.Second, 8*time.Second, 26*time.Second)
	e.Recovery = time.Second
	e.Faults = fails(1)
	e.Abort = []lab.Probe{lab.Availability(0.9)}
	e.Steady = []lab.Probe{lab.Availability(0.5)}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Aborted, r.Verdict)
	require.Zero(t, tally(t, r.System, lab.PhaseRecovery).Offered)
	require.Equal(t, 1, tally(t, r.System, lab.PhaseFault).Offered)
}

func TestOrdinaryRequestsAreMovedByLessThanAMicrosecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := model()
		var mu sync.Mutex
		moved := map[time.Duration]int{}
		e.System = func(*lab.World) (lab.Call, error) {
			return func(_ context.Context, r lab.Request) error {
				mu.Lock()
				defer mu.Unlock()
				moved[r.Due-time.Duration(r.N)*5*time.Millisecond]++
				return nil
			}, nil
		}
		_, err := e.Run(t.Context())
		require.NoError(t, err)
		require.Greater(t, len(moved), 400)
		for by := range moved {
			require.Positive(t, by)
			require.Less(t, by, time.Microsecond)
		}
	})
}
