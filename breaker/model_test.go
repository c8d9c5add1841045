// Faults that were put in to see this test fail, each found in its first 100 examples but the last,
// which takes up to 200:
//
// Planted: phase.go: book takes b.phase.Load() in place of t.phase → start, Reset, end: Stats.Calls is 1, want 0
// Planted: trial.go: a lease ends at > in place of >= → Stats.Probes is 1 at the end of the lease, want 0
// Planted: phase.go: a lease of from.length without HangAfter → Stats.Probes is 0, want 1
// Planted: phase.go: doublings without the + 1 → "half-open to open for 8ms", want 16ms
// Planted: phase.go: closed(now, 0, …) after probes → refused for 8ms, want 16ms
// Planted: phase.go: a slow probe is a success → "half-open to closed: probes succeeded", want nothing
// Planted: phase.go: n.calls > MinCalls → the call is admitted, want refused for 8ms
// Planted: phase.go: over at > in place of >= → State is open, want half-open
// Planted: underway.go: cohorts with calls that run are dropped → Stats.Overdue is 0, want 1
// Planted: window.go: n < len(older) → Stats.Calls is 0 after 0.9 of the window, want 1
// Planted: permit.go: end is always true → a second "done success"
// Planted: breaker.go: a dry run does not ask → no event dry-run, want one
// Planted: phase.go: trip takes doublings back after > Window in place of >= → open for 16ms, want 8ms
//
// It found that nobody saw calls that hang unless another started after them, and that a breaker that
// was forced closed counted no call of Do as slow unless it had a hook.

package breaker_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
)

// TestBreakerFollowsItsModel drives a breaker and a model of it, which is written
// as the documentation reads, through the same random sequence of starts, ends,
// time steps, forced states and hooks that call back. What they admit, what they
// tell the hook, their State and their Stats must be the same after each action.
func TestBreakerFollowsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m := newMachine(t)
			actions := map[string]func(*rapid.T){
				"":               m.check,
				"start 1":        m.start, // what is numbered is to come more often
				"start 2":        m.start,
				"start 3":        m.start,
				"end 1":          m.end,
				"end 2":          m.end,
				"end a new one":  m.endNew,
				"call 1":         m.call,
				"call 2":         m.call,
				"calls 1":        m.calls,
				"calls 2":        m.calls,
				"calls 3":        m.calls,
				"sleep":          m.sleep,
				"sleep to end 1": m.sleepToEnd,
				"sleep to end 2": m.sleepToEnd,
				"probe":          m.probe,
				"force":          m.force,
				"arm the hook":   m.arm,
				"dry run":        m.dryRun,
			}
			for range 8 { // about 240 actions
				t.Repeat(actions)
			}
		})
	})
}

// A side is what can be done to a breaker and to its model alike. All that is to
// be seen of it goes into its log.
type side interface {
	allow(r request)
	end(nth int, how ending)
	force(s breaker.State)
	look()
	panics()
}

// A request is a call that asks to be admitted.
type request struct {
	draw   float64       // what each draw from its context's source gives
	within time.Duration // its deadline, if not 0
	done   bool          // its context is done
}

// An ending is how a call ends.
type ending int

const (
	succeeds ending = iota
	fails
	forgiven // an error that Classify calls a success
	excused  // an error that Classify ignores
	leaves   // an error after the caller has cancelled
	panics
	givesBack // Cancel
	succeedsInDo
	failsInDo
)

var (
	errForgiven = errors.New("forgiven")
	errExcused  = errors.New("excused")
)

func classify(err error) steady.Outcome {
	switch err {
	case errForgiven:
		return steady.Success
	case errExcused:
		return steady.Ignored
	}
	return steady.Failure
}

func (e ending) err() error {
	switch e {
	case fails, failsInDo, leaves:
		return errBoom
	case forgiven:
		return errForgiven
	case excused:
		return errExcused
	}
	return nil
}

// line is an event in a log.
func line(e steady.Event) string {
	switch e.Kind {
	case steady.KindDone:
		return fmt.Sprintf("done %v after %v", e.Outcome, e.Duration)
	case steady.KindState:
		return fmt.Sprintf("state %d: %s to %s for %v: %s", e.Seq, e.From, e.To, e.Delay, e.Reason)
	}
	return fmt.Sprintf("%v %v %s", e.Kind, e.Outcome, e.Reason)
}

