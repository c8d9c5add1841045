// Package breaker is a circuit breaker: it stops calling what keeps failing, and
// finds out with a few calls when it works again.
//
// A breaker is closed while calls go well. When too large a share of the calls in
// a sliding window has failed it opens, and refuses calls without starting them
// for a while. Then it is half-open: it admits a few probes, and closes or opens
// again by how they end. The pattern is that of Michael Nygard, Release It!, 2nd
// edition (2018), chapter 5.
//
// Use one breaker for each thing that fails on its own: a [Breaker] for a
// dependency, a [Group] for its nodes, shards or tenants. Put it inside a retry
// and outside the timeout of one attempt, so that it counts each attempt and a
// timeout counts as a failure.
package breaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/chain"
	"github.com/steady-go/steady/internal/check"
	"github.com/steady-go/steady/internal/report"
)

// Off turns off the field of a [Config] that says that it can be.
const Off = -1

// Config is the configuration of a [Breaker]. Its zero value is a good default.
type Config struct {
	// Name tells breakers apart in events and errors. It may be empty.
	Name string

	// FailureRatio is the share of the calls in Window, above 0 and up to 1, whose
	// failure opens the breaker. It is compared exactly, without rounding. After a
	// healthy stretch the good calls in Window must first be outweighed: where all calls
	// fail at once, ConsecutiveFailures opens it sooner. 0 means 0.5; Off means that
	// the ratio never opens it, and then ConsecutiveFailures or SlowAfter must.
	FailureRatio float64

	// MinCalls is how many calls Window must hold before FailureRatio is looked at,
	// so that one failure at night is not 100 %. 0 means 20.
	MinCalls int

	// Window is the time over which calls are counted, in ten steps: a call counts
	// for between 0.9 and 1 Window after its end. Between 1ms and 1h. 0 means 30s.
	Window time.Duration

	// ConsecutiveFailures is how many failures in a row, with no Window between two of
	// them, open the breaker, whatever the ratio. 0 means that a row of failures does not, except in a Group with
	// Peers, where it means 5; there, Off turns it off.
	ConsecutiveFailures int

	// SlowAfter is how long a call runs before it counts as slow, whether it then
	// succeeds or fails. A call that is still under way counts too, from at most an
	// eighth later on, so that hanging calls open the breaker before they end. One
	// whose end is ignored counts no more then: bound calls by a timeout further in.
	// 0 means that no call is slow.
	SlowAfter time.Duration

	// SlowRatio is the share of slow calls, above 0 and up to 1, that opens the
	// breaker, with MinCalls and Window as for FailureRatio. A probe that is slow
	// counts as failed. It must be left out without SlowAfter. 0 means 0.5.
	SlowRatio float64

	// HangAfter is how long a call must have run for the caller's passing deadline
	// to count as a failure; see [steady.Classifier]. 0 means 1s.
	HangAfter time.Duration

	// OpenFor is how long the breaker stays open before it probes. Each time that
	// its probes fail, it stays open twice as long as before, up to MaxOpenFor; when it
	// has been closed for a Window, the next time is OpenFor again. Each time is drawn from
	// ±20 % around that value, so that the instances of a service do not probe in
	// step. Between 1ms and 24h. 0 means 5s.
	OpenFor time.Duration

	// MaxOpenFor bounds the doubling of OpenFor, before the ±20 %. At most 24h. 0 means
	// 60s, or OpenFor if that is longer.
	MaxOpenFor time.Duration

	// Probes is how many calls a half-open breaker admits to decide whether to
	// close. It opens again when FailureRatio of them (0.5 if that is Off) have
	// failed, and closes when that can no longer happen. A probe that has not ended
	// after the time for which the breaker was open, or after HangAfter if that is
	// longer, counts as failed. 0 means 3.
	Probes int

	// Ramp is how long the breaker, when its probes have succeeded, takes to admit all
	// calls again: the share that it admits at random grows from a tenth to all, so
	// that what has just come back is not met by everybody at once. 0 means 3s; Off
	// admits all at once.
	Ramp time.Duration

	// DryRun admits every call, and reports what would have been refused as
	// [steady.KindDryRun]. States change as they would have, and calls that would
	// have been refused are not counted. To try out a configuration on live traffic.
	DryRun bool

	// Classify judges errors; see [steady.Classifier]. nil means that all are
	// failures that its other rules do not excuse.
	Classify func(error) steady.Outcome

	// Hook hears of every call, rejection and change of state. nil means nobody.
	Hook steady.Hook
}

