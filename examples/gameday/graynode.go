package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// grayNode: one of several equal nodes has become slow, by a failing disk or a noisy
// neighbour. It answers, its health check is green and no error is counted anywhere, so
// nobody takes it out; but its clients suffer (Huang et al., Gray Failure: The Achilles'
// Heel of Cloud-Scale Systems, HotOS 2017).
func grayNode() lab.Experiment {
	const (
		patience = time.Second // of the callers
		healthy  = 10 * time.Millisecond
		slower   = 25 // times
	)

	// fleet is five nodes, of which the first is to slow down. It returns their names and
	// how to call one.
	fleet := func(w *lab.World) (names []string, call func(ctx context.Context, node string) error) {
		nodes := map[string]*server{}
		for i := range 5 {
			name := fmt.Sprintf("node %d", i)
			names = append(names, name)
			nodes[name] = newServer(32)
		}
		var gray atomic.Bool
		w.Rollback("replace the disk", func(context.Context) error { gray.Store(false); return nil })
		w.Step(0, "the disk of node 0 fails", func(context.Context) error { gray.Store(true); return nil })
		return names, func(ctx context.Context, node string) error {
			return w.Chaos().At(node).Do(ctx, func(ctx context.Context) error {
				d := work(ctx, node, healthy)
				if node == names[0] && gray.Load() {
					d *= slower
				}
				return nodes[node].serve(ctx, d)
			})
		}
	}

	return lab.Experiment{
		Name:       "graynode",
		Hypothesis: "While one of five nodes is 25 times slower, 99.8 % of the calls are answered, 95 % of them within 60 ms, with 1.05 attempts each.",
		Load:       lab.Poisson(250),
		System: func(w *lab.World) (lab.Call, error) {
			names, call := fleet(w)
			group := breaker.MustNewGroup(breaker.GroupConfig{
				Config: breaker.Config{
					Name: "nodes",
					// Ten times what a healthy node takes is not healthy. One such call in ten, in
					// the last seconds, is enough: no healthy node has any.
					SlowAfter: 10 * healthy,
					SlowRatio: 0.1,
					Window:    5 * time.Second,
					Hook:      w.Hook(),
				},
				Peers: &breaker.Peers{}, // another node can answer instead
			})
			again := retry.MustNew(retry.Config{Name: "nodes", Delay: 10 * time.Millisecond, Hook: w.Hook()})
			attempt := timeout.MustNew(timeout.Config{Name: "nodes", Limit: 250 * time.Millisecond, Hook: w.Hook()})
			return func(ctx context.Context, _ lab.Request) error {
				ctx, leave := context.WithTimeout(ctx, patience)
				defer leave()
				var tried []string
				return again.Do(ctx, func(ctx context.Context) error {
					node, permit, err := group.Pick(ctx, names, tried) // not a slow one, nor one that was tried
					if err != nil {
						return err
					}
					tried = append(tried, node)
					return permit.Do(ctx, func(ctx context.Context) error {
						return attempt.Do(ctx, func(ctx context.Context) error { return call(ctx, node) })
					})
				})
			}, nil
		},
		Control: func(w *lab.World) (lab.Call, error) {
			names, call := fleet(w)
			return func(ctx context.Context, _ lab.Request) error {
				ctx, leave := context.WithTimeout(ctx, patience)
				defer leave()
				return call(ctx, names[int(steady.Random(ctx, "node", 0)*float64(len(names)))])
			}, nil
		},
		Warmup: time.Second, Baseline: 6 * time.Second, Fault: 12 * time.Second, Recovery: 6 * time.Second,
		Steady: []lab.Probe{
			lab.Availability(0.998),
			lab.Latency(0.95, 60*time.Millisecond),
			lab.Amplification(1.05),
		},
	}
}
