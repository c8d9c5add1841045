// Package chaos injects faults, on purpose and under control, to find out whether a
// system keeps its promises while parts of it fail.
package chaos

import (
	"context"
	"time"

	"github.com/steady-go/steady"
)

// Config is the configuration of an [Injector].
type Config struct {
	// Name tells injectors apart in events and errors. It may be empty.
	Name string

	// Faults are what is injected while the injector is armed. Each draws by itself, in
	// this order.
	Faults []Fault

	// Seed is where all draws begin, but for calls whose context carries a source.
	Seed uint64

	// Key tells where a call goes: to which node, tenant or shard. nil means nowhere
	// in particular. See also [Injector.At].
	Key func(context.Context) string

	// Hook hears of every call, and of every injection. nil means nobody.
	Hook steady.Hook
}

// A Fault is one way in which calls go wrong, and which calls.
type Fault struct {
	Name   string // in events, errors and counts; required, and unique in a Config
	Effect Effect // what happens; required

	Rate float64                    // share of the calls, from 0, none, to 1, all
	Keys []string                   // only calls with one of these keys; empty: any
	When func(context.Context) bool // only calls for which it holds; nil: all

	From  time.Duration // since arming
	Until time.Duration // since arming; 0: the end
	Every time.Duration // the window comes again, counted from beginning to beginning; 0: once
	Ramp  time.Duration // in which the rate rises from 0 to Rate, at the window's beginning
	Max   int           // injections since arming, at most; 0: as many as it comes to
}

// An Effect is what a fault does to a call.
type Effect struct{}

// An Injector injects faults. It is a [steady.Policy], made by [New].
type Injector struct{}
