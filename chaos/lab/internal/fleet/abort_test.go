package fleet_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/chaos/lab/internal/fleet"
)

// An abortion is how a run was aborted.
type abortion struct {
	verdict        lab.Verdict
	after          time.Duration // of the breach, the faults were off
	undone         bool
	hung, released int // calls, and those of them that ended at once with the faults
}

// abortOnce runs an experiment whose faults are planned for a minute, one node failing and
// one hanging, and which is to be aborted when more than 1 % of the requests that ended in the
// last five seconds have failed. It finds out by itself when that was.
func abortOnce(t *testing.T, seed uint64) (a abortion) {
	type end struct {
		at     time.Duration
		failed bool
	}
	var mu sync.Mutex
	var ends []end
	const begin, window = 10 * time.Second, 5 * time.Second
	e := lab.Experiment{
		Name: "E6", Hypothesis: "it holds (it does not)", Seed: seed, Load: lab.Constant(200),
		Baseline: begin, Fault: time.Minute, Recovery: 5 * time.Second,
		Faults: []chaos.Fault{
			{Name: "fails", Effect: chaos.Error(nil), Rate: 1, Keys: fleet.Names(2)[:1]},
			{Name: "hangs", Effect: chaos.HangIgnoringContext(), Rate: 1, Keys: fleet.Names(2)[1:]},
		},
		Steady:      []lab.Probe{lab.Availability(0.999)},
		Abort:       []lab.Probe{lab.Availability(0.99)},
		AbortWindow: window,
		System: func(w *lab.World) (lab.Call, error) {
			began := time.Now()
			f := fleet.New(fleet.Size{Nodes: 10, Workers: 8, Mean: 25 * time.Millisecond, Sigma: 0.3}, w, w.Chaos().At)
			w.Rollback("put it back", func(context.Context) error { a.undone = true; return nil })
			return func(ctx context.Context, _ lab.Request) error {
				node := fleet.Names(10)[int(steady.Random(ctx, "node", 0)*10)]
				err := f.Call(ctx, node)
				mu.Lock()
				defer mu.Unlock()
				ends = append(ends, end{time.Since(began), err != nil})
				return err
			}, nil
		},
	}
	r := runOf(t, e)
	a.verdict = r.Verdict
	a.hung = fault(t, r.System).Injected["hangs"]
	breach := time.Duration(-1)
	for last := range ends {
		all, failed := 0, 0
		for _, e := range ends[:last+1] {
			if ends[last].at-e.at <= window {
				all++
				if e.failed {
					failed++
				}
			}
		}
		if ends[last].at >= begin && float64(failed) > 0.01*float64(all) {
			breach = ends[last].at
			break
		}
	}
	for _, m := range r.System.Marks {
		if m.What != "disarm" {
			continue
		}
		a.after = m.At - breach
		for _, e := range ends {
			if e.failed && e.at >= m.At && e.at < m.At+time.Millisecond {
				a.released++
			}
		}
	}
	return a
}
