package lab

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
)

// build builds the worlds. It reports whether it could.
func (r *run) build() bool {
	live := r.e.Load.live
	for i, b := range []Build{r.e.System, r.e.Control} {
		if b == nil && (live == nil || i > 0) {
			continue
		}
		a := newArm(r, [...]string{"system", "control"}[i])
		injector, err := chaos.New(chaos.Config{
			Name: "lab", Faults: r.e.Faults, Seed: r.e.Seed, Hook: steady.HookFunc(a.onChaos),
		})
		if err != nil {
			r.note(err)
			return false
		}
		a.world = &World{arm: a, ctx: r.worlds, injector: injector}
		r.arms = append(r.arms, a)
		if b == nil {
			continue
		}
		if err := a.build(b); err != nil {
			r.note(fmt.Errorf("lab: building the %s: %w", a.name, err))
			return false
		}
	}
	return true
}

func (a *arm) build(b Build) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &steady.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	if a.call, err = b(a.world); err != nil {
		return err
	}
	if a.call == nil && a.run.e.Load.live == nil {
		return errors.New("there is no call")
	}
	return a.world.seal()
}
