package lab

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
)

const (
	// look is how often the abort probes are looked at: four times before the faults
	// must be over.
	look = 250 * time.Millisecond

	// grace is how long requests may still take after the recovery phase, before
	// their context is cancelled: those of its last moments are none the worse.
	grace = 5 * time.Second

	// margin is for how much longer than they are to last the faults are armed: it is
	// the run that ends them, but should it not come to that they end by themselves.
	margin = time.Second

	// patience is how long cancelled requests, and goroutines of the world, are waited
	// for. Those that go on are left running, and reported.
	patience = 10 * time.Second

	// tooLate is how late a request may be started, in real time. Where more than
	// lateShare of them are later than that, the load was not what the experiment says, and
	// latencies are those of the machine.
	tooLate   = 20 * time.Millisecond
	lateShare = 0.01
)

// A run is one run of an experiment.
type run struct {
	e           Experiment
	virtual     bool
	maxInFlight int
	arms        []*arm // the system, and its control if there is one
	worlds      context.Context
	cancel      context.CancelFunc // of worlds
	broken      context.Context    // ends with the faults
	mend        context.CancelFunc // of broken

	begun    time.Time
	building atomic.Int64 // how long that took, after begun

	faultEnd atomic.Int64  // as planned, or when the experiment was aborted
	stop     chan struct{} // closed to end the load
	loaded   chan struct{} // closed when it has ended; nil if it was not begun
	failed   chan struct{} // closed by the first fail
	undoing  sync.WaitGroup

	// Of the goroutine of Run alone:
	watch    watch
	nextLook time.Duration
	readings int    // seconds after which the gauges were read
	aborted  string // why
	killed   bool   // that was by the kill switch
	unbroken []string
	reached  int           // the last phase that was begun
	ended    time.Duration // when the last phase was over

	mu      sync.Mutex
	errs    []error // why the verdict is Error
	failing bool    // failed is closed
}

// Run runs e once, with its seed, and reports. It works in real and in virtual time
// alike: in a synctest bubble (see package chaos/lab/labtest) an hour takes seconds.
// Virtual time is known by the clock: that of a bubble begins in the year 2000, and any
// that stands before 2020, when the Go that this needs did not exist, is taken for one.
// There ctx must have been made in the bubble, as the Context of its testing.T is.
//
// When ctx is done, the faults end at once, the rollbacks are run, which do not see
// that ctx is done, and the verdict is Aborted; so is it when chaos is switched off (see
// [chaos.Kill]) while things are broken. If it is switched off before, nothing is broken,
// and the verdict is Inconclusive.
//
// Requests that are still running five seconds after the recovery phase count as
// failed, and their context is cancelled. Run waits for them and for the goroutines
// of the worlds, but not for longer than ten seconds; what is left then is reported with
// the verdict Error.
//
// In real time the load must be on time: if more than 1 % of the requests of an arm
// are started more than 20 ms late, the verdict is Inconclusive, whatever was measured.
//
// The error is that of [Experiment.Check], of a Build, a step, a rollback or a probe: it
// is not nil if and only if the verdict is Error. The report is complete as far as the
// run went.
func (e Experiment) Run(ctx context.Context) (Report, error) {
	r := &run{
		e: e, maxInFlight: cmp.Or(e.MaxInFlight, defaultMaxInFlight), begun: time.Now(),
		stop: make(chan struct{}), failed: make(chan struct{}), nextLook: look,
	}
	r.virtual = r.begun.Year() < 2020
	if err := e.Check(); err != nil {
		r.note(err)
		return r.report()
	}
	r.faultEnd.Store(int64(e.Warmup + e.Baseline + e.Fault))
	r.worlds, r.cancel = context.WithCancel(ctx)
	r.broken, r.mend = context.WithCancel(r.worlds)
	r.do(ctx)
	return r.report()
}

// do takes the run through its phases, as far as it gets. What ends it in good
// order is deferred: a Build may end the goroutine, as t.FailNow does.
func (r *run) do(ctx context.Context) {
	defer r.finish(ctx)
	if chaos.Killed() {
		r.unbroken = append(r.unbroken, switchedOff)
		return
	}
	if !r.build() {
		return
	}
	r.building.Store(int64(time.Since(r.begun)))
	if t := r.e.Load.live; t != nil && !t.begin(r.arms[0]) {
		r.note(errBusy)
		return
	}
	r.arms[0].watched.Store(len(r.e.Abort) > 0)
	r.loaded = make(chan struct{})
	go r.load()
	p := r.e.plan()
	if !r.until(ctx, p.Warmup) {
		return
	}
	r.reached = inBaseline
	if !r.until(ctx, p.Warmup+p.Baseline) || !r.steady() {
		return
	}
	if chaos.Killed() {
		r.unbroken = append(r.unbroken, switchedOff)
		return
	}
	if !r.hurt() {
		return
	}
	r.reached = inFault
	whole := r.until(ctx, r.end(inFault))
	r.repair(ctx)
	if !whole && (ctx.Err() != nil || r.hasFailed()) {
		return
	}
	r.reached = inRecovery
	if r.until(ctx, r.end(inRecovery)) {
		r.ended = r.end(inRecovery)
		r.settle(ctx)
		if ctx.Err() != nil {
			r.abort("cancel", steady.ContextErr(ctx).Error())
		}
	}
}

// settle waits for the last requests: for a load that is late, in real time, to make
// them, and for their answers.
func (r *run) settle(ctx context.Context) {
	deadline := time.Now().Add(grace)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-r.loaded:
	case <-timer.C:
	case <-ctx.Done():
	}
	for _, a := range r.arms {
		a.under.wait(time.Until(deadline), ctx.Done())
	}
}

const switchedOff = "chaos is switched off, so nothing was broken"