// A reaction is what the hook does, once, when it hears of an event of a kind.
type reaction struct {
	to steady.Kind
	do func(side)
}

// A machine is a breaker and its model.
type machine struct {
	real  *subject
	model *model
}

func newMachine(t *rapid.T) *machine {
	c, failure, slow := drawConfig(t)
	s := &subject{}
	c.Name, c.Classify = "db", classify
	heard := rapid.IntRange(0, 4).Draw(t, "hook") > 0
	if heard {
		c.Hook = s
	}
	m := newModel(c, failure, slow)
	b, err := breaker.New(c)
	require.NoError(t, err)
	s.b = b
	return &machine{real: s, model: m}
}

// A ratio is an exact one; 0/0 is Off.
type ratio struct{ part, whole int64 }

func (r ratio) config() float64 {
	if r == (ratio{}) {
		return breaker.Off
	}
	return float64(r.part) / float64(r.whole)
}

// reached reports whether part of whole is at least r.
func (r ratio) reached(part, whole int64) bool { return part*r.whole >= r.part*whole }

// drawConfig draws a configuration. The ratios are returned in their exact form.
func drawConfig(t *rapid.T) (c breaker.Config, failure, slow ratio) {
	const ms = time.Millisecond
	ratios := []ratio{{1, 2}, {1, 10}, {1, 4}, {1, 3}, {2, 3}, {7, 10}, {1, 1}}
	failure = rapid.SampledFrom(append(ratios, ratio{})).Draw(t, "FailureRatio")
	c.FailureRatio = failure.config()
	if failure == (ratio{1, 2}) && rapid.Bool().Draw(t, "default ratio") {
		c.FailureRatio = 0
	}
	c.MinCalls = rapid.SampledFrom([]int{1, 2, 3, 5, 10, 0}).Draw(t, "MinCalls")
	c.Window = rapid.SampledFrom([]time.Duration{100 * ms, 1000 * ms, 0}).Draw(t, "Window")
	c.ConsecutiveFailures = rapid.SampledFrom([]int{0, breaker.Off, 1, 2, 4, 8}).Draw(t, "ConsecutiveFailures")
	c.SlowAfter = rapid.SampledFrom([]time.Duration{0, 80 * ms, 800 * ms}).Draw(t, "SlowAfter")
	if slow = (ratio{1, 2}); c.SlowAfter > 0 && rapid.Bool().Draw(t, "with SlowRatio") {
		slow = rapid.SampledFrom(ratios).Draw(t, "SlowRatio")
		c.SlowRatio = slow.config()
	}
	if failure == (ratio{}) && c.SlowAfter == 0 {
		c.ConsecutiveFailures = 3
	}
	c.HangAfter = rapid.SampledFrom([]time.Duration{0, 50 * ms, 3000 * ms}).Draw(t, "HangAfter")
	c.OpenFor = rapid.SampledFrom([]time.Duration{10 * ms, 700 * ms, 0}).Draw(t, "OpenFor")
	if n := rapid.SampledFrom([]int{0, 1, 3, 4, 10}).Draw(t, "MaxOpenFor"); n > 0 {
		c.MaxOpenFor = time.Duration(n) * cmp.Or(c.OpenFor, 5000*ms)
	}
	c.Probes = rapid.IntRange(0, 5).Draw(t, "Probes")
	c.Ramp = rapid.SampledFrom([]time.Duration{breaker.Off, 0, 200 * ms}).Draw(t, "Ramp")
	c.DryRun = rapid.IntRange(0, 7).Draw(t, "DryRun") == 7
	return c, failure, slow
}

func drawRequest(t *rapid.T) request {
	return request{
		draw:   rapid.SampledFrom([]float64{0, 0.05, 0.3333, 0.51, 0.87, 0.99999}).Draw(t, "draw"),
		within: rapid.SampledFrom([]time.Duration{0, 0, 0, 5 * time.Millisecond, time.Second}).Draw(t, "within"),
		done:   rapid.IntRange(0, 15).Draw(t, "done") == 15,
	}
}

