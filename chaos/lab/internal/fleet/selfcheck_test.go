package fleet_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/chaos/lab/internal/fleet"
)

// A server that takes 25 ms, and stands still for five seconds from the half of a
// minute on.
var (
	server   = fleet.Size{Nodes: 1, Workers: 1000, Mean: 25 * time.Millisecond}
	stallsAt = 30 * time.Second
	stalls   = 5 * time.Second
)

// E5: of a stall during which a twelfth of a minute's requests are due, clients that
// wait for each answer before they ask again, as in most benchmarks, see one slow request
// each. The lab must not do what it is to find out.
func TestAnOpenLoadSeesAStall(t *testing.T) {
	underRace(t)
	closed := closedLoop(t)
	results.add(t, "E5: a stall of 5s in 60s", "control: p99 of a closed loop", closed.String(), "25ms", closed == 25*time.Millisecond)

	e := lab.Experiment{
		Name: "E5", Hypothesis: "an open load sees a stall", Load: lab.Constant(200),
		Baseline: 5 * time.Second, Fault: time.Minute,
		Steady: []lab.Probe{lab.Latency(0.99, 100*time.Millisecond)},
		System: func(w *lab.World) (lab.Call, error) {
			f := fleet.New(server, w, w.Chaos().At)
			w.Step(stallsAt, "stall", func(context.Context) error { f.Stall(fleet.Names(1)[0], stalls); return nil })
			return func(ctx context.Context, _ lab.Request) error { return f.Call(ctx, fleet.Names(1)[0]) }, nil
		},
	}
	r := runOf(t, e)
	require.Equal(t, lab.Deviated, r.Verdict)
	open := fault(t, r.System).P99
	results.add(t, "E5: a stall of 5s in 60s", "p99 of the open load", open.Round(time.Millisecond).String(), "≥ 4.3s", open >= 4300*time.Millisecond)
}

// closedLoop returns the p99 that five clients in a closed loop see, which make 200
// requests a second while the server is well.
func closedLoop(t *testing.T) (p99 time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		f := fleet.New(server, nil, nil)
		time.AfterFunc(stallsAt, func() { f.Stall(fleet.Names(1)[0], stalls) })
		var mu sync.Mutex
		var latencies []time.Duration
		var clients sync.WaitGroup
		end := time.Now().Add(time.Minute)
		for range 5 {
			clients.Go(func() {
				for time.Now().Before(end) {
					begin := time.Now()
					err := f.Call(t.Context(), fleet.Names(1)[0])
					mu.Lock()
					latencies = append(latencies, time.Since(begin))
					mu.Unlock()
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		clients.Wait()
		slices.Sort(latencies)
		p99 = latencies[len(latencies)*99/100]
	})
	return p99
}

// E6: an experiment whose faults would last for a minute is ended by its first probe
// that is breached.
func TestAnExperimentEndsWhenItsErrorBudgetIsSpent(t *testing.T) {
	underRace(t)
	const runs = 20
	var slowest time.Duration
	undone, released, aborted := 0, 0, 0
	for seed := range uint64(runs) {
		a := abortOnce(t, seed+1)
		slowest = max(slowest, a.after)
		if a.undone {
			undone++
		}
		if a.hung > 0 && a.released == a.hung {
			released++
		}
		if a.verdict == lab.Aborted {
			aborted++
		}
	}
	name := "E6: abort at 1 % of errors"
	results.add(t, name, "faults off after the breach, slowest", slowest.Round(time.Millisecond).String(), "≤ 1s", slowest <= time.Second && slowest >= 0)
	of := func(n int) string { return fmt.Sprintf("%d of %d", n, runs) }
	results.add(t, name, "rollback ran", of(undone), "all", undone == runs)
	results.add(t, name, "hangs were released", of(released), "all", released == runs)
	results.add(t, name, "verdict aborted", of(aborted), "all", aborted == runs)
}

// E7: the same seed gives the same report.
func TestARunRepeats(t *testing.T) {
	underRace(t)
	const runs = 20
	for _, e := range []lab.Experiment{fleet.PartialFailure(fleet.DeafHang), pages()} {
		name := "E7: " + e.Name
		one := repeat(t, e, runs, 1)
		results.add(t, name, "reports of 20 runs at GOMAXPROCS=1", one.String(), "1", len(one.reports) == 1)
		many := repeat(t, e, runs, 4)
		within := len(many.verdicts) == 1 && many.high-many.low <= 0.003
		results.add(t, name, "availability at GOMAXPROCS=4", fmt.Sprintf("%s to %s", percent(many.low), percent(many.high)), "within 0.3 points", within)
	}
	without := repeat(t, sharing(), runs, 4)
	results.add(t, "E7: pages of four parts", "control: reports with a shared generator", without.String(), "more than 1", len(without.reports) > 1)
}
