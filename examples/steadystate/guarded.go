package main

import (
	"context"
	"net/http"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/operation"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

const (
	// totalLimit is how long a caller waits for an answer, of either client.
	totalLimit = time.Second

	// attemptLimit is far above the slowest healthy call, and three of it with the
	// delays between them fit into totalLimit. If they did not, the third attempt
	// would be one on paper only.
	attemptLimit = 300 * time.Millisecond

	attempts = 3
)

// A guarded client calls one of several equal nodes. Outermost first:
//
//	operation       what callers get, for those who watch
//	total timeout   no caller waits longer
//	bulkhead        no failure of the nodes piles up calls without bound
//	retry           a failed attempt is made up for, on a budget
//	breaker         each attempt picks a node that works and was not tried yet
//	attempt timeout a node that hangs costs one attempt, not the call
//	chaos           counts the attempts, and is where faults could be injected
type guarded struct {
	nodes   []string
	around  steady.Policy  // what is around all attempts of a call
	breaker *breaker.Group // one breaker for each node
	attempt *timeout.Timeout
	chaos   *chaos.Injector
	client  *http.Client
}

// hooks hear of the policies. Both may be nil.
type hooks struct {
	lab   steady.Hook // counts what is refused
	watch steady.Hook // hears of everything
}

func (h hooks) both() steady.Hook { return steady.Hooks(h.lab, h.watch) }

// newGuarded returns a client for nodes that is made for rate calls a second.
func newGuarded(nodes []string, rate float64, client *http.Client, inject *chaos.Injector, hook hooks) *guarded {
	return &guarded{
		nodes: nodes,
		around: steady.Chain(
			operation.MustNew(operation.Config{Name: "guarded", Hook: hook.watch}),
			timeout.MustNew(timeout.Config{Name: "total", Limit: totalLimit, Hook: hook.watch}),
			bulkhead.MustNew(bulkhead.Config{
				Name: "calls",
				// Little's law: rate times time is how many are in flight. With the limit
				// of an attempt as that time there is room for every call to lose one.
				Limit: max(10, int(rate*attemptLimit.Seconds())),
				Hook:  hook.both(),
			}),
			retry.MustNew(retry.Config{
				Name:     "calls",
				Attempts: attempts,
				// The next attempt goes to another node, which needs no time to recover
				// from this one. The little that is left keeps retries out of step.
				Delay: 10 * time.Millisecond,
				Hook:  hook.watch,
			}),
		),
		breaker: breaker.MustNewGroup(breaker.GroupConfig{
			Config: breaker.Config{
				Name: "nodes",
				// Shorter than the defaults, because here a probe costs a caller one retry
				// and nothing more. A node that is well again is soon back in use, and while
				// it is not it takes the place of one that fails: only 30 % may be out.
				OpenFor:    time.Second,
				MaxOpenFor: 2 * time.Second,
				Hook:       hook.both(),
			},
			Peers: &breaker.Peers{}, // equals: open a node only while the others do better
		}),
		attempt: timeout.MustNew(timeout.Config{Name: "attempt", Limit: attemptLimit, Hook: hook.watch}),
		chaos:   inject,
		client:  client,
	}
}

// get makes one call.
func (g *guarded) get(ctx context.Context) error {
	tried := make([]string, 0, attempts) // by this call: its attempts come one after the other
	return g.around.Do(ctx, func(ctx context.Context) error {
		node, permit, err := g.breaker.Pick(ctx, g.nodes, tried)
		if err != nil {
			return err
		}
		tried = append(tried, node)
		return permit.Do(ctx, func(ctx context.Context) error {
			return g.attempt.Do(ctx, func(ctx context.Context) error {
				return g.chaos.At(node).Do(ctx, func(ctx context.Context) error {
					return httpGet(ctx, g.client, node)
				})
			})
		})
	})
}

// breakers returns how many of the breakers are in which state.
func (g *guarded) breakers() map[breaker.State]int {
	count := make(map[breaker.State]int)
	for _, node := range g.nodes {
		count[g.breaker.Get(node).State()]++
	}
	return count
}