func drawEnding(t *rapid.T) ending {
	often := []ending{succeeds, fails, succeeds, fails, fails}
	return rapid.SampledFrom(append(often, forgiven, excused, leaves, panics, givesBack, succeedsInDo, failsInDo)).Draw(t, "ending")
}

// both does the same to the model and to the breaker.
func (m *machine) both(do func(side)) {
	do(m.model)
	do(m.real)
}

// check compares the two and forgets what they logged.
func (m *machine) check(t *rapid.T) {
	require.Equal(t, strings.Join(m.model.log, "\n"), strings.Join(m.real.log, "\n"))
	m.model.log, m.real.log = nil, nil
	require.Equal(t, m.model.stats(), m.real.b.Stats())
	require.Equal(t, m.model.stats().State, m.real.b.State())
}

func (m *machine) start(t *rapid.T) {
	r := drawRequest(t)
	m.both(func(s side) { s.allow(r) })
}

// end ends a call: one from long ago, one that has ended already, any.
func (m *machine) end(t *rapid.T) {
	if len(m.model.permits) == 0 {
		t.SkipNow()
	}
	nth := rapid.IntRange(0, len(m.model.permits)-1).Draw(t, "nth")
	how := drawEnding(t)
	m.both(func(s side) { s.end(nth, how) })
}

// endNew ends a call that the present state has admitted.
func (m *machine) endNew(t *rapid.T) {
	how := rapid.SampledFrom([]ending{succeeds, succeeds, fails, excused}).Draw(t, "ending")
	for nth, c := range m.model.permits {
		if c.seq == m.model.seq && !c.ended {
			m.both(func(s side) { s.end(nth, how) })
			return
		}
	}
	t.SkipNow()
}

// call makes one call from its start to its end.
func (m *machine) call(t *rapid.T) {
	r, how := drawRequest(t), drawEnding(t)
	c := m.model.cfg
	takes := rapid.SampledFrom([]time.Duration{
		0, time.Millisecond, c.SlowAfter, c.SlowAfter - 1, c.HangAfter, c.Window, 2 * c.Window,
	}).Draw(t, "takes")
	m.run(r, how, takes)
}

// calls makes a row of short calls that end alike.
func (m *machine) calls(t *rapid.T) {
	r := request{draw: rapid.SampledFrom([]float64{0, 0.51, 0.87}).Draw(t, "draw")}
	how := rapid.SampledFrom([]ending{succeeds, fails}).Draw(t, "ending")
	for range rapid.IntRange(1, 12).Draw(t, "n") {
		m.run(r, how, 0)
	}
}

func (m *machine) run(r request, how ending, takes time.Duration) {
	c := m.model.admit(r)
	m.real.call(r, how, takes)
	if c != nil {
		m.model.finish(c, how)
	}
}

// probe passes an open time and makes the probes after it.
func (m *machine) probe(t *rapid.T) {
	if m.model.state != breaker.Open {
		t.SkipNow()
	}
	time.Sleep(m.model.openFor - m.model.age())
	synctest.Wait()
	how := rapid.SampledFrom([]ending{succeeds, fails}).Draw(t, "ending")
	for range m.model.cfg.Probes {
		m.run(request{}, how, 0)
	}
}

func (m *machine) sleep(t *rapid.T) {
	c := m.model.cfg
	sleep(t, []time.Duration{
		time.Millisecond, 10 * time.Millisecond, c.Window / 10, c.Window * 9 / 10, c.Window, 3 * c.Window,
		c.SlowAfter / 8, c.SlowAfter, c.HangAfter, c.OpenFor / 2,
	})
}

// sleepToEnd passes the time until something is due.
func (m *machine) sleepToEnd(t *rapid.T) {
	var due []time.Duration
	switch c := m.model.cfg; m.model.state {
	case breaker.Open:
		due = append(due, m.model.openFor-m.model.age())
	case breaker.HalfOpen:
		due = append(due, m.model.lease())
	case breaker.Closed:
		due = append(due, c.Window-m.model.age(), c.Ramp-m.model.age(), c.Ramp/3)
	default:
		t.SkipNow()
	}
	sleep(t, due)
}

