package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/idempotency"
)

// An op is one call of a store for one key. Leases do not lapse in these histories: extensions by 0 end them.
type op struct {
	method string // Begin, Extend, Finish or Release
	token  string
	print  string
	refuse bool
}

// A result is what an op returned.
type result struct {
	grant idempotency.Grant
	lost  bool
}

// A modelState is that of one key.
type modelState struct {
	print, token, outcome string
	attempt               int
	fence                 uint64
	recovered             bool
	open                  bool // claimed, and the lease has not been ended
	released, done        bool
}

// model is the contract, in other words than those of [idempotency.Record].
var model = porcupine.Model{
	Init: func() any { return modelState{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(modelState), input.(op), output.(result)
		if in.method == "Begin" {
			return stepBegin(s, in, out.grant)
		}
		owner := s.token != "" && s.token == in.token
		switch in.method {
		case "Finish":
			if !owner || s.released {
				return out.lost, s
			}
			if !s.done {
				s.done, s.outcome = true, outcomeOf(in)
			}
		case "Release":
			if !owner || s.done {
				return out.lost, s
			}
			s.released, s.open = !s.recovered, false
		case "Extend":
			if !owner || s.released {
				return out.lost, s
			}
			s.open = false // of one that is done that means nothing
		}
		return !out.lost, s
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %+v", input, output) },
}

func outcomeOf(in op) string { return "outcome of " + in.token }

func stepBegin(s modelState, in op, g idempotency.Grant) (bool, modelState) {
	unclaimed := s.token == ""
	switch {
	case !unclaimed && s.print != in.print:
		return g.Status == idempotency.Mismatch, s
	case s.done:
		return g.Status == idempotency.Done && string(g.Outcome) == s.outcome, s
	case !unclaimed && !s.released && s.token == in.token:
		s.open = true
		return g.Status == idempotency.Acquired && g.Attempt == s.attempt && g.Fence == s.fence && g.Recovered == s.recovered, s
	case s.open:
		return g.Status == idempotency.Busy && g.LeaseLeft > 0, s
	case !unclaimed && !s.released && in.refuse:
		return g.Status == idempotency.Unknown, s
	}
	recovered := !unclaimed && !s.released
	ok := g.Status == idempotency.Acquired && g.Attempt == s.attempt+1 && g.Fence > s.fence && g.Recovered == recovered
	return ok, modelState{print: in.print, token: in.token, attempt: g.Attempt, fence: g.Fence, recovered: g.Recovered, open: true}
}

// How many histories there are, and of how many clients with how many ops each.
const (
	histories      = 40
	historyClients = 5
	historyOps     = 8
)

// testLinearizability has several clients do at once what comes to mind with one key, and looks for an order in which it could have been
// done one after the other.
func testLinearizability(s *suite) {
	stores := make([]idempotency.Store, historyClients)
	for i := range stores {
		stores[i] = s.client()
	}
	var clock atomic.Int64 // of what came before what, which the time in a bubble does not tell
	for n := range histories {
		var mu sync.Mutex
		var history []porcupine.Operation
		var wg sync.WaitGroup
		ready := make(chan struct{})
		for client, store := range stores {
			random := rand.New(rand.NewPCG(uint64(n), uint64(client)))
			wg.Go(func() {
				<-ready
				for range historyOps {
					o := op{
						method: []string{"Begin", "Begin", "Begin", "Extend", "Extend", "Finish", "Release"}[random.IntN(7)],
						token:  full(fmt.Sprint("t", random.IntN(4))), // several clients have the same, as a claim and its repetition
						print:  oneFingerprint,
						refuse: random.IntN(4) == 0,
					}
					if random.IntN(8) == 0 {
						o.print = anotherFingerprint
					}
					called := clock.Add(1)
					r, err := o.do(s, store, key(n))
					returned := clock.Add(1)
					if err != nil {
						s.Errorf("%+v: %v", o, err)
						return
					}
					mu.Lock()
					history = append(history, porcupine.Operation{ClientId: client, Input: o, Call: called, Output: r, Return: returned})
					mu.Unlock()
				}
			})
		}
		close(ready)
		wg.Wait()
		if s.Failed() {
			return
		}
		if !porcupine.CheckOperations(model, history) {
			for _, o := range history {
				s.Logf("%d: %d to %d: %s", o.ClientId, o.Call, o.Return, model.DescribeOperation(o.Input, o.Output))
			}
			require.Fail(s, "history is not linearizable")
		}
	}
}

// do does an op. An error is one that the contract does not know.
func (o op) do(s *suite, store idempotency.Store, key string) (r result, err error) {
	switch o.method {
	case "Begin":
		r.grant, err = store.Begin(s.ctx(), idempotency.Claim{
			Key: key, Token: o.token, Fingerprint: o.print, Lease: long, Keep: 2 * long, RefuseUnknown: o.refuse,
		})
		return r, err
	case "Extend":
		err = store.Extend(s.ctx(), key, o.token, 0)
	case "Finish":
		err = store.Finish(s.ctx(), key, o.token, idempotency.Outcome(outcomeOf(o)), long)
	case "Release":
		err = store.Release(s.ctx(), key, o.token)
	}
	if errors.Is(err, idempotency.ErrLost) {
		return result{lost: true}, nil
	}
	return r, err
}