// hurt begins to break things. It reports whether it could.
func (r *run) hurt() bool {
	var names []string
	for _, f := range r.e.Faults {
		names = append(names, f.Name)
	}
	for _, a := range r.arms {
		if err := a.world.injector.Arm(r.e.Fault + margin); err != nil {
			r.unbroken = append(r.unbroken, err.Error())
			return false
		}
		a.mark("fault", strings.Join(names, ", "), nil)
	}
	for _, a := range r.arms {
		a.world.goes.add()
		go func() {
			defer a.world.goes.done()
			a.world.play(r.broken, r.at(r.e.Warmup+r.e.Baseline))
		}()
	}
	return true
}

// repair ends all that is broken, and begins to roll back.
func (r *run) repair(ctx context.Context) {
	if now := r.now(); now < r.end(inFault) {
		r.faultEnd.Store(int64(now))
	}
	r.mend()
	r.arms[0].watched.Store(false)
	for _, a := range r.arms {
		a.world.injector.Disarm()
		a.mark("disarm", "", nil)
	}
	r.undo(ctx)
}

// undo rolls both worlds back, each on a goroutine of its own.
func (r *run) undo(ctx context.Context) {
	timeout := cmp.Or(r.e.RollbackTimeout, defaultRollbackTimeout)
	for _, a := range r.arms {
		r.undoing.Go(func() { a.world.undo(context.WithoutCancel(ctx), timeout) })
	}
}

// finish ends whatever is still under way, and counts no further.
func (r *run) finish(ctx context.Context) {
	if t := r.e.Load.live; t != nil && len(r.arms) > 0 {
		t.end(r.arms[0])
	}
	close(r.stop)
	if r.loaded != nil {
		<-r.loaded
	}
	if r.ended == 0 {
		r.ended = r.now()
	}
	r.mend()
	for _, a := range r.arms {
		a.world.injector.Disarm()
	}
	r.undoing.Wait()
	r.undo(ctx)
	r.undoing.Wait()
	for _, a := range r.arms {
		a.stop()
	}
	r.cancel()
	deadline := time.Now().Add(patience)
	for _, a := range r.arms {
		a.left = a.world.goes.wait(time.Until(deadline), nil)
		if r.e.Load.live == nil {
			a.left += a.under.wait(time.Until(deadline), nil)
		}
		if a.left > 0 {
			r.note(fmt.Errorf("lab: %d requests and goroutines of the %s were still running %v after the end, and were left", a.left, a.name, patience))
		}
	}
}

// now returns the time since the beginning of the warm-up.
func (r *run) now() time.Duration {
	return time.Since(r.begun) - time.Duration(r.building.Load())
}

// at returns when t has passed since the beginning of the warm-up.
func (r *run) at(t time.Duration) time.Time {
	return r.begun.Add(time.Duration(r.building.Load()) + t)
}

// end returns when a phase ends.
func (r *run) end(phase int) time.Duration {
	switch phase {
	case inWarmup:
		return r.e.Warmup
	case inBaseline:
		return r.e.Warmup + r.e.Baseline
	case inFault:
		return time.Duration(r.faultEnd.Load())
	}
	return time.Duration(r.faultEnd.Load()) + r.e.Recovery
}

// phase returns the phase at t.
func (r *run) phase(t time.Duration) int {
	for phase := inWarmup; phase < inRecovery; phase++ {
		if t < r.end(phase) {
			return phase
		}
	}
	return inRecovery
}

// until waits until t has passed since the beginning, and looks after the run
// meanwhile. It reports false as soon as the present phase must not go on.
func (r *run) until(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(forever)
	defer timer.Stop()
	for {
		timer.Reset(min(t, r.nextLook) - r.now())
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-r.failed:
		}
		switch now := r.now(); {
		case ctx.Err() != nil:
			r.abort("cancel", steady.ContextErr(ctx).Error())
			return false
		case r.hasFailed():
			return false
		case now >= r.nextLook:
			r.nextLook = (now/look + 1) * look
			if !r.look(now) {
				return false
			}
			if now >= t {
				return true
			}
		case now >= t:
			return true
		}
	}
}

// look reads the gauges, and reports whether things may go on being broken.
func (r *run) look(now time.Duration) bool {
	if n := int(now / time.Second); n > r.readings {
		r.readings = n
		for _, a := range r.arms {
			if n <= len(a.seconds) {
				a.seconds[n-1].gauges = a.world.readings()
			}
		}
	}
	if system := r.arms[0]; system.watched.Load() {
		r.watch.slide(system, now-r.e.abortWindow(), now)
	}
	if r.reached != inFault || now >= r.end(inFault) {
		return true
	}
	if chaos.Killed() || !r.arms[0].world.injector.Stats().Armed { // or it was, and was taken back
		r.killed = true
		r.abort("kill", "chaos was switched off")
		return false
	}
	if len(r.e.Abort) == 0 {
		return true
	}
	window := r.watch.sample(r.arms[0])
	for _, p := range r.e.Abort {
		why, err := r.watch.breach(p, r.arms[0], window)
		if err != nil {
			r.fail(fmt.Errorf("lab: %w", err))
			return false
		}
		if why != "" {
			r.abort("probe", why)
			return false
		}
	}
	return true
}

// abort notes why the run was aborted.
func (r *run) abort(by, why string) {
	r.aborted = by + ": " + why
	for _, a := range r.arms {
		a.mark("abort", r.aborted, nil)
	}
}

// fail notes why the run must end with the verdict Error.
func (r *run) fail(err error) {
	r.note(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.failing {
		r.failing = true
		close(r.failed)
	}
}

func (r *run) hasFailed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failing
}

// note notes why the verdict is Error, and lets the run go on.
func (r *run) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}