// sleep passes one of the given times, give or take a nanosecond.
func sleep(t *rapid.T, d []time.Duration) {
	sharp := rapid.SampledFrom([]time.Duration{0, -1, 1}).Draw(t, "sharp")
	time.Sleep(rapid.SampledFrom(d).Draw(t, "sleep") + sharp)
	synctest.Wait() // for the contexts whose deadline this was
}

func (m *machine) force(t *rapid.T) {
	to := drawForced(t)
	m.both(func(s side) { s.force(to) })
}

func drawForced(t *rapid.T) breaker.State {
	return rapid.SampledFrom([]breaker.State{
		breaker.Closed, breaker.Closed, breaker.ForcedOpen, breaker.ForcedClosed, breaker.Disabled,
	}).Draw(t, "state")
}

// dryRun begins a dry run or ends it.
func (m *machine) dryRun(*rapid.T) {
	m.model.cfg.DryRun = !m.model.cfg.DryRun
	m.real.b.SetDryRun(m.model.cfg.DryRun)
}

// arm makes the hook call back.
func (m *machine) arm(t *rapid.T) {
	r := reaction{to: rapid.SampledFrom([]steady.Kind{
		steady.KindState, steady.KindState, steady.KindDone, steady.KindRejected, steady.KindDryRun,
	}).Draw(t, "to")}
	switch rapid.IntRange(0, 5).Draw(t, "reaction") {
	case 0:
		r.do = side.look
	case 1, 2:
		request := drawRequest(t)
		r.do = func(s side) { s.allow(request) }
	case 3:
		nth, how := rapid.IntRange(0, 20).Draw(t, "nth"), drawEnding(t)
		r.do = func(s side) { s.end(nth, how) }
	case 4:
		to := drawForced(t)
		r.do = func(s side) { s.force(to) }
	case 5:
		r.do = side.panics
	}
	m.model.armed, m.real.armed = &r, &r
}

// A subject is a breaker as a side.
type subject struct {
	b       *breaker.Breaker
	permits []permit
	armed   *reaction
	log     []string
}

type permit struct {
	*breaker.Permit
	ctx    context.Context
	cancel context.CancelFunc
}

func (s *subject) On(_ context.Context, e steady.Event) {
	s.log = append(s.log, line(e))
	if r := s.armed; r != nil && r.to == e.Kind {
		s.armed = nil
		r.do(s)
	}
}

func (r request) context() (context.Context, context.CancelFunc) {
	ctx := steady.ContextWithSource(context.Background(), constant(r.draw))
	ctx, cancel := context.WithCancel(ctx)
	if r.within > 0 {
		ctx, cancel = context.WithTimeout(ctx, r.within)
	}
	if r.done {
		cancel()
	}
	return ctx, cancel
}

func (s *subject) admitted(err error) bool {
	if r, ok := steady.AsRejection(err); ok {
		after, known := r.RetryAfter()
		s.log = append(s.log, fmt.Sprintf("refused: %v %v %v", errors.Is(err, breaker.ErrOpen), after, known))
	} else if err != nil {
		s.log = append(s.log, "refused: "+err.Error())
	}
	return err == nil
}

func (s *subject) allow(r request) {
	ctx, cancel := r.context()
	if p, err := s.b.Allow(ctx); s.admitted(err) {
		s.permits = append(s.permits, permit{p, ctx, cancel})
	}
}

func (s *subject) end(nth int, how ending) {
	if nth >= len(s.permits) {
		return
	}
	p := s.permits[nth]
	switch how {
	case givesBack:
		p.Cancel()
	case leaves:
		p.cancel()
		p.Done(how.err())
	case panics:
		defer func() { _ = recover() }()
		_ = p.Do(p.ctx, func(context.Context) error { panic("boom") })
	case succeedsInDo, failsInDo:
		_ = p.Do(p.ctx, func(context.Context) error { return how.err() })
	default:
		p.Done(how.err())
	}
}

func (s *subject) call(r request, how ending, takes time.Duration) {
	ctx, cancel := r.context()
	started := false
	defer func() { _ = recover() }()
	err := s.b.Do(ctx, func(context.Context) error {
		started = true
		time.Sleep(takes)
		synctest.Wait()
		switch how {
		case leaves, givesBack: // there is no giving back
			cancel()
			return errBoom
		case panics:
			panic("boom")
		}
		return how.err()
	})
	if !started {
		s.admitted(err)
	}
}

