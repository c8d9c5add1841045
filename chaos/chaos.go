// Package chaos injects faults, on purpose and under control, to find out whether a
// system keeps its promises while parts of it fail.
//
// An [Injector] is a policy that stands innermost in a chain, where the dependency
// would fail: it delays calls, fails them, lets them hang, panic or lose their reply.
// [Injector.RoundTripper], [Injector.Listener] and [Injector.Conn] do the same to HTTP
// and to connections. It is no load generator and judges nothing: package chaos/lab runs
// experiments with it.
//
// # Off until armed
//
// A new injector injects nothing. [Injector.Arm] arms it for a time, after which it is
// disarmed by itself, whether anybody calls in between or not. There is no way to arm it
// without an end. Unarmed it costs one atomic load on top of the call, so that it may stay
// where it is in production.
//
// # Off at once
//
// [Injector.Disarm] ends the faults of one injector, [Kill] those of the process: calls that
// hang are released at once, injected delays are cut short, and the next call goes through. The environment
// variable [EnvKill] keeps any injector from ever being armed: set it wherever faults must
// not happen, whatever the code says. A plan that was killed stays dead after [Revive].
//
// In production, guard a fault besides by When (only requests that a tester has marked,
// or the tenants that have agreed), a low Rate, and Max; arm for minutes, watch the
// service level, and disarm when it drops, as chaos/lab does.
//
// # Which calls are hit
//
// The faults of a [Config] are gone through in order, and each draws by itself. Latency
// adds up, and goes on to the next fault. Every other effect is the last: the first of them that is
// drawn ends the walk, so that a fault behind it is injected into its share of those calls only that
// came so far. What the call itself returns has no influence on the draws.
//
// A draw is no matter of chance. If the context carries a [steady.Source], one for
// each request, it depends on the source, the names of injector and fault, the key and the
// attempt: the same requests are hit whatever the order in which they run. Calls of one request
// with the same key and attempt draw the same. Without a source the n-th call that a fault
// applies to is hit or not, depending on the seed, the names and n.
//
// # What the hook hears
//
// Each injection is one [steady.KindInjected] event, at the moment at which the fault
// takes effect, besides the one outcome event of each Do. An injected error matches
// [ErrInjected] and the cause that was asked for; see [InjectedError].
package chaos

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/chain"
	"github.com/steady-go/steady/internal/check"
	"github.com/steady-go/steady/internal/report"
)

// Config is the configuration of an [Injector].
type Config struct {
	// Name tells injectors apart in events and draws. It may be empty.
	Name string

	// Faults are what is injected while the injector is armed. Each draws by itself, in
	// this order. Without any nothing is ever injected.
	Faults []Fault

	// Seed is where all draws begin, but for calls whose context carries a source. The
	// same seed hits the same calls, in later versions of this package too.
	Seed uint64

	// Key tells where a call goes: to which node, tenant or shard. It is asked only
	// while the injector is armed, and may be called by several goroutines at once. nil
	// means nowhere in particular. [Injector.At] comes before it.
	Key func(context.Context) string

	// Hook hears of every call, of every injection, and of arming and disarming: a
	// [steady.KindState] from "disarmed" to "armed" for the time in Delay, and back. The
	// end of a plan's time is told by the first call after it. nil means nobody.
	Hook steady.Hook
}

// An Injector injects faults. It is a [steady.Policy], made by [New], may be used by
// several goroutines at once, and needs no closing: it has no goroutine, and timers only
// in calls that wait.
//
// An injector that is carried into or out of a [testing/synctest] bubble while it is
// armed sees a clock that jumps, and is disarmed by that.
type Injector struct {
	name     string
	hook     steady.Hook
	key      func(context.Context) string
	rules    []rule
	corrupts bool            // one of the rules does
	report   report.Reporter // of the state
	panics   atomic.Uint64   // of the hook, elsewhere
	hanging  atomic.Int64

	// plan is the plan that was armed, or nil. It may be past its end.
	plan atomic.Pointer[plan]

	mu     sync.Mutex
	latest *plan  // the last that was armed; guarded by mu
	seq    uint64 // of states; guarded by mu, with which plan is written too
}

// The names of states, in events.
const (
	disarmed = "disarmed"
	armed    = "armed"
)

var states = []string{disarmed, armed}

// New returns an injector that is not armed, or an error that names every fault of c.
func New(c Config) (*Injector, error) {
	rules, err := rulesOf(c)
	if err != nil {
		return nil, err
	}
	i := &Injector{name: c.Name, hook: c.Hook, key: c.Key, rules: rules}
	for n := range rules {
		i.corrupts = i.corrupts || rules[n].effect.kind == corrupt
	}
	i.report.Init(c.Hook, "chaos", c.Name, "")
	report.Introduce(&i.report, i)
	i.report.Emit(context.Background(), steady.Event{Kind: steady.KindState, To: disarmed})
	return i, nil
}

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Injector { return check.Must(New(c)) }

// Do makes call and returns its error untouched, unless a fault is injected: then it
// may be late, be replaced by an [*InjectedError], hang, panic, or not be made at all. It is
// made once at most, on the caller's goroutine.
//
// An injected delay, and a [Hang], obey ctx: when that is done before call is made, the
// error matches [ErrInjected] and [steady.ContextErr].
func (i *Injector) Do(ctx context.Context, call func(context.Context) error) error {
	if i.plan.Load() == nil && i.hook == nil && ctx.Err() == nil {
		return call(ctx)
	}
	return i.through(passage{ctx: ctx, site: inDo}, call)
}

