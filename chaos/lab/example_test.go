package lab_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/retry"
)

// An experiment in real time that breaks more than its abort probe allows. In a test
// it would be run by package labtest, in virtual time.
func ExampleExperiment_Run() {
	e := lab.Experiment{
		Name:       "flaky-store",
		Hypothesis: "99 % of the requests are answered while the store fails now and then.",
		Load:       lab.Constant(200),
		System: func(w *lab.World) (lab.Call, error) {
			w.Rollback("close the store", func(context.Context) error {
				fmt.Println("rolled back")
				return nil
			})
			store := steady.Chain(
				retry.MustNew(retry.Config{Delay: time.Millisecond, Hook: w.Hook()}),
				w.Chaos(), // innermost: each attempt may fail
			)
			return func(ctx context.Context, r lab.Request) error {
				return store.Do(ctx, func(context.Context) error { return nil })
			}, nil
		},
		Baseline: 500 * time.Millisecond, Fault: 20 * time.Second, Recovery: 100 * time.Millisecond,
		Faults: []chaos.Fault{{Name: "store down", Effect: chaos.Error(errors.New("connection refused")), Rate: 1}},
		Steady: []lab.Probe{lab.Availability(0.99)},
		Abort:  []lab.Probe{lab.Availability(0.9)},
	}
	r, err := e.Run(context.Background())
	fmt.Println(r.Verdict, err)
	// Output:
	// rolled back
	// aborted <nil>
}

func ExampleExperiment_Check() {
	e := lab.Experiment{
		Name: "e", Hypothesis: "It holds.",
		Load:   lab.Constant(-1),
		System: func(*lab.World) (lab.Call, error) { return nil, nil },
		Fault:  time.Minute,
		Steady: []lab.Probe{lab.Availability(1)},
	}
	fmt.Println(e.Check())
	// Output:
	// lab: Experiment.Load, step 1, must have a rate from 0 to 1,000,000, got -1
	// lab: Experiment.Baseline must be > 0, got 0s
	// lab: Experiment.Steady[0] must have a bound above 0 and below 1, since no number of requests shows more, got 1
}

// What an experiment of a fleet of nodes says.
func ExampleExperiment() {
	nodes := []string{"a", "b", "c"}
	e := lab.Experiment{
		Name:       "a-node-hangs",
		Hypothesis: "99.9 % of the requests are answered within 300 ms while one of three nodes hangs, with 1.1 attempts each.",
		Load:       lab.Poisson(200),
		System: func(w *lab.World) (lab.Call, error) {
			return func(ctx context.Context, r lab.Request) error {
				node := nodes[r.N%3] // through policies, in truth
				return w.Chaos().At(node).Do(ctx, func(context.Context) error { return nil })
			}, nil
		},
		Warmup: 10 * time.Second, Baseline: 30 * time.Second, Fault: time.Minute, Recovery: time.Minute,
		Faults: []chaos.Fault{{Name: "a hangs", Effect: chaos.Hang(), Keys: []string{"a"}, Rate: 1, Until: 30 * time.Second}},
		Steady: []lab.Probe{
			lab.Availability(0.9995).Worst(0.999),
			lab.Latency(0.99, 300*time.Millisecond),
			lab.Amplification(1.1),
			lab.RecoversWithin(5 * time.Second),
		},
	}
	fmt.Println(e.Check())
	// Output: <nil>
}

func ExampleLoad_Surge() {
	fmt.Println(lab.Constant(200).Surge(2, 30*time.Second))
	// Output: 200/s, × 2 in the first 30s of the fault
}

func ExampleSteps() {
	fmt.Println(lab.Steps(lab.Step{For: time.Minute, RPS: 100}, lab.Step{For: time.Minute, RPS: 400}, lab.Step{RPS: 100}))
	// Output: 100/s for 1m0s, 400/s for 1m0s, 100/s
}

// A service that lets experiments touch one in a hundred of its test requests, once an
// hour.
func ExampleNewContinuous() {
	type testerKey struct{}
	traffic := lab.MustNewTraffic(lab.TrafficConfig{
		Share:  0.01,
		Filter: func(ctx context.Context) bool { return ctx.Value(testerKey{}) != nil },
	})
	// In the service: traffic outermost, traffic.Chaos() around the dependency.
	handle := steady.Chain(traffic, retry.MustNew(retry.Config{Hook: traffic.Hook()}), traffic.Chaos())

	again, err := lab.NewContinuous(lab.ContinuousConfig{
		Every: time.Hour,
		Experiment: lab.Experiment{
			Name:       "hourly",
			Hypothesis: "Nobody notices when one in ten calls of the store fails.",
			Load:       traffic.Load(),
			Baseline:   5 * time.Minute, Fault: 5 * time.Minute, Recovery: time.Minute,
			Faults: []chaos.Fault{{Name: "store fails", Effect: chaos.Error(nil), Rate: 0.1}},
			Steady: []lab.Probe{lab.Availability(0.99)},
			Abort:  []lab.Probe{lab.Availability(0.97)},
		},
		Report: func(ctx context.Context, r lab.Report) { fmt.Println(r.Verdict, r.Reasons) },
	})
	fmt.Println(err)

	ctx, stop := context.WithCancel(context.Background())
	stop() // with the service
	fmt.Println(again.Run(ctx))
	fmt.Println(handle.Do(context.Background(), func(context.Context) error { return nil }))
	// Output:
	// <nil>
	// context canceled
	// <nil>
}
