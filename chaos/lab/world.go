package lab

import (
	"context"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
)

// A World is what surrounds one arm of one run: its faults, its chance, its clockwork.
type World struct{}

// Context ends with the run.
func (w *World) Context() context.Context { panic("not yet") }

// Chaos injects the experiment's faults. Put it innermost, around what may fail:
// each call through it counts as an attempt.
func (w *World) Chaos() *chaos.Injector { panic("not yet") }

// Hook counts what policies report; give it to those of the system.
func (w *World) Hook() steady.Hook { panic("not yet") }

// Random returns a number in [0, 1) that depends on the run's seed, key and n alone.
func (w *World) Random(key string, n uint64) float64 { panic("not yet") }

// Go runs f on a goroutine that the run waits for. f must return when
// [World.Context] ends.
func (w *World) Go(f func()) { panic("not yet") }

// Step does something at a time from the beginning of the fault phase on, such as
// killing a process. It is not done once the experiment has been aborted.
func (w *World) Step(at time.Duration, name string, do func(context.Context) error) { panic("not yet") }

// Rollback is run when the faults are over, or the run is, whatever has happened:
// the last registered first.
func (w *World) Rollback(name string, undo func(context.Context) error) { panic("not yet") }

// Gauge is read each second, for the timeline and for probes.
func (w *World) Gauge(name string, read func() float64) { panic("not yet") }
