package lab

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
)

// An arm is one of the two that are compared: what became of its requests, and what
// was heard of its policies.
//
// Requests have a record each, in the order in which they were due, which the goroutine
// of the request alone writes to when it ends. All numbers come from these at the end
// of the run; while it goes on, only the gate and the abort probes look at them.
type arm struct {
	run    *run
	name   string
	call   Call
	world  *World
	faults map[string]int // the faults' names, to their places

	under    group // requests under way
	inFlight atomic.Int64
	cut      atomic.Bool // the run is over: what ends now is not counted
	watched  atomic.Bool // there are abort probes, and things to abort
	late     atomic.Int64
	latest   atomic.Int64
	counts   [phases]counts
	seconds  []second // of the whole plan

	mu      sync.Mutex
	records []*[chunk]record
	n       int
	kinds   map[string]uint16 // the errors' texts, to their places in texts
	texts   []string
	ended   []ending // since the last look, while watched
	marks   []Mark
	left    int // still running after the end
}

// The phases by number.
const (
	inWarmup = iota
	inBaseline
	inFault
	inRecovery
	phases
)

var phaseNames = [phases]Phase{PhaseWarmup, PhaseBaseline, PhaseFault, PhaseRecovery}

const (
	chunk    = 4096 // records
	maxKinds = 200  // of errors that are told apart
)

// counts are what was heard of the policies, by the phase in which the request was due.
type counts struct {
	attempts, rejected atomic.Int64
	injected           []atomic.Int64 // by the place of the fault
}

// A second is what was heard of the policies in one second.
type second struct {
	attempts, injected, rejected atomic.Int64
	gauges                       map[string]float64
}

func newArm(r *run, name string) *arm {
	a := &arm{run: r, name: name, faults: map[string]int{}, kinds: map[string]uint16{}}
	for i, fault := range r.e.Faults {
		a.faults[fault.Name] = i
	}
	for i := range a.counts {
		a.counts[i].injected = make([]atomic.Int64, len(r.e.Faults))
	}
	a.seconds = make([]second, (r.e.plan().total()+time.Second-1)/time.Second)
	a.texts = []string{"other"}
	return a
}

// open begins the record of the next request, which the load says is due at t.
func (a *arm) open(t time.Duration, phase int) (uint64, *record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.openLocked(t, phase)
}

// openNow begins the record of a request that is due now. The clock is read under the
// lock, so that the records are in order.
func (a *arm) openNow() (n uint64, due time.Duration, phase int, rec *record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	due = a.run.now()
	phase = a.run.phase(due)
	n, rec = a.openLocked(due, phase)
	return n, due, phase, rec
}

// openLocked requires mu held.
func (a *arm) openLocked(t time.Duration, phase int) (uint64, *record) {
	n := a.n
	if n%chunk == 0 {
		a.records = append(a.records, new([chunk]record))
	}
	a.n++
	rec := &a.records[n/chunk][n%chunk]
	rec.due = t
	rec.state.Store(uint64(newStatus(pending, phase, 0, 0)))
	return uint64(n), rec
}

// start makes a request that is due at due, which is now or has passed; at is when the
// load says that it is.
func (a *arm) start(at, due time.Duration, phase int) {
	n, rec := a.open(at, phase)
	if a.inFlight.Load() >= int64(a.run.maxInFlight) {
		a.book(rec, overflown, phase, "lab: too many requests under way", 0)
		return
	}
	a.inFlight.Add(1)
	a.under.add()
	go a.serve(&request{Context: a.world.ctx, arm: a, n: n, due: due, phase: phase, record: rec})
}

func (a *arm) serve(r *request) {
	defer a.end(r)
	a.lag(r)
	err := a.call(steady.ContextWithSource(r, r), Request{N: r.n, Due: r.due, Phase: phaseNames[r.phase]})
	r.returned = true
	a.close(r, err)
}

// end is deferred around the call of a request.
func (a *arm) end(r *request) {
	if !r.returned {
		if v := recover(); v != nil {
			a.close(r, fmt.Errorf("panic: %v", v))
		} else {
			a.close(r, steady.ErrNoReturn)
		}
	}
	a.inFlight.Add(-1)
	a.under.done()
}

// lag notes how late a request is started.
func (a *arm) lag(r *request) {
	late := int64(a.run.now() - r.due)
	if late > int64(tooLate) && r.phase != inWarmup {
		a.late.Add(1)
	}
	for {
		most := a.latest.Load()
		if late <= most || r.phase == inWarmup || a.latest.CompareAndSwap(most, late) {
			return
		}
	}
}

// close books the end of a request.
func (a *arm) close(r *request, err error) {
	took := a.run.now() - r.due
	if err == nil {
		a.book(r.record, answered, r.phase, "", took)
		return
	}
	a.book(r.record, failed, r.phase, textOf(err), took)
}

// book notes how a request ended, with its error's text, unless the run is over.
func (a *arm) book(rec *record, how, phase int, text string, took time.Duration) {
	now := a.run.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cut.Load() {
		return
	}
	rec.state.Store(uint64(newStatus(how, phase, a.kind(text), took)))
	if a.watched.Load() {
		a.ended = append(a.ended, ending{now, took, how})
	}
}