// Link is how [steady.Chain] runs an Injector without allocating; it is of no other use.
func (i *Injector) Link() chain.Link { return chain.Link{Of: i, Do: i.doNext} }

func (i *Injector) doNext(ctx context.Context, next chain.Next) error { return i.Do(ctx, next.Do) }

// At returns the same injector for calls that go to key. It is cheap, and may be kept.
func (i *Injector) At(key string) steady.Policy { return &keyed{i, key} }

type keyed struct {
	injector *Injector
	key      string
}

func (k *keyed) Do(ctx context.Context, call func(context.Context) error) error {
	if k.injector.plan.Load() == nil && k.injector.hook == nil && ctx.Err() == nil {
		return call(ctx)
	}
	return k.injector.through(passage{ctx: ctx, site: inDo, key: k.key, keyed: true}, call)
}

// Inspect is that of the injector.
func (k *keyed) Inspect() []steady.Status { return k.injector.Inspect() }

func (k *keyed) Link() chain.Link { return chain.Link{Of: k, Do: k.doNext} }

func (k *keyed) doNext(ctx context.Context, next chain.Next) error { return k.Do(ctx, next.Do) }

// Arm lets the injector inject its faults for d from now on, after which it is disarmed by
// itself. If it is armed already it is disarmed first, and begins anew: windows,
// counts and draws start from nothing.
//
// It is an error, and changes nothing, if d is not positive, and one that matches
// [ErrKilled] if chaos has been switched off by [Kill] or [EnvKill].
func (i *Injector) Arm(d time.Duration) error {
	f := check.Config("chaos: Arm")
	f.Require(d > 0, "d", "be > 0", d)
	if err := f.Err(); err != nil {
		return err
	}
	epoch, err := alive()
	if err != nil {
		return err
	}
	p := &plan{
		injector: i, epoch: epoch, start: time.Now(), lasts: d,
		tallies: make([]tally, len(i.rules)),
	}
	i.mu.Lock()
	old := i.plan.Swap(p)
	i.latest = p
	i.seq++
	seq := i.seq
	i.mu.Unlock()
	from := disarmed
	if old != nil {
		old.end()
		from = armed
	}
	i.report.Emit(context.Background(), steady.Event{
		Kind: steady.KindState, From: from, To: armed, Reason: "armed", Delay: d, Seq: seq,
	})
	return nil
}

// Disarm ends all injected faults: calls that hang are released at once, delays are cut
// short, and the next call goes through. It does nothing if the injector is not armed.
func (i *Injector) Disarm() {
	if p := i.plan.Load(); p != nil {
		i.drop(context.Background(), p, "disarmed")
	}
}

// drop disarms the injector if p is still its plan.
func (i *Injector) drop(ctx context.Context, p *plan, reason string) {
	i.mu.Lock()
	dropped := i.plan.CompareAndSwap(p, nil)
	if dropped {
		i.seq++
	}
	seq := i.seq
	i.mu.Unlock()
	p.end()
	if dropped {
		i.report.Emit(ctx, steady.Event{Kind: steady.KindState, From: armed, To: disarmed, Reason: reason, Seq: seq})
	}
}

// current returns the plan that is in force, if there is one, and drops one that is so
// no longer.
func (i *Injector) current(ctx context.Context) *plan {
	p := i.plan.Load()
	if p == nil {
		return nil
	}
	if why := p.over(); why != "" {
		i.drop(ctx, p, why)
		return nil
	}
	return p
}

// emit reports an event about calls that go to key.
func (i *Injector) emit(ctx context.Context, key string, e steady.Event) {
	if i.hook == nil {
		return
	}
	var r report.Reporter
	r.Init(i.hook, "chaos", i.name, key)
	r.Emit(ctx, e)
	i.panics.Add(r.Panics())
}

// Inspect implements [steady.Inspector]. An injector can be disarmed by a switch, not
// armed.
func (i *Injector) Inspect() []steady.Status {
	stats := i.Stats()
	s := i.report.Status(steady.Level{Name: steady.LevelInFlight, Value: float64(stats.Hanging)})
	s.Levels[len(s.Levels)-1].Value = float64(stats.HookPanics)
	s.States, s.State = states, disarmed
	if stats.Armed {
		s.State = armed
	}
	s.Switches = []steady.Switch{{Name: "disarm", Throw: i.Disarm}}
	return []steady.Status{s}
}

// Stats is what an [Injector] has done since it was last armed.
type Stats struct {
	Armed      bool
	Calls      uint64            // that came through Do or a RoundTripper while it was armed
	Injected   map[string]uint64 // injections by the name of the fault; empty before the first arming
	Hanging    int               // calls, and operations on connections, that hang now
	HookPanics uint64            // panics of the hook so far
}

// Stats returns the present counts. They stay after disarming, until the injector is armed again.
func (i *Injector) Stats() Stats {
	i.mu.Lock()
	p := i.latest
	i.mu.Unlock()
	s := Stats{
		Injected: map[string]uint64{}, Hanging: int(i.hanging.Load()),
		HookPanics: i.report.Panics() + i.panics.Load(),
	}
	if p == nil {
		return s
	}
	s.Armed = p.over() == ""
	s.Calls = p.calls.Load()
	for n := range i.rules {
		s.Injected[i.rules[n].name] = p.tallies[n].injected.Load()
	}
	return s
}
