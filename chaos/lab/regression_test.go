package lab_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
)

// alone is an experiment of one arm, whose calls do nothing but pass the faults.
func alone() lab.Experiment {
	return lab.Experiment{
		Name: "alone", Hypothesis: "It holds.", Load: lab.Constant(100),
		System: func(w *lab.World) (lab.Call, error) {
			return func(ctx context.Context, _ lab.Request) error {
				return w.Chaos().Do(ctx, func(context.Context) error { return nil })
			}, nil
		},
		Baseline: 5 * time.Second, Fault: 10 * time.Second, Recovery: 20 * time.Second,
		Faults: []chaos.Fault{{Name: "fails", Effect: chaos.Error(errBoom), Rate: 1}},
		Steady: []lab.Probe{lab.Availability(0.9)},
	}
}

// A plan that was killed stays dead after Revive. Who did both between two looks of the
// run got a Met, with nothing broken.
func TestAKillThatWasTakenBackIsNoticed(t *testing.T) {
	e := alone()
	build := e.System
	e.System = func(w *lab.World) (lab.Call, error) {
		w.Step(10*time.Millisecond, "kill and revive", func(context.Context) error {
			chaos.Kill()
			chaos.Revive()
			return nil
		})
		return build(w)
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Aborted, r.Verdict)
}

// A key with a slip of the pen injects nothing, and without a control nobody saw that.
func TestAFaultThatHitsNothingProvesNothing(t *testing.T) {
	e := alone()
	e.Faults[0].Keys = []string{"nodee"}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Inconclusive, r.Verdict)
	require.Equal(t, []string{"no fault was ever injected, so it was not put to the test"}, r.Reasons)
}

// What was registered after the Build was dropped without a word.
func TestAStepThatComesTooLateIsAnError(t *testing.T) {
	e := alone()
	build := e.System
	e.System = func(w *lab.World) (lab.Call, error) {
		w.Go(func() {
			time.Sleep(6 * time.Second)
			w.Step(3*time.Second, "too late", func(context.Context) error { return nil })
		})
		return build(w)
	}
	r, err := inBubble(t, e)
	require.ErrorContains(t, err, `step "too late" must be registered while the world is built`)
	require.Equal(t, lab.Error, r.Verdict)
}

// Five seconds without a request were taken for a recovery.
func TestSilenceIsNoRecovery(t *testing.T) {
	e := alone()
	e.Load = lab.Steps(lab.Step{For: 15 * time.Second, RPS: 100}, lab.Step{For: 6 * time.Second, RPS: 0}, lab.Step{RPS: 100})
	e.Faults, e.Steady = nil, []lab.Probe{lab.RecoversWithin(3 * time.Second)}
	e.System = func(*lab.World) (lab.Call, error) {
		return func(_ context.Context, r lab.Request) error {
			if r.Due > 5*time.Second {
				return errBoom
			}
			return nil
		}, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Deviated, r.Verdict)
	require.Equal(t, 1, r.System.Recovery.Never)
}

// Of several runs the worst may be the one that shows nothing at all.
func TestARunWithoutAnAnswerIsTheWorst(t *testing.T) {
	var reports []lab.Report
	for seed := range uint64(4) {
		e := alone().Seeded(seed)
		e.Steady = []lab.Probe{lab.Latency(0.99, time.Second).Worst(2)}
		if seed > 0 {
			e.System = func(*lab.World) (lab.Call, error) {
				return func(context.Context, lab.Request) error { return nil }, nil
			}
		}
		r, err := inBubble(t, e)
		require.NoError(t, err)
		reports = append(reports, r)
	}
	r, err := lab.Pool(reports...)
	require.NoError(t, err)
	require.Equal(t, lab.Inconclusive, r.Verdict, "%v", r.Reasons)
}

// Runs with other bounds were pooled, and judged by those of the first.
func TestRunsWithOtherBoundsAreNotPooled(t *testing.T) {
	a, err := inBubble(t, alone())
	require.NoError(t, err)
	e := alone().Seeded(1)
	e.Steady = []lab.Probe{lab.Availability(0.0001)}
	b, err := inBubble(t, e)
	require.NoError(t, err)
	_, err = lab.Pool(b, a)
	require.ErrorContains(t, err, "of another experiment")
}

// A nilError is an error whose text cannot be had from a nil pointer.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// A nil pointer that passes for an error killed the process, or broke a user's request.
func TestAnErrorThatIsANilPointer(t *testing.T) {
	bad := func(context.Context) error { var e *nilError; return e }
	e := alone()
	e.System = func(*lab.World) (lab.Call, error) {
		return func(ctx context.Context, _ lab.Request) error { return bad(ctx) }, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Inconclusive, r.Verdict)

	synctest.Test(t, func(t *testing.T) {
		traffic := lab.MustNewTraffic(lab.TrafficConfig{Share: 1})
		e := alone()
		e.Load, e.System = traffic.Load(), nil
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = e.Run(t.Context())
		}()
		time.Sleep(time.Second)
		require.NotPanics(t, func() { _ = traffic.Do(t.Context(), bad) })
		<-done
	})
}
