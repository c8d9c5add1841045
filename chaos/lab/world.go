package lab

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
)

// A Build builds what is tested in w, which is of this run alone, and returns how to
// make a request to it. What it starts, it starts with [World.Go]; what must be undone
// it registers with [World.Rollback], before it does it.
//
// It runs on the goroutine of [Experiment.Run], before the warm-up. If it fails or
// panics the verdict is Error, and what it has registered is rolled back.
type Build func(w *World) (Call, error)

// A World is what surrounds one arm of one run: its faults, its chance, its
// clockwork. The system and its control have one each, and share nothing of it. Its
// methods may be used by several goroutines at once.
type World struct {
	arm      *arm
	ctx      context.Context
	injector *chaos.Injector
	goes     group // goroutines of Go, and steps
	doing    group // steps

	mu        sync.Mutex
	built     bool // Build has returned
	steps     []step
	rollbacks []rollback
	gauges    []reading
	faults    []error // what was registered wrongly
}

type step struct {
	at   time.Duration
	name string
	do   func(context.Context) error
}

type rollback struct {
	name string
	undo func(context.Context) error
}

type reading struct {
	name string
	read func() float64
}

// Context ends with the run, when the requests of the recovery phase have been
// answered. It carries the values of the context that Run was given.
func (w *World) Context() context.Context { return w.ctx }

// Chaos injects the experiment's faults. Put it innermost, around what may fail:
// each call through it counts as an attempt, in the warm-up and the baseline too.
// Its draws, like its name and seed, are the same in the system's world and the control's.
func (w *World) Chaos() *chaos.Injector { return w.injector }

// Hook counts the calls that policies refused; give it to those of the system, by
// [steady.Hooks] beside another.
func (w *World) Hook() steady.Hook { return steady.HookFunc(w.arm.onPolicy) }

// Random returns a number in [0, 1) that depends on the run's seed, key and n alone.
// It is the same in the worlds of the system and its control.
func (w *World) Random(key string, n uint64) float64 { return draw(w.arm.run.e.Seed, 0, key, n) }

// Go runs f on a goroutine that the run waits for. f must return when
// [World.Context] ends. If it panics, the run ends with the verdict Error.
func (w *World) Go(f func()) {
	w.goes.add()
	go func() {
		defer w.goes.done()
		defer func() {
			if v := recover(); v != nil {
				err := &steady.PanicError{Value: v, Stack: debug.Stack()}
				w.arm.run.fail(fmt.Errorf("lab: a goroutine of the %s's world: %w", w.arm.name, err))
			}
		}()
		f()
	}()
}

// Step does something at a time from the beginning of the fault phase on, such as
// killing a process. Steps must be registered by the Build. Each runs on a goroutine of
// its own, so one that takes long delays no other; those of one time are begun in the
// order in which they were registered. A step is not done once the faults have ended
// before its time, and the context of one under way ends with them.
//
// A step that fails or panics ends the run with the verdict Error: what was to be
// broken was not.
func (w *World) Step(at time.Duration, name string, do func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault(!w.built, "step %q must be registered while the world is built", name)
	w.fault(at >= 0 && at < w.arm.run.e.Fault, "step %q must be within Fault, got %v", name, at)
	w.fault(do != nil, "step %q must have a func", name)
	if w.built {
		return
	}
	w.steps = append(w.steps, step{at, name, do})
}

// Rollback is run when the faults are over, or the run is, and no step is under way any
// more, which is waited for as long as for a rollback: whatever has happened, and the
// last registered first. The requests go on meanwhile. undo gets a context that ends
// after the experiment's RollbackTimeout, and not with Run's. One that panics does not
// keep the others from being run, nor does one that does not return in time, which is left
// running. Each is run once.
//
// Either, and an error, make the verdict Error: something may still be broken. A
// rollback that is registered after the faults is run at the end of the run.
func (w *World) Rollback(name string, undo func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault(undo != nil, "rollback %q must have a func", name)
	if undo != nil {
		w.rollbacks = append(w.rollbacks, rollback{name, undo})
	}
}

// Gauge is read at the end of each second, for the timeline and for probes. Readings
// that are not finite numbers are left out. It must not block. Gauges must be
// registered by the Build.
func (w *World) Gauge(name string, read func() float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault(!w.built, "gauge %q must be registered while the world is built", name)
	w.fault(read != nil, "gauge %q must have a func", name)
	w.fault(!slices.ContainsFunc(w.gauges, func(g reading) bool { return g.name == name }), "gauge %q must be registered once", name)
	if w.built {
		return
	}
	w.gauges = append(w.gauges, reading{name, read})
}

