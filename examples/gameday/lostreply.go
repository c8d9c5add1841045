package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/retry"
)

// lostReply: the order is placed, and the connection breaks before the answer is through.
// The caller cannot tell that from an order that never arrived, and a retry places it
// again. In July 2013 Twilio charged cards over and over, because what recorded that they
// had been charged had failed (Twilio, Billing Incident Post-Mortem).
//
// A package idempotency of this library is to come. Until then what keeps the keys is a
// map in the model of the store.
func lostReply() lab.Experiment {
	// shop returns how to place an order. keyed says whether all attempts at it carry one key.
	shop := func(w *lab.World, keyed bool) (lab.Call, error) {
		store := &orders{server: newServer(8), done: map[string]bool{}, placed: map[uint64]int{}}
		w.Gauge("orders placed twice", store.twice)
		policies := steady.Chain(
			retry.MustNew(retry.Config{Name: "orders", Delay: 20 * time.Millisecond, Hook: w.Hook()}),
			w.Chaos(),
		)
		return func(ctx context.Context, r lab.Request) error {
			return policies.Do(ctx, func(ctx context.Context) error {
				key := fmt.Sprintf("order %d", r.N) // made once, by the customer's page
				if !keyed {
					key = fmt.Sprintf("order %d, attempt %d", r.N, steady.Attempt(ctx)) // made for each call
				}
				return store.place(ctx, r.N, key)
			})
		}, nil
	}

	return lab.Experiment{
		Name:       "lostreply",
		Hypothesis: "While one reply in twenty is lost, 99 % of the orders are confirmed, and none is placed twice.",
		Load:       lab.Poisson(200),
		System:     func(w *lab.World) (lab.Call, error) { return shop(w, true) },
		Control:    func(w *lab.World) (lab.Call, error) { return shop(w, false) },
		Warmup:     time.Second, Baseline: 5 * time.Second, Fault: 10 * time.Second, Recovery: 5 * time.Second,
		Faults: []chaos.Fault{{Name: "reply lost", Effect: chaos.LoseReply(errors.New("connection reset")), Rate: 0.05}},
		Steady: []lab.Probe{
			lab.Availability(0.99),
			lab.Gauge("orders placed twice", lab.AtMost(0)).In(lab.PhaseBaseline, lab.PhaseFault, lab.PhaseRecovery),
		},
	}
}

// orders is a store that does what carries one key once.
type orders struct {
	server *server

	mu     sync.Mutex
	done   map[string]bool // by key; guarded by mu
	placed map[uint64]int  // how many times each order was placed; guarded by mu
}

func (o *orders) place(ctx context.Context, order uint64, key string) error {
	if err := o.server.serve(ctx, work(ctx, "orders", 10*time.Millisecond)); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done[key] {
		return nil // the answer of the first time
	}
	o.done[key] = true // together with the order, in one transaction, or it is of no use
	o.placed[order]++
	return nil
}

func (o *orders) twice() float64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, times := range o.placed {
		if times > 1 {
			n++
		}
	}
	return float64(n)
}
