package lab

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/check"
)

// TrafficConfig is the configuration of a [Traffic]. Share is required.
type TrafficConfig struct {
	// Share of the requests that an experiment may touch, above 0, to 1, all. There is no
	// default: it is how much may go wrong. Which they are is drawn for each request.
	Share float64

	// Filter tells which requests an experiment may touch at all, before the share is
	// taken: those of one tenant, or of testers. It may be called by several goroutines
	// at once. nil means any.
	Filter func(context.Context) bool
}

// A Traffic lets experiments run on real requests, of which it is the scope: it is
// built into a service once, and its [Traffic.Load] is that of an [Experiment]. While
// that runs, the requests in scope are its requests: they are measured, and its
// faults are injected into them alone. All others, and all of them while nothing runs,
// pass untouched, at the price of one atomic load in each of its two places.
//
// Such an experiment has no Control, since a real request comes but once. Its System,
// which may be nil, registers steps, rollbacks and gauges; the Call that it returns is
// not used. Requests are never cancelled by the experiment, nor refused: those above
// MaxInFlight are not in scope. A request of which the answer to a user depends may fail
// by a fault: choose Share and Abort so that this can be afforded.
//
// One experiment at a time runs on a Traffic. It may be used by several goroutines at
// once, and needs no closing.
type Traffic struct {
	share  float64
	filter func(context.Context) bool
	arm    atomic.Pointer[arm] // of the experiment that runs
}

// NewTraffic returns a traffic, or an error that names every fault of c.
func NewTraffic(c TrafficConfig) (*Traffic, error) {
	f := check.Config("lab: TrafficConfig")
	f.Require(c.Share > 0 && c.Share <= 1, "Share", "be above 0 and at most 1", c.Share)
	if err := f.Err(); err != nil {
		return nil, err
	}
	return &Traffic{share: c.Share, filter: c.Filter}, nil
}

// MustNewTraffic is like [NewTraffic] but panics on an error.
func MustNewTraffic(c TrafficConfig) *Traffic { return check.Must(NewTraffic(c)) }

// Load returns the load of an experiment that is to run on these requests.
func (t *Traffic) Load() Load { return Load{live: t} }

// String returns the scope in a few words.
func (t *Traffic) String() string {
	s := percent(t.share) + " of real requests"
	if t.filter != nil {
		s += " that pass a filter"
	}
	return s
}

// Do handles one request. Put it outermost. It is a [steady.Policy], and changes
// nothing about call but what its context carries.
func (t *Traffic) Do(ctx context.Context, call func(context.Context) error) error {
	a := t.arm.Load()
	if a == nil || t.filter != nil && !t.filter(ctx) || steady.Random(ctx, "lab.traffic", 0) >= t.share {
		return call(ctx)
	}
	r := a.take(ctx)
	if r == nil {
		return call(ctx)
	}
	defer a.leave(r)
	err := call(steady.ContextWithSource(r, r))
	r.returned = true
	a.close(r, err)
	return err
}

// Chaos is where faults are injected. Put it innermost, around what may fail.
func (t *Traffic) Chaos() steady.Policy { return trafficChaos{t: t} }

// At is Chaos for calls that go to key, such as a node.
func (t *Traffic) At(key string) steady.Policy { return trafficChaos{t: t, key: key, keyed: true} }

// Hook counts the calls that policies refused, in the experiment that runs.
func (t *Traffic) Hook() steady.Hook {
	return steady.HookFunc(func(ctx context.Context, e steady.Event) {
		if r := requestOf(ctx); r != nil {
			r.arm.onPolicy(ctx, e)
		}
	})
}

// begin makes the requests those of a. It reports false if they are another's.
func (t *Traffic) begin(a *arm) bool { return t.arm.CompareAndSwap(nil, a) }

// end lets the requests be nobody's again, if they were a's.
func (t *Traffic) end(a *arm) { t.arm.CompareAndSwap(a, nil) }

// take makes a real request one of the arm's, or returns nil if that has enough, or
// makes no more.
func (a *arm) take(ctx context.Context) *request {
	if a.run.now() >= a.run.end(inRecovery) {
		return nil
	}
	if a.inFlight.Add(1) > int64(a.run.maxInFlight) {
		a.inFlight.Add(-1)
		return nil
	}
	a.under.add()
	r := &request{Context: ctx, arm: a}
	r.n, r.due, r.phase, r.record = a.openNow()
	return r
}

// leave is deferred around a real request. A panic goes on.
func (a *arm) leave(r *request) {
	if !r.returned {
		a.close(r, steady.ErrNoReturn)
	}
	a.inFlight.Add(-1)
	a.under.done()
}

// trafficChaos injects the faults of the experiment that runs into its requests.
type trafficChaos struct {
	t     *Traffic
	key   string
	keyed bool
}

func (c trafficChaos) Do(ctx context.Context, call func(context.Context) error) error {
	a := c.t.arm.Load()
	if a == nil {
		return call(ctx)
	}
	if r := requestOf(ctx); r == nil || r.arm != a {
		return call(ctx)
	}
	if c.keyed {
		return a.world.injector.At(c.key).Do(ctx, call)
	}
	return a.world.injector.Do(ctx, call)
}

// errBusy is the error of a run on traffic that another run has.
var errBusy = errors.New("lab: another experiment runs on the same traffic")