// fault notes what was registered wrongly unless ok holds, and ends the run if that goes on
// already. It requires mu held.
func (w *World) fault(ok bool, format string, args ...any) {
	if ok {
		return
	}
	err := fmt.Errorf("lab: the %s's world: "+format, append([]any{w.arm.name}, args...)...)
	if w.built {
		w.arm.run.fail(err)
		return
	}
	w.faults = append(w.faults, err)
}

// seal ends the building, and returns what was registered wrongly. Steps of one time
// come a nanosecond apart, which keeps their order.
func (w *World) seal() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.built = true
	slices.SortStableFunc(w.steps, func(a, b step) int { return int(min(max(a.at-b.at, -1), 1)) })
	for i := 1; i < len(w.steps); i++ {
		w.steps[i].at = max(w.steps[i].at, w.steps[i-1].at+1)
	}
	return errors.Join(w.faults...)
}

// readings reads the gauges.
func (w *World) readings() map[string]float64 {
	if len(w.gauges) == 0 {
		return nil
	}
	values := make(map[string]float64, len(w.gauges))
	for _, g := range w.gauges {
		if v, ok := w.read(g); ok {
			values[g.name] = v
		}
	}
	return values
}

func (w *World) read(g reading) (v float64, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			ok = false
			w.arm.run.fail(fmt.Errorf("lab: gauge %q of the %s panicked: %v", g.name, w.arm.name, r))
		}
	}()
	v = g.read()
	return v, !math.IsNaN(v) && !math.IsInf(v, 0)
}

// play does the steps when they are due, until ctx, that of the faults, ends.
func (w *World) play(ctx context.Context, start time.Time) {
	timer := time.NewTimer(forever)
	defer timer.Stop()
	for _, s := range w.steps {
		timer.Reset(time.Until(start.Add(s.at)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		w.doing.add() // before the look at ctx, so that who ends that can wait for the step
		if ctx.Err() != nil {
			w.doing.done()
			return
		}
		w.goes.add()
		go w.do(ctx, s)
	}
}

func (w *World) do(ctx context.Context, s step) {
	defer w.goes.done()
	defer w.doing.done()
	w.arm.mark("step", s.name, nil)
	caught(ctx, s.do, func(err error) {
		if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return
		}
		w.arm.mark("step failed", s.name, err)
		w.arm.run.fail(fmt.Errorf("lab: step %q of the %s: %w", s.name, w.arm.name, err))
	})
}

// undo runs the rollbacks that there are, the last registered first, when no step is
// under way that might break again what they mend. It does not wait for one for longer
// than for a rollback.
func (w *World) undo(ctx context.Context, timeout time.Duration) {
	w.mu.Lock()
	some := len(w.rollbacks) > 0
	w.mu.Unlock()
	if some && w.doing.wait(timeout, nil) > 0 {
		w.arm.run.note(fmt.Errorf("lab: a step of the %s had not returned %v after the faults, and was rolled back while under way", w.arm.name, timeout))
	}
	for {
		w.mu.Lock()
		n := len(w.rollbacks)
		if n == 0 {
			w.mu.Unlock()
			return
		}
		last := w.rollbacks[n-1]
		w.rollbacks = w.rollbacks[:n-1]
		w.mu.Unlock()
		err := within(ctx, timeout, last.undo)
		w.arm.mark("rollback", last.name, err)
		if err != nil {
			w.arm.run.note(fmt.Errorf("lab: rollback %q of the %s: %w", last.name, w.arm.name, err))
		}
	}
}

// lateness is how much later than its context a rollback may return.
const lateness = 100 * time.Millisecond

// within runs f on a goroutine of its own, which it leaves if f does not return in
// time.
func within(ctx context.Context, timeout time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result := make(chan error, 1)
	go caught(ctx, f, func(err error) { result <- err })
	late := time.NewTimer(timeout + lateness)
	defer late.Stop()
	select {
	case err := <-result:
		return err
	case <-late.C:
		return fmt.Errorf("it has not returned within %v, and was left running", timeout)
	}
}

// caught runs f, and then end with its error, also if f panics or ends its goroutine.
func caught(ctx context.Context, f func(context.Context) error, end func(error)) {
	var err error = &steady.PanicError{} // that of who ends the goroutine
	defer func() {
		if v := recover(); v != nil {
			err = &steady.PanicError{Value: v, Stack: debug.Stack()}
		}
		end(err)
	}()
	err = f(ctx)
}
