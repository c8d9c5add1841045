package lab

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/check"
)

// ContinuousConfig is the configuration of a [Continuous]. Experiment, Every and
// Report are required.
type ContinuousConfig struct {
	// Experiment is what is run: beside production traffic with a small load of its
	// own, or on a share of it (see [Traffic]). Each run has the next seed.
	Experiment Experiment

	// Every is how long from the beginning of one run to that of the next. It must be
	// longer than the phases together. A run that takes longer all the same is waited
	// for, and the next begins a whole number of Every after the first.
	Every time.Duration

	// Report hears of each run when it has ended. The next begins only after it has
	// returned.
	Report func(context.Context, Report)
}

// A Continuous runs one experiment again and again inside a service, one run at a
// time. It is made by [NewContinuous].
//
// What guards it is the experiment's: its scope, which is its own load or that of its
// [Traffic]; its abort probes, of which it must have one; the kill switch of package
// chaos. While that is on ([chaos.Kill]), runs do nothing, and say so; one that is
// under way ends.
type Continuous struct {
	c       ContinuousConfig
	running atomic.Bool
}

// ErrStopped is matched by the error of a [Continuous] that stops by itself: a run
// was aborted by a probe, or failed. A person should look before things are broken again.
var ErrStopped = errors.New("lab: stopped")

// ErrRunning is the error of [Continuous.Run] while it runs already.
var ErrRunning = errors.New("lab: already running")

// NewContinuous returns a continuous experiment, which does nothing before
// [Continuous.Run], or an error that names every fault of c and of its experiment.
func NewContinuous(c ContinuousConfig) (*Continuous, error) {
	f := check.Config("lab: ContinuousConfig")
	f.Join(c.Experiment.Check())
	f.Require(len(c.Experiment.Abort) > 0, "Experiment.Abort", "hold at least one probe", len(c.Experiment.Abort))
	f.Require(c.Every > c.Experiment.plan().total(), "Every", "be longer than the phases together, "+c.Experiment.plan().total().String(), c.Every)
	f.Require(c.Report != nil, "Report", "be set", nil)
	if err := f.Err(); err != nil {
		return nil, err
	}
	return &Continuous{c: c}, nil
}

// MustNewContinuous is like [NewContinuous] but panics on an error.
func MustNewContinuous(c ContinuousConfig) *Continuous { return check.Must(NewContinuous(c)) }

// Run waits for Every and runs the experiment, again and again, until ctx is done;
// the run that is under way then is aborted and rolled back before Run returns. The first
// comes after a wait too, so that a service which restarts all the time breaks nothing.
//
// The error is that of ctx, or matches [ErrStopped] after a run that a probe aborted
// or whose verdict is Error, or is [ErrRunning].
func (c *Continuous) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer c.running.Store(false)
	begun := time.Now()
	timer := time.NewTimer(c.c.Every)
	defer timer.Stop()
	for e := c.c.Experiment; ; e.Seed++ {
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return steady.ContextErr(ctx)
		}
		r, err := e.Run(ctx)
		c.c.Report(ctx, r)
		switch {
		case err != nil:
			return fmt.Errorf("%w: seed %d: %w", ErrStopped, e.Seed, err)
		case ctx.Err() != nil:
			return steady.ContextErr(ctx)
		case r.Verdict == Aborted && !r.killed():
			return fmt.Errorf("%w: seed %d: %s", ErrStopped, e.Seed, r.Reasons[0])
		}
		late := time.Since(begun) % c.c.Every
		timer.Reset(c.c.Every - late)
	}
}

// killed reports whether the run was aborted by the kill switch alone, after which the
// runs go on: who has thrown it decides until when.
func (r Report) killed() bool { return r.runs[0].killed }
