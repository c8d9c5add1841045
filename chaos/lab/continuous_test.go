package lab_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
)

// small is an experiment of 37 seconds to be run beside traffic.
func small() lab.Experiment {
	e := model()
	e.Abort = []lab.Probe{lab.Availability(0.5)}
	return e
}

func TestContinuousRunsOnItsSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var builds []time.Duration
		var seeds []uint64
		e := small().Seeded(7)
		e.System = func(w *lab.World) (lab.Call, error) {
			builds = append(builds, time.Since(begin))
			return work(w)
		}
		c := lab.MustNewContinuous(lab.ContinuousConfig{
			Experiment: e, Every: time.Hour,
			Report: func(_ context.Context, r lab.Report) {
				require.Equal(t, lab.Met, r.Verdict)
				seeds = append(seeds, r.Seeds...)
				if len(seeds) == 2 {
					time.Sleep(90 * time.Minute) // the run at four o'clock is left out
				}
			},
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour+time.Minute)
		defer cancel()
		require.ErrorIs(t, c.Run(ctx), context.DeadlineExceeded)
		require.Equal(t, []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour, 5 * time.Hour}, builds)
		require.Equal(t, []uint64{7, 8, 9, 10}, seeds)
	})
}

func TestContinuousStopsWithItsContextAndRollsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		undone := false
		e := small()
		e.System = func(w *lab.World) (lab.Call, error) {
			w.Rollback("undo", func(context.Context) error { undone = true; return nil })
			return work(w)
		}
		var verdicts []lab.Verdict
		c := lab.MustNewContinuous(lab.ContinuousConfig{Experiment: e, Every: time.Minute,
			Report: func(_ context.Context, r lab.Report) { verdicts = append(verdicts, r.Verdict) }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+15*time.Second)
		defer cancel()
		begin := time.Now()
		require.ErrorIs(t, c.Run(ctx), context.DeadlineExceeded)
		require.Less(t, time.Since(begin), time.Minute+16*time.Second)
		require.Equal(t, []lab.Verdict{lab.Aborted}, verdicts)
		require.True(t, undone)
	})
}

func TestContinuousStopsAfterAnAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := small()
		e.Faults = fails(1)
		runs := 0
		c := lab.MustNewContinuous(lab.ContinuousConfig{Experiment: e, Every: time.Minute, Report: func(context.Context, lab.Report) { runs++ }})
		err := c.Run(t.Context())
		require.ErrorIs(t, err, lab.ErrStopped)
		require.ErrorContains(t, err, "lab: stopped: seed 0: aborted by probe: availability ≥ 50 %")
		require.Equal(t, 1, runs)
	})
}

func TestContinuousStopsAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := small()
		e.System = func(w *lab.World) (lab.Call, error) {
			w.Rollback("undo", func(context.Context) error { return errBoom })
			return work(w)
		}
		c := lab.MustNewContinuous(lab.ContinuousConfig{Experiment: e, Every: time.Minute, Report: func(context.Context, lab.Report) {}})
		err := c.Run(t.Context())
		require.ErrorIs(t, err, lab.ErrStopped)
		require.ErrorIs(t, err, errBoom)
	})
}

func TestContinuousGoesOnWhenItDeviates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := small()
		e.Faults = fails(0.1)
		var verdicts []lab.Verdict
		c := lab.MustNewContinuous(lab.ContinuousConfig{Experiment: e, Every: time.Minute,
			Report: func(_ context.Context, r lab.Report) { verdicts = append(verdicts, r.Verdict) }})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute-time.Second)
		defer cancel()
		require.ErrorIs(t, c.Run(ctx), context.DeadlineExceeded)
		require.Equal(t, []lab.Verdict{lab.Deviated, lab.Deviated, lab.Deviated}, verdicts)
	})
}

// The kill switch ends the run that is under way, and makes the next ones idle until
// it is taken back.
func TestContinuousObeysTheKillSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer chaos.Revive()
		e := small()
		e.Faults = fails(0.1)
		e.Steady = []lab.Probe{lab.Availability(0.8)}
		var verdicts []lab.Verdict
		c := lab.MustNewContinuous(lab.ContinuousConfig{Experiment: e, Every: time.Minute,
			Report: func(_ context.Context, r lab.Report) { verdicts = append(verdicts, r.Verdict) }})
		time.AfterFunc(2*time.Minute+15*time.Second, chaos.Kill)
		time.AfterFunc(3*time.Minute+30*time.Second, chaos.Revive)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute-time.Second)
		defer cancel()
		require.ErrorIs(t, c.Run(ctx), context.DeadlineExceeded)
		require.Equal(t, []lab.Verdict{lab.Met, lab.Aborted, lab.Inconclusive, lab.Met}, verdicts)
	})
}

func TestContinuousRunsOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lab.MustNewContinuous(lab.ContinuousConfig{Experiment: small(), Every: time.Hour, Report: func(context.Context, lab.Report) {}})
		ctx, cancel := context.WithCancel(t.Context())
		var first sync.WaitGroup
		first.Go(func() { require.ErrorIs(t, c.Run(ctx), context.Canceled) })
		synctest.Wait()
		require.Equal(t, lab.ErrRunning, c.Run(ctx))
		cancel()
		first.Wait()
		require.ErrorIs(t, c.Run(ctx), context.Canceled, "after that it may run again")
	})
}

func TestContinuousRunsOnAShareOfTheTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(lab.TrafficConfig{Share: 0.2})
		e := onTraffic(s.traffic)
		e.Abort = []lab.Probe{lab.Availability(0.3)}
		runs := 0
		c := lab.MustNewContinuous(lab.ContinuousConfig{Experiment: e, Every: time.Minute, Report: func(_ context.Context, r lab.Report) {
			runs++
			require.Equal(t, lab.Met, r.Verdict, r.Reasons)
			require.InDelta(t, 1600, tally(t, r.System, lab.PhaseFault).Offered, 200)
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute-time.Second)
		defer cancel()
		require.ErrorIs(t, c.Run(ctx), context.DeadlineExceeded)
		require.Equal(t, 2, runs)
		s.close()
	})
}

func TestContinuousConfigNamesEveryFault(t *testing.T) {
	e := model()
	e.Name = ""
	_, err := lab.NewContinuous(lab.ContinuousConfig{Experiment: e, Every: 37 * time.Second})
	require.EqualError(t, err, `lab: Experiment.Name must be set, got ""
lab: ContinuousConfig.Experiment.Abort must hold at least one probe, got 0
lab: ContinuousConfig.Every must be longer than the phases together, 37s, got 37s
lab: ContinuousConfig.Report must be set, got <nil>`)
	require.Panics(t, func() { lab.MustNewContinuous(lab.ContinuousConfig{}) })
}