// longest bounds open times, so that a clock that jumps can be told from one that
// goes on.
const longest = 24 * time.Hour

// withDefaults returns c with its zero fields filled in, or all its faults.
func (c Config) withDefaults(of string) (Config, error) {
	c.FailureRatio = cmp.Or(c.FailureRatio, 0.5)
	c.MinCalls = cmp.Or(c.MinCalls, 20)
	c.Window = cmp.Or(c.Window, 30*time.Second)
	c.HangAfter = cmp.Or(c.HangAfter, steady.HangAfter)
	c.OpenFor = cmp.Or(c.OpenFor, 5*time.Second)
	c.MaxOpenFor = cmp.Or(c.MaxOpenFor, max(60*time.Second, c.OpenFor))
	c.Probes = cmp.Or(c.Probes, 3)
	c.Ramp = cmp.Or(c.Ramp, 3*time.Second)

	f := check.Config(of)
	f.Require(c.FailureRatio == Off || c.FailureRatio > 0 && c.FailureRatio <= 1, "FailureRatio", "be above 0 and at most 1, or Off", c.FailureRatio)
	f.Require(c.MinCalls >= 1 && c.MinCalls <= math.MaxInt32, "MinCalls", "be between 0 and 2147483647", c.MinCalls)
	f.Require(c.Window >= time.Millisecond && c.Window <= time.Hour, "Window", "be between 1ms and 1h, or 0", c.Window)
	f.Require(c.ConsecutiveFailures >= 0 || c.ConsecutiveFailures == Off, "ConsecutiveFailures", "be >= 0, or Off", c.ConsecutiveFailures)
	f.Require(c.FailureRatio != Off || c.ConsecutiveFailures > 0 || c.SlowAfter != 0, "ConsecutiveFailures", "be set when FailureRatio is Off and SlowAfter is 0, or nothing opens the breaker", c.ConsecutiveFailures)
	f.Require(c.SlowAfter >= 0, "SlowAfter", "be >= 0", c.SlowAfter)
	f.Require(c.SlowRatio >= 0 && c.SlowRatio <= 1, "SlowRatio", "be above 0 and at most 1, or 0", c.SlowRatio)
	f.Require(c.SlowRatio == 0 || c.SlowAfter != 0, "SlowRatio", "be 0 without SlowAfter", c.SlowRatio)
	f.Require(c.HangAfter > 0, "HangAfter", "be >= 0", c.HangAfter)
	f.Require(c.OpenFor >= time.Millisecond && c.OpenFor <= longest, "OpenFor", "be between 1ms and 24h, or 0", c.OpenFor)
	f.Require(c.MaxOpenFor >= c.OpenFor && c.MaxOpenFor <= longest, "MaxOpenFor", fmt.Sprintf("be between OpenFor (%v) and 24h, or 0", c.OpenFor), c.MaxOpenFor)
	f.Require(c.Probes >= 1, "Probes", "be >= 0", c.Probes)
	f.Require(c.Ramp > 0 || c.Ramp == Off, "Ramp", "be >= 0, or Off", c.Ramp)
	c.SlowRatio = cmp.Or(c.SlowRatio, 0.5)
	return c, f.Err()
}

// ErrOpen is matched by the rejections of a breaker that is open, forced open,
// half-open with all its probes under way, or closed during the Ramp.
var ErrOpen = errors.New("breaker: open")