func (s *subject) force(to breaker.State) {
	switch to {
	case breaker.Closed:
		s.b.Reset()
	case breaker.ForcedOpen:
		s.b.ForceOpen()
	case breaker.ForcedClosed:
		s.b.ForceClosed()
	case breaker.Disabled:
		s.b.Disable()
	}
}

func (s *subject) look()   { s.log = append(s.log, fmt.Sprintf("%v %+v", s.b.State(), s.b.Stats())) }
func (s *subject) panics() { panic("hook") }

// A model is a breaker as the documentation has it.
type model struct {
	cfg           breaker.Config // its zero fields filled in as documented
	failure, slow ratio          // of cfg, exact
	made          time.Time

	state    breaker.State
	seq      uint64
	began    time.Duration // when the state began
	ends     []end         // of calls that this state has admitted, with a verdict
	row      int           // failures since the last success, with no window between them
	failedAt time.Duration // when the last of them ended
	ramping  bool          // it was closed by probes
	cohort   time.Duration // when the first of the calls started that become overdue together

	base    time.Duration // the open time before the draw
	openFor time.Duration // and after it

	calls   []*call // all that were ever admitted
	permits []*call // those of allow
	hooked  uint64  // panics of the hook
	armed   *reaction
	log     []string
}

type call struct {
	request
	seq     uint64 // the state that has admitted it
	started time.Duration
	overdue time.Duration // when it begins to count as slow while it is under way
	left    bool          // its caller has cancelled
	ended   bool
}

// uncounted is the seq of a call that a dry run has admitted.
const uncounted = math.MaxUint64

type end struct {
	at           time.Duration
	failed, slow bool
}

func newModel(c breaker.Config, failure, slow ratio) *model {
	c.MinCalls = cmp.Or(c.MinCalls, 20)
	c.Window = cmp.Or(c.Window, 30*time.Second)
	c.HangAfter = cmp.Or(c.HangAfter, time.Second)
	c.OpenFor = cmp.Or(c.OpenFor, 5*time.Second)
	c.MaxOpenFor = cmp.Or(c.MaxOpenFor, max(time.Minute, c.OpenFor))
	c.Probes = cmp.Or(c.Probes, 3)
	c.Ramp = cmp.Or(c.Ramp, 3*time.Second)
	m := &model{cfg: c, failure: failure, slow: slow, made: time.Now(), base: c.OpenFor}
	m.emit(steady.Event{Kind: steady.KindNew})
	m.emit(steady.Event{Kind: steady.KindState, To: "closed"})
	return m
}

func (m *model) now() time.Duration { return time.Since(m.made) }
func (m *model) age() time.Duration { return m.now() - m.began }

func (m *model) emit(e steady.Event) {
	if m.cfg.Hook == nil {
		return
	}
	m.log = append(m.log, line(e))
	if r := m.armed; r != nil && r.to == e.Kind {
		m.armed = nil
		r.do(m)
	}
}

// enter changes the state.
func (m *model) enter(s breaker.State, reason string) {
	e := steady.Event{Kind: steady.KindState, From: m.state.String(), To: s.String(), Reason: reason}
	m.state, m.seq, m.began = s, m.seq+1, m.now()
	m.ends, m.row, m.cohort = nil, 0, m.now()
	m.ramping = reason == "probes succeeded" && m.cfg.Ramp != breaker.Off
	if e.Seq = m.seq; s == breaker.Open {
		e.Delay = m.openFor
	}
	m.emit(e)
}

// open opens for the base time, give or take a fifth.
func (m *model) open(draw float64, reason string) {
	m.openFor = time.Duration(float64(m.base) * (0.8 + 0.4*draw))
	m.enter(breaker.Open, reason)
}

// trip opens a closed breaker.
func (m *model) trip(draw float64, reason string) {
	if m.age() >= m.cfg.Window {
		m.base = m.cfg.OpenFor
	}
	m.open(draw, reason)
}

