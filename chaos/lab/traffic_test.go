package lab_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
)

type tenant struct{}

// A service has real requests, and runs experiments on a part of them.
type service struct {
	traffic *lab.Traffic
	call    steady.Policy
	served  sync.WaitGroup
	failed  [2]atomic.Int64 // by tenant
	made    [2]atomic.Int64
	stop    chan struct{}
}

// serve makes a service with 400 requests a second of two tenants, until it is stopped.
func serve(c lab.TrafficConfig) *service {
	s := &service{traffic: lab.MustNewTraffic(c), stop: make(chan struct{})}
	s.call = steady.Chain(s.traffic, bulkhead.MustNew(bulkhead.Config{Limit: 100, Hook: s.traffic.Hook()}), s.traffic.At("db"))
	s.served.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-s.stop:
				return
			case <-time.After(2500*time.Microsecond - time.Nanosecond):
			}
			s.served.Go(func() {
				ctx := context.WithValue(context.Background(), tenant{}, n%2)
				s.made[n%2].Add(1)
				if err := s.call.Do(ctx, func(context.Context) error { time.Sleep(20 * time.Millisecond); return nil }); err != nil {
					s.failed[n%2].Add(1)
				}
			})
		}
	})
	return s
}

func (s *service) close() {
	close(s.stop)
	s.served.Wait()
}

func onTraffic(t *lab.Traffic) lab.Experiment {
	e := model()
	e.Load, e.System = t.Load(), nil
	e.Faults = []chaos.Fault{{Name: "db fails", Effect: chaos.Error(errBoom), Rate: 0.5, Keys: []string{"db"}}}
	e.Steady = []lab.Probe{lab.Availability(0.99).In(lab.PhaseBaseline)}
	return e
}

func TestOnTrafficOnlyRequestsInScopeAreHurt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(lab.TrafficConfig{Share: 1, Filter: func(ctx context.Context) bool { return ctx.Value(tenant{}) == 1 }})
		r, err := onTraffic(s.traffic).Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, lab.Met, r.Verdict, r.Reasons)
		require.Zero(t, s.failed[0].Load(), "of the other tenant none failed")
		n := tally(t, r.System, lab.PhaseFault)
		require.InDelta(t, 4000, n.Offered, 2)
		require.InDelta(t, 0.5, n.Availability, 0.05)
		require.Equal(t, n.Offered, n.Attempts)
		require.Equal(t, n.Failed, n.Injected["db fails"])
		require.Equal(t, int64(n.Failed), s.failed[1].Load())
		require.Equal(t, 20*time.Millisecond, n.P50)
		require.InDelta(t, 2000, tally(t, r.System, lab.PhaseRecovery).OK, 2)
		require.Zero(t, tally(t, r.System, lab.PhaseRecovery).Failed)

		before := s.failed[1].Load()
		time.Sleep(10 * time.Second)
		require.Equal(t, before, s.failed[1].Load(), "after the run none is in scope")
		s.close()
	})
}

func TestAShareOfTheTrafficIsInScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(lab.TrafficConfig{Share: 0.1})
		r, err := onTraffic(s.traffic).Run(t.Context())
		require.NoError(t, err)
		require.InDelta(t, 800, tally(t, r.System, lab.PhaseFault).Offered, 120)
		require.Equal(t, "10 % of real requests", r.Load)
		s.close()
	})
}

func TestOnTrafficAnAbortSparesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(lab.TrafficConfig{Share: 0.5})
		e := onTraffic(s.traffic)
		e.Abort = []lab.Probe{lab.Availability(0.9)}
		undone := false
		e.System = func(w *lab.World) (lab.Call, error) {
			w.Rollback("undo", func(context.Context) error { undone = true; return nil })
			return nil, nil
		}
		r, err := e.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, lab.Aborted, r.Verdict)
		require.Less(t, at(t, r.System, "abort"), 3*time.Second)
		require.True(t, undone)
		s.close()
	})
}

func TestOneExperimentAtATimeRunsOnTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(lab.TrafficConfig{Share: 1})
		var runs sync.WaitGroup
		var busy atomic.Int64
		for range 3 {
			runs.Go(func() {
				if _, err := onTraffic(s.traffic).Run(t.Context()); err != nil {
					require.EqualError(t, err, "lab: another experiment runs on the same traffic")
					busy.Add(1)
				}
			})
		}
		runs.Wait()
		require.Equal(t, int64(2), busy.Load())
		s.close()
	})
}

func TestRequestsAboveMaxInFlightAreNotInScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(lab.TrafficConfig{Share: 1})
		e := onTraffic(s.traffic)
		e.MaxInFlight = 1
		r, err := e.Run(t.Context())
		require.NoError(t, err)
		n := tally(t, r.System, lab.PhaseBaseline)
		require.InDelta(t, 5*50, n.Offered, 30, "one at a time, of 20 ms each")
		require.Zero(t, n.Overflow)
		s.close()
	})
}

// A panic of a real request goes on to whom it belongs to.
func TestTrafficLetsPanicsPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traffic := lab.MustNewTraffic(lab.TrafficConfig{Share: 1})
		e := onTraffic(traffic)
		e.Steady = []lab.Probe{lab.Availability(0.9).In(lab.PhaseFault)}
		e.System = func(w *lab.World) (lab.Call, error) {
			w.Step(time.Second, "request", func(context.Context) error {
				require.PanicsWithValue(t, "oh", func() {
					_ = traffic.Do(context.Background(), func(context.Context) error { panic("oh") })
				})
				return nil
			})
			return nil, nil
		}
		r, err := e.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]int{"steady: the call did not return": 1}, tally(t, r.System, lab.PhaseFault).Errors)
	})
}

func TestTrafficConfigNamesItsFault(t *testing.T) {
	for _, share := range []float64{0, -1, 1.1} {
		_, err := lab.NewTraffic(lab.TrafficConfig{Share: share})
		require.ErrorContains(t, err, "lab: TrafficConfig.Share must be above 0 and at most 1, got ")
		require.Panics(t, func() { lab.MustNewTraffic(lab.TrafficConfig{Share: share}) })
	}
}

func TestTrafficThatNothingRunsOnCostsNothing(t *testing.T) {
	traffic := lab.MustNewTraffic(lab.TrafficConfig{Share: 1})
	inner := traffic.Chaos()
	call := func(ctx context.Context) error { return inner.Do(ctx, func(context.Context) error { return nil }) }
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = traffic.Do(context.Background(), call) }))
}