// A Breaker is a circuit breaker, a [steady.Policy]. It is made by [New], may be
// used by several goroutines at once, and needs no closing. It never waits.
//
// In tests with [testing/synctest], make it inside the bubble: its clock cannot
// tell one bubble from the next.
type Breaker struct {
	cfg      Config
	verdicts steady.Classifier
	report   report.Reporter
	name     string // what errors call it
	rampKey  string // of the random draws of a ramp
	key      string
	origin   time.Time // clock readings are nanoseconds since then

	dryRun   *atomic.Bool // that of the group for a member
	group    *Group       // nil for a breaker that is on its own
	inFlight atomic.Int64 // calls that came through the group
	recent   *window      // all calls of a member with peers
	lately   *window      // the same, over a tenth of that time

	phase atomic.Pointer[phase]
}

// New returns a closed breaker, or an error that names every fault of c.
func New(c Config) (*Breaker, error) {
	c, err := c.withDefaults("breaker: Config")
	if err != nil {
		return nil, err
	}
	b := newBreaker(c, "", nil)
	b.dryRun.Store(c.DryRun)
	report.Introduce(&b.report, b)
	b.announce()
	return b, nil
}

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Breaker { return check.Must(New(c)) }

// newBreaker makes a breaker from a checked configuration. The caller emits its
// first state when it holds no lock.
func newBreaker(c Config, key string, g *Group) *Breaker {
	b := &Breaker{
		cfg:      c,
		verdicts: steady.Classifier{HangAfter: c.HangAfter, Classify: c.Classify},
		name:     label(c.Name, key),
		rampKey:  "breaker.ramp:" + label(c.Name, key),
		key:      key,
		group:    g,
		dryRun:   new(atomic.Bool),
		origin:   time.Now(),
	}
	if g != nil {
		b.origin, b.dryRun = g.origin, &g.dryRun
		if g.peers != nil {
			b.recent = newWindow(c.Window, 0) // in step with that of the group
			b.lately = newWindow(c.Window/steps, 0)
		}
	}
	b.report.Init(c.Hook, "breaker", c.Name, key)
	if g != nil {
		b.report.MemberOf(&g.report)
	}
	b.phase.Store(b.closed(b.now(), 0, 0))
	return b
}

// label is what errors call a breaker.
func label(name, key string) string {
	switch {
	case key == "":
		return name
	case name == "":
		return key
	}
	return name + "/" + key
}

// Do runs call unless the breaker refuses it, and returns its error untouched. A
// refusal is a [steady.Rejection] that matches [ErrOpen].
func (b *Breaker) Do(ctx context.Context, call func(context.Context) error) (err error) {
	t, err := b.enter(ctx)
	if err != nil {
		return err
	}
	returned := false
	defer func() { b.leave(ctx, t, returned, err) }()
	err = call(ctx)
	returned = true
	return err
}

// Link is how [steady.Chain] runs a Breaker without allocating; it is of no other use.
func (b *Breaker) Link() chain.Link { return chain.Link{Of: b, Do: b.doNext} }

func (b *Breaker) doNext(ctx context.Context, next chain.Next) error { return b.Do(ctx, next.Do) }

// A ticket is an admitted call.
type ticket struct {
	phase   *phase        // the phase that admitted it, where its end is booked; nil if nowhere
	probe   uint64        // its lease if it is a probe
	started int64         // when it started, or notRead if nobody will want to know
	cohort  *atomic.Int64 // the calls under way that started when it did, if they are counted
}

const notRead = math.MinInt64

// enter admits a call or returns why not. An admitted call must leave.
func (b *Breaker) enter(ctx context.Context) (ticket, error) {
	if ctx.Err() != nil {
		return ticket{}, b.report.ContextDone(ctx, 0)
	}
	t, refused := b.admit(ctx)
	if refused != nil {
		return ticket{}, b.report.Reject(ctx, refused.reason, 0, refused)
	}
	return t, nil
}