// admit starts a call, or returns nil if it is refused.
func (m *model) admit(r request) *call {
	if r.done {
		m.emit(steady.Event{Kind: steady.KindRejected, Outcome: steady.Ignored, Reason: "context"})
		m.log = append(m.log, "refused: context canceled")
		return nil
	}
	reason, after := m.refuses(r)
	c := &call{request: r, seq: m.seq, started: m.now(), overdue: m.cohort + m.cfg.SlowAfter*9/8}
	switch {
	case reason == "":
	case m.cfg.DryRun:
		c.seq = uncounted
		m.emit(steady.Event{Kind: steady.KindDryRun, Reason: reason})
	default:
		m.emit(steady.Event{Kind: steady.KindRejected, Outcome: steady.Ignored, Reason: reason})
		m.log = append(m.log, fmt.Sprintf("refused: true %v %v", after, after > 0))
		return nil
	}
	m.calls = append(m.calls, c)
	return c
}

// refuses tells why a call is refused now, and for how long; "" if it is not.
func (m *model) refuses(r request) (reason string, after time.Duration) {
	switch m.state {
	case breaker.Open:
		if left := m.openFor - m.age(); left > 0 {
			return "open", left
		}
		m.enter(breaker.HalfOpen, "open time is over")
		return m.refuses(r)
	case breaker.HalfOpen:
		if m.concludes(r.draw) {
			return m.refuses(r)
		}
		if m.probes()+m.late()+len(m.ends) >= m.cfg.Probes {
			return "half-open", 0
		}
	case breaker.ForcedOpen:
		return "forced-open", 0
	case breaker.Closed:
		share := 0.1 + 0.9*m.age().Seconds()/m.cfg.Ramp.Seconds()
		if m.ramping && r.draw >= share {
			return "ramp", 0
		}
		// Who starts an eighth of SlowAfter after the others looks whether they hang.
		if m.cfg.SlowAfter > 0 && m.now() >= m.cohort+m.cfg.SlowAfter/8 {
			m.cohort = m.now()
			if m.tooSlow() {
				m.trip(r.draw, "slow ratio")
				return m.refuses(r)
			}
		}
	}
	return "", 0
}

// underWay counts the calls of the present state that have not ended and for which
// is holds.
func (m *model) underWay(is func(*call) bool) (n int) {
	for _, c := range m.calls {
		if c.seq == m.seq && !c.ended && is(c) {
			n++
		}
	}
	return n
}

// probes counts the probes that hold a place.
func (m *model) probes() int {
	if m.state != breaker.HalfOpen {
		return 0
	}
	return m.underWay(func(c *call) bool { return m.now() < c.started+m.lease() })
}

// late counts the probes that outlived their lease.
func (m *model) late() int {
	return m.underWay(func(c *call) bool { return m.now() >= c.started+m.lease() })
}

func (m *model) lease() time.Duration { return max(m.openFor, m.cfg.HangAfter) }

func (m *model) overdue() int64 {
	if m.state != breaker.Closed || m.cfg.SlowAfter == 0 {
		return 0
	}
	return int64(m.underWay(func(c *call) bool { return m.now() >= c.overdue }))
}

// window counts the ends in the present tenth of the window and the nine before.
func (m *model) window() (calls, failures, slow int64) {
	if m.state != breaker.Closed && m.state != breaker.ForcedClosed {
		return 0, 0, 0
	}
	tenth := func(at time.Duration) int64 { return int64((at - m.began) / (m.cfg.Window / 10)) }
	for _, e := range m.ends {
		if tenth(m.now())-tenth(e.at) > 9 {
			continue
		}
		calls++
		if e.failed {
			failures++
		}
		if e.slow {
			slow++
		}
	}
	return calls, failures, slow
}

func (m *model) tooSlow() bool {
	calls, _, slow := m.window()
	calls, slow = calls+m.overdue(), slow+m.overdue()
	return m.cfg.SlowAfter > 0 && calls >= int64(m.cfg.MinCalls) && m.slow.reached(slow, calls)
}

