package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// herd: a process is restarted. Everybody has waited for that moment, and comes at once,
// with all that has gathered in between; and it is cold, with empty caches and pools, and so
// slower than ever. It falls over again, and again. After its outage of October 2021
// Roblox let its players in step by step, over hours, for that reason.
func herd() lab.Experiment {
	const instances = 10 // of the calling service, with policies of their own

	// service returns how to call the process from one of the instances, each of which
	// has what client makes.
	service := func(w *lab.World, client func() steady.Policy) (lab.Call, error) {
		p := newProcess()
		w.Gauge("times that it fell again", p.fellAgain)
		w.Step(0, "kill the process", func(context.Context) error { p.kill(); return nil })
		var clients [instances]steady.Policy
		for i := range clients {
			clients[i] = client()
		}
		return func(ctx context.Context, r lab.Request) error {
			return clients[r.N%instances].Do(ctx, func(ctx context.Context) error {
				return w.Chaos().Do(ctx, func(ctx context.Context) error {
					return p.serve(ctx, work(ctx, "process", 8*time.Millisecond))
				})
			})
		}, nil
	}

	return lab.Experiment{
		Name:       "herd",
		Hypothesis: "A process that was killed, and is up again 3 s later, serves everybody 10 s after that, and does not fall over again.",
		Load:       lab.Poisson(200),
		System: func(w *lab.World) (lab.Call, error) {
			return service(w, func() steady.Policy {
				return steady.Chain(
					retry.MustNew(retry.Config{Name: "process", Delay: 100 * time.Millisecond, Hook: w.Hook()}),
					// While it is down nobody waits for it, so no herd gathers. It is tried out
					// by three calls of each instance, at times that are drawn (±20 %), so that
					// they do not all come at once. And when those went well the share of calls that
					// are let through grows from a tenth to all. The default, over three seconds, would
					// be too fast for a process that takes so long to warm up.
					breaker.MustNew(breaker.Config{
						Name: "process", ConsecutiveFailures: 5, OpenFor: 500 * time.Millisecond, MaxOpenFor: time.Second,
						Ramp: 6 * time.Second, Hook: w.Hook(),
					}),
					timeout.MustNew(timeout.Config{Name: "process", Limit: 500 * time.Millisecond, Hook: w.Hook()}),
				)
			})
		},
		Control: func(w *lab.World) (lab.Call, error) {
			return service(w, func() steady.Policy { return stubborn{} })
		},
		Warmup: time.Second, Baseline: 5 * time.Second, Fault: 3 * time.Second, Recovery: 18 * time.Second,
		Steady: []lab.Probe{
			lab.Availability(0.99).In(lab.PhaseBaseline),
			lab.RecoversWithin(10 * time.Second),
			lab.Gauge("times that it fell again", lab.AtMost(0)).In(lab.PhaseFault, lab.PhaseRecovery),
		},
	}
}

// stubborn tries again every half second, for five seconds, as many clients do that must have
// their connection.
type stubborn struct{}

func (stubborn) Do(ctx context.Context, call func(context.Context) error) error {
	ctx, leave := context.WithTimeout(ctx, 5*time.Second)
	defer leave()
	for {
		err := call(ctx)
		if err == nil || sleep(ctx, 500*time.Millisecond) != nil {
			return err
		}
	}
}

var (
	errRefused = errors.New("connection refused")
	errReset   = errors.New("connection reset")
)

// A process is a server that can fall over. When it has more than a second of work in line
// it runs out of memory. It is up again three seconds later, and cold: its first 120
// requests take ten times as long.
type process struct {
	mu     sync.Mutex
	life   *life     // the present one; guarded by mu
	up     time.Time // when it begins; guarded by mu
	cold   int       // requests until it is warm; guarded by mu
	deaths int       // guarded by mu
}

// A life is what is lost with a process.
type life struct {
	*server
	over chan struct{}
}

func newProcess() *process { return &process{life: newLife()} }

func newLife() *life { return &life{newServer(4), make(chan struct{})} }

func (p *process) serve(ctx context.Context, work time.Duration) error {
	life, done, err := p.admit(work)
	if err != nil {
		return err
	}
	timer := time.NewTimer(done)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-life.over:
		return errReset
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *process) admit(work time.Duration) (l *life, done time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().Before(p.up) {
		return nil, 0, errRefused
	}
	if p.life.wait() > time.Second {
		p.fall()
		return nil, 0, errReset
	}
	if p.cold > 0 {
		p.cold--
		work *= 10
	}
	return p.life, p.life.queue(work), nil
}

// fall requires mu held.
func (p *process) fall() {
	close(p.life.over)
	p.life, p.up, p.cold = newLife(), time.Now().Add(3*time.Second), 120
	p.deaths++
}

func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fall()
}

// fellAgain returns how many times it fell over since it was killed.
func (p *process) fellAgain() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return float64(max(p.deaths-1, 0))
}