// kind returns the place of an error's text. It requires mu held.
func (a *arm) kind(text string) uint16 {
	if text == "" {
		return 0
	}
	k, ok := a.kinds[text]
	if !ok && len(a.texts) < maxKinds {
		k = uint16(len(a.texts))
		a.kinds[text] = k
		a.texts = append(a.texts, text)
	}
	return k
}

// stop ends the counting: records and texts do not change any more.
func (a *arm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cut.Store(true)
}

// onChaos hears of the world's chaos policy.
func (a *arm) onChaos(ctx context.Context, e steady.Event) {
	if a.cut.Load() {
		return
	}
	switch e.Kind {
	case steady.KindDone:
		began := a.run.now() - e.Duration
		a.counts[a.phase(ctx, began)].attempts.Add(1)
		if s := a.second(began); s != nil {
			s.attempts.Add(1)
		}
	case steady.KindInjected:
		now := a.run.now()
		if i, ok := a.faults[e.Reason]; ok {
			a.counts[a.phase(ctx, now)].injected[i].Add(1)
		}
		if s := a.second(now); s != nil {
			s.injected.Add(1)
		}
	}
}

// onPolicy hears of the system's policies.
func (a *arm) onPolicy(ctx context.Context, e steady.Event) {
	if e.Kind != steady.KindRejected || a.cut.Load() {
		return
	}
	if _, ok := steady.AsRejection(e.Err); !ok {
		return // its context was done
	}
	now := a.run.now()
	a.counts[a.phase(ctx, now)].rejected.Add(1)
	if s := a.second(now); s != nil {
		s.rejected.Add(1)
	}
}

// phase returns the phase of the request that ctx belongs to, or that of t.
func (a *arm) phase(ctx context.Context, t time.Duration) int {
	if r := requestOf(ctx); r != nil && r.arm == a {
		return r.phase
	}
	return a.run.phase(t)
}

func (a *arm) second(t time.Duration) *second {
	if i := int(t / time.Second); t >= 0 && i < len(a.seconds) {
		return &a.seconds[i]
	}
	return nil
}

func (a *arm) mark(what, name string, err error) {
	m := Mark{At: a.run.now(), What: what, Name: name}
	if err != nil {
		m.Err = textOf(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.marks = append(a.marks, m)
}

// each calls f with the record of each request so far, in order.
func (a *arm) each(f func(due time.Duration, s status)) {
	a.mu.Lock()
	records, n := a.records, a.n
	a.mu.Unlock()
	for i := range n {
		rec := &records[i/chunk][i%chunk]
		f(rec.due, status(rec.state.Load()))
	}
}

// fill adds what was heard of the policies and the gauges in a phase to its sample,
// and completes it.
func (a *arm) fill(s *sample, phase int) {
	begin, end := time.Duration(0), a.run.end(phase)
	if phase > inWarmup {
		begin = a.run.end(phase - 1)
	}
	if a.run.ended > 0 {
		end = min(end, a.run.ended)
	}
	s.tally.Phase, s.tally.Lasted = phaseNames[phase], end-begin
	c := &a.counts[phase]
	s.tally.Attempts, s.tally.Rejected = int(c.attempts.Load()), int(c.rejected.Load())
	for name, i := range a.faults {
		if n := c.injected[i].Load(); n > 0 {
			s.tally.Injected[name] = int(n)
		}
	}
	for i := range a.seconds {
		if t := time.Duration(i+1) * time.Second; t > begin && t <= end {
			s.read(a.seconds[i].gauges)
		}
	}
	s.complete()
}

// unanswered is the error of requests that had not ended when the run did.
const unanswered = "lab: not answered before the end of the run"

// result returns what became of the arm, when the run is over.
func (a *arm) result() *result {
	r := a.run
	res := &result{left: a.left}
	var samples [phases]*sample
	for phase := inBaseline; phase <= r.reached; phase++ {
		samples[phase] = newSample()
	}
	back := newRecovery(r)
	line := newTimeline(a)
	a.each(func(due time.Duration, st status) {
		line.add(due, st)
		s := samples[st.phase()]
		if s == nil {
			return
		}
		s.add(st)
		switch st.how() {
		case pending:
			s.errors[unanswered]++
		case failed, overflown:
			s.errors[a.texts[st.kind()]]++
		}
		if st.phase() == inRecovery {
			back.add(due, st)
		}
	})
	for phase, s := range samples {
		if s == nil {
			continue
		}
		if phase == inRecovery {
			s.recovered, s.never = back.result()
		}
		a.fill(s, phase)
		res.samples = append(res.samples, s)
	}
	res.seconds = line.done()
	a.mu.Lock()
	defer a.mu.Unlock()
	res.marks = slices.Clone(a.marks)
	slices.SortStableFunc(res.marks, func(a, b Mark) int { return cmp.Compare(a.At, b.At) })
	return res
}

// textOf returns err's text. A nil pointer that passes for an error may panic when it is
// asked, which package fmt survives.
func textOf(err error) string { return fmt.Sprint(err) }
