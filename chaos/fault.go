package chaos

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/steady-go/steady/internal/check"
)

// A Fault is one way in which calls go wrong, and which calls. Name and Effect are
// required; so is Rate, since a fault with the zero Rate is never injected.
type Fault struct {
	// Name tells the fault in events, errors, counts and draws. It must be unique in a Config.
	Name string

	// Effect is what happens.
	Effect Effect

	// Rate is the share of the calls, from 0, none, to 1, all. On a connection it is the
	// share of the connections, which draw anew each time the window opens.
	Rate float64

	// Keys leaves alone calls whose key is none of these. Empty means any.
	Keys []string

	// When leaves alone calls for which it does not hold. On connections it gets
	// [context.Background]. It may be called by several goroutines at once. nil means all.
	When func(context.Context) bool

	// From and Until bound the window in which calls are hit, as times since arming: at
	// From they are, at Until they are not any more. Until 0 means until the injector is
	// disarmed.
	From, Until time.Duration

	// Every lets the window come again, counted from beginning to beginning. It must be at
	// least as long as the window, and left out without Until. 0 means once.
	Every time.Duration

	// Ramp is the time from the beginning of the window in which the rate rises evenly from 0 to
	// Rate. It must not be longer than the window. 0 means at once.
	// A connection is judged at its first use in the window, by the rate at that moment.
	Ramp time.Duration

	// Max is how many times the fault is injected since arming, at most, exactly. 0 means no
	// bound.
	Max int
}

// A rule is a Fault that has been checked, and made ready.
type rule struct {
	n                        int // its place
	name                     string
	effect                   Effect
	rate                     float64
	keys                     map[string]bool // nil: any
	when                     func(context.Context) bool
	from, until, every, ramp time.Duration
	most                     uint64

	decide, delay stream // draws
}

// rulesOf checks the faults of c and makes them ready.
func rulesOf(c Config) ([]rule, error) {
	f := check.Config("chaos: Config")
	rules := make([]rule, len(c.Faults))
	names := map[string]int{}
	for n, fault := range c.Faults {
		fault.check(f, n)
		if first, ok := names[fault.Name]; ok && fault.Name != "" {
			f.Require(false, fmt.Sprintf("Faults[%d].Name", n), fmt.Sprintf("differ from that of Faults[%d]", first), fmt.Sprintf("%q", fault.Name))
		} else {
			names[fault.Name] = n
		}
		for before, b := range c.Faults[:n] {
			f.Require(!b.hides(fault), fmt.Sprintf("Faults[%d].Effect", n),
				fmt.Sprintf("be in reach: Faults[%d], %q, ends every call before it", before, b.Name), fault.Effect.kind)
		}
		rules[n] = fault.rule(n, c)
	}
	return rules, f.Err()
}

// check reports what is wrong with the fault, which is the n-th.
func (t Fault) check(f *check.Faults, n int) {
	field := func(name string) string { return fmt.Sprintf("Faults[%d].%s", n, name) }
	f.Require(t.Name != "", field("Name"), "be set", `""`)
	if err := t.Effect.check(); err != nil {
		f.Join(fmt.Errorf("chaos: Config.%s must %w", field("Effect"), err))
	}
	f.Require(t.Rate >= 0 && t.Rate <= 1, field("Rate"), "be between 0 and 1", t.Rate)
	f.Require(t.From >= 0, field("From"), "be >= 0", t.From)
	f.Require(t.Until == 0 || t.Until > t.From, field("Until"), fmt.Sprintf("be 0 or above From, %v", t.From), t.Until)
	window := t.Until - t.From
	switch {
	case t.Until == 0:
		f.Require(t.Every == 0, field("Every"), "be 0 without Until", t.Every)
		f.Require(t.Ramp >= 0, field("Ramp"), "be >= 0", t.Ramp)
	default:
		f.Require(t.Every == 0 || t.Every >= window, field("Every"), fmt.Sprintf("be 0 or at least Until - From, %v", window), t.Every)
		f.Require(t.Ramp >= 0 && t.Ramp <= max(window, 0), field("Ramp"), fmt.Sprintf("be between 0 and Until - From, %v", window), t.Ramp)
	}
	f.Require(t.Max >= 0, field("Max"), "be >= 0", t.Max)
}

// hides reports whether t ends the walk of every call that later would be injected into.
func (t Fault) hides(later Fault) bool {
	ends := t.Effect.kind != 0 && t.Effect.kind != latency
	always := t.Rate == 1 && len(t.Keys) == 0 && t.When == nil && t.From == 0 && t.Until == 0 && t.Ramp == 0 && t.Max == 0
	return ends && always && later.Effect.kind != 0 && later.Effect.kind.sites()&^t.Effect.kind.sites() == 0
}

func (t Fault) rule(n int, c Config) rule {
	r := rule{
		n: n, name: t.Name, effect: t.Effect, rate: t.Rate, when: t.When,
		from: t.From, until: t.Until, every: t.Every, ramp: t.Ramp, most: uint64(max(t.Max, 0)),
		decide: newStream(c.Seed, "chaos", c.Name, t.Name), delay: newStream(c.Seed, "chaos.delay", c.Name, t.Name),
	}
	if t.Max == 0 {
		r.most = math.MaxUint64
	}
	for _, key := range t.Keys {
		if r.keys == nil {
			r.keys = make(map[string]bool, len(t.Keys))
		}
		r.keys[key] = true
	}
	return r
}

// window returns the number of the window that is open at the time, how long it has
// been, and how long it will be; open is false if none is.
func (r *rule) window(at time.Duration) (number int64, since, left time.Duration, open bool) {
	since = at - r.from
	if since < 0 {
		return 0, 0, 0, false
	}
	if r.until == 0 {
		return 0, since, math.MaxInt64, true
	}
	if r.every > 0 {
		number, since = int64(since/r.every), since%r.every
	}
	left = r.until - r.from - since
	return number, since, left, left > 0
}

// share returns the share of calls that are hit at the time.
func (r *rule) share(at time.Duration) float64 {
	_, since, _, open := r.window(at)
	if !open {
		return 0
	}
	if since < r.ramp {
		return r.rate * (float64(since) / float64(r.ramp))
	}
	return r.rate
}

// concerns reports whether the rule may be applied to calls at a site that go to key.
func (r *rule) concerns(s site, key string) bool {
	return r.effect.kind.sites()&s != 0 && (r.keys == nil || r.keys[key])
}