// admit admits a call or returns the rejection to give it, which it does not
// report.
func (b *Breaker) admit(ctx context.Context) (ticket, *rejection) {
	if p := b.phase.Load(); p.free.Load() {
		t := ticket{phase: p, started: notRead}
		if _, mayHang := ctx.Deadline(); mayHang || b.report.On() {
			t.started = b.now()
		}
		return t, nil
	}
	t, refused := b.decide(ctx)
	if refused != nil && b.dryRun.Load() {
		b.report.Emit(ctx, steady.Event{Kind: steady.KindDryRun, Reason: refused.reason, Err: refused})
		return ticket{started: b.now()}, nil
	}
	return t, refused
}

// leave judges the end of an admitted call and finishes it.
func (b *Breaker) leave(ctx context.Context, t ticket, returned bool, err error) {
	switch {
	case !returned:
		b.finish(ctx, t, b.now(), steady.Failure, steady.ErrNoReturn)
	case err == nil:
		b.finish(ctx, t, b.now(), steady.Success, nil)
	default:
		b.judge(ctx, t, err)
	}
}

// judge finishes a call that failed. Classify is the user's: it may panic, and it
// may take its time.
func (b *Breaker) judge(ctx context.Context, t ticket, err error) {
	outcome := steady.Failure
	defer func() { b.finish(ctx, t, b.now(), outcome, err) }()
	outcome = b.verdicts.Outcome(ctx, err, t.ran(b.now()))
}

// finish books the end of an admitted call where it belongs and reports it.
func (b *Breaker) finish(ctx context.Context, t ticket, now int64, outcome steady.Outcome, err error) {
	if t.cohort != nil {
		t.cohort.Add(-1)
	}
	if t.phase != nil {
		b.book(ctx, t, now, outcome)
	}
	if b.report.On() {
		b.report.Emit(ctx, steady.Event{Kind: steady.KindDone, Outcome: outcome, Duration: t.ran(now), Err: err})
	}
}

// ran is how long the call had run at now, or 0 if its start was not read.
func (t ticket) ran(now int64) time.Duration {
	if t.started == notRead {
		return 0
	}
	return time.Duration(now - t.started)
}

// now is the monotonic time since the breaker was made.
func (b *Breaker) now() int64 { return int64(time.Since(b.origin)) }

// State returns the present state. A breaker whose open time is over is reported
// as [HalfOpen], although only the next call makes it so.
func (b *Breaker) State() State {
	p := b.phase.Load()
	if p.state == Open && p.over(b.now()) {
		return HalfOpen
	}
	return p.state
}

// Stats is what a [Breaker] holds at one moment.
type Stats struct {
	State      State
	Seq        uint64        // number of the present state, as in events
	Calls      int64         // calls in the window that succeeded or failed
	Failures   int64         // those that failed
	Slow       int64         // those that were slow
	Overdue    int64         // calls under way that are slow already
	Probes     int           // probes under way in a half-open breaker
	InFlight   int           // calls under way that came through a group; of other breakers 0
	RetryAfter time.Duration // until an open breaker probes; otherwise 0
	DryRun     bool          // whether it refuses nothing
	HookPanics uint64        // panics of the hook so far
}

// Stats returns the present state and counts. It is cheap, and safe at any time.
func (b *Breaker) Stats() Stats {
	p, now := b.phase.Load(), b.now()
	s := Stats{State: b.State(), Seq: p.seq, InFlight: int(b.inFlight.Load()), DryRun: b.dryRun.Load(), HookPanics: b.report.Panics()}
	if p.window != nil {
		n := p.window.sum(now)
		s.Calls, s.Failures, s.Slow = n.calls, n.failures, n.slow
	}
	if p.underWay != nil {
		s.Overdue = p.underWay.overdue(now)
	}
	if p.trial != nil {
		s.Probes = p.trial.underWay(now)
	}
	if p.state == Open {
		s.RetryAfter, _ = p.rejection.RetryAfter()
	}
	return s
}