// outcome judges the end of a call.
func (m *model) outcome(c *call, how ending, viaPermit bool) steady.Outcome {
	ran := m.now() - c.started
	expired := c.within > 0 && ran >= c.within
	inDo := how == panics || how == succeedsInDo || how == failsInDo
	switch {
	case how == givesBack && viaPermit, inDo && viaPermit && (expired || c.left):
		return steady.Ignored
	case how == panics:
		return steady.Failure
	case how == succeeds || how == succeedsInDo:
		return steady.Success
	case expired && !c.left:
		if ran >= m.cfg.HangAfter {
			return steady.Failure
		}
		return steady.Ignored
	case c.left, how == leaves, how == givesBack:
		return steady.Ignored
	case how == excused:
		return steady.Ignored
	case how == forgiven:
		return steady.Success
	}
	return steady.Failure
}

// finish ends a call of Do.
func (m *model) finish(c *call, how ending) { m.over(c, m.outcome(c, how, false)) }

func (m *model) over(c *call, o steady.Outcome) {
	c.ended = true
	if c.seq == m.seq && o != steady.Ignored {
		m.book(c, o == steady.Failure)
	}
	m.emit(steady.Event{Kind: steady.KindDone, Outcome: o, Duration: m.now() - c.started})
}

// book counts the end of a call that the present state has admitted.
func (m *model) book(c *call, failed bool) {
	e := end{m.now(), failed, m.cfg.SlowAfter > 0 && m.now()-c.started >= m.cfg.SlowAfter}
	m.ends = append(m.ends, e)
	switch m.state {
	case breaker.HalfOpen:
		m.concludes(c.draw)
	case breaker.Closed:
		if !failed || m.now()-m.failedAt >= m.cfg.Window {
			m.row = 0
		}
		if failed {
			m.row, m.failedAt = m.row+1, m.now()
		}
		calls, failures, _ := m.window()
		switch {
		case failed && m.cfg.ConsecutiveFailures > 0 && m.row >= m.cfg.ConsecutiveFailures:
			m.trip(c.draw, "failures in a row")
		case !failed && !e.slow: // a good call never opens a breaker
		case m.failure != ratio{} && calls >= int64(m.cfg.MinCalls) && m.failure.reached(failures, calls):
			m.trip(c.draw, "failure ratio")
		case m.tooSlow():
			m.trip(c.draw, "slow ratio")
		}
	}
}

// concludes ends the trial of a half-open breaker if it has come to a verdict.
func (m *model) concludes(draw float64) bool {
	limit := m.failure
	if limit == (ratio{}) {
		limit = ratio{1, 2}
	}
	failed, passed := int64(m.late()), int64(0)
	for _, e := range m.ends {
		if e.failed || e.slow {
			failed++
		} else {
			passed++
		}
	}
	all := max(int64(m.cfg.Probes), failed+passed)
	switch {
	case limit.reached(failed, all):
		m.base = min(2*m.base, m.cfg.MaxOpenFor)
		m.open(draw, "probes failed")
	case !limit.reached(all-passed, all):
		m.enter(breaker.Closed, "probes succeeded")
	default:
		return false
	}
	return true
}

func (m *model) allow(r request) {
	if c := m.admit(r); c != nil {
		m.permits = append(m.permits, c)
	}
}

func (m *model) end(nth int, how ending) {
	if nth >= len(m.permits) {
		return
	}
	c := m.permits[nth]
	if how == leaves && !(c.within > 0 && m.now() >= c.started+c.within) {
		c.left = true
	}
	if !c.ended {
		m.over(c, m.outcome(c, how, true))
	}
}

func (m *model) force(s breaker.State) {
	if s == m.state && s != breaker.Closed {
		return
	}
	m.base = m.cfg.OpenFor
	if s == breaker.Closed {
		m.enter(s, "reset")
		return
	}
	m.enter(s, "forced")
}

func (m *model) stats() breaker.Stats {
	s := breaker.Stats{State: m.state, Seq: m.seq, Probes: m.probes(), Overdue: m.overdue(), DryRun: m.cfg.DryRun, HookPanics: m.hooked}
	s.Calls, s.Failures, s.Slow = m.window()
	if m.state == breaker.Open {
		if s.RetryAfter = max(m.openFor-m.age(), 0); s.RetryAfter == 0 {
			s.State = breaker.HalfOpen
		}
	}
	return s
}

func (m *model) look()   { m.log = append(m.log, fmt.Sprintf("%v %+v", m.stats().State, m.stats())) }
func (m *model) panics() { m.hooked++ }
