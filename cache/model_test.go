// Faults that were put in to see this test fail, each found in its first 100 examples:
//
// Planted: window.go: a border is <= in place of < → "stale", want "fresh"; a negative entry past its time
// Planted: window.go: fail forgets failures, or final; the back-off is capped at twice Fresh → a load too many or too few
// Planted: window.go: hold forgets failures, final or the error → the same, or Meta.Err is nil
// Planted: get.go: an entry that is final is returned as stale; a load that runs in the background is taken for a back-off
// Planted: window.go: nobody waits for a Fresh less, or 1 ns more, after a failure; hasFailed without an error; many.go: what runs in the background takes the last place
// Planted: get.go: due at once, or 1 ns late; no hold when there is no place; a load for a context that is done → the loads differ
// Planted: get.go: join does not look for a load under way → two loads
// Planted: get.go: instead looks at the windows of now, or tells the age at the beginning → "", want "stale on error"; the age differs
// Planted: load.go: store whatever listed says; NotFound is remembered for 0 s, or removes nothing, or is a failure
// Planted: load.go: no error tells of LoadTimeout; grace of 0; Loads or LoadErrors count a batch wrongly; land settles what was left
// Planted: flights.go: places or left are not given back; one more than MaxLoads
// Planted: many.go: keys twice; a call for each refresh, or one refresh alone; a value beside an error is lost; an error twice; NotFound is one
// Planted: cache.go: Set or Invalidate does not unlist; Invalidate does not remove; shard.go: clear does not unlist
//
// Not to be seen by it, since two things each keep a load from being begun twice: hold notes that one runs, or looks for it.

package cache_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
)

// TestACacheFollowsItsModel drives a cache and a model of it, which is written as the documentation reads, through the same
// random sequence of requests, writes and time. What each request returns and how long it takes, how often each key is
// loaded, Peek, Len and Stats must be the same. There is room for all, so nothing is evicted.
func TestACacheFollowsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m := newMachine(t)
			defer time.Sleep(2 * half) // a bubble must not end before its loads, whatever has failed
			actions := map[string]func(*rapid.T){
				"":      m.check,
				"get 1": m.get, "get 2": m.get, "get 3": m.get, "get 4": m.get, // what is numbered is to come more often
				"get of a done context": m.getDone,
				"get many 1":            m.getMany, "get many 2": m.getMany,
				"get after each back-off": m.getAfterBackOffs,
				"set":                     m.set,
				"invalidate":              m.invalidate,
				"invalidate all":          m.invalidateAll,
				"sleep 1":                 m.sleep, "sleep 2": m.sleep,
				"sleep to an end 1": m.sleepToEnd, "sleep to an end 2": m.sleepToEnd,
			}
			for range 4 { // about 120 actions
				t.Repeat(actions)
			}
			m.end(t)
		})
	})
}

const modelKeys = 4

var (
	errForbidden = steady.Permanent(errors.New("status 403"))
	errNothing   = cache.NotFound(errors.New("status 404"))
)

// A plan is how the loads of a request go.
type plan struct {
	takes   time.Duration
	ending  ending
	err     error
	partial bool // with several keys, the odd ones get no value
}

type ending int

const (
	obeys   ending = iota // and returns in time
	waits                 // until its context is done
	ignores               // its context, and returns after half a minute
)

const half = 30 * time.Second

// A middle source has its numbers in the middle.
type middle struct{}

func (middle) Float64(string, uint64) float64 { return 0.5 }

// A machine is a cache and its model.
type machine struct {
	c      *cache.Cache[int, int]
	config cache.Config
	began  time.Time

	mu    sync.Mutex
	calls [modelKeys]int // of loads; guarded by mu

	model
}

// A model is one map and the loads under way. All times are since the cache was made.
type model struct {
	now     time.Duration
	entries map[int]*entry
	flights []*flight
	loads   [modelKeys]int
	stats   cache.Stats
}

type entry struct {
	at       time.Duration
	value    int
	negative error // it remembers that there is nothing

	next     time.Duration // no load in the background before
	running  bool          // one is under way in the background
	failures int
	err      error
	final    bool
}

// A flight is one call of a func that loads.
type flight struct {
	settles, ends time.Duration
	settled       bool
	left          bool
	loads         []*loading
}

type loading struct {
	key, value int
	err        error
	listed     bool // to be stored
	of         *flight
}

func newMachine(t *rapid.T) *machine {
	m := &machine{began: time.Now(), model: model{entries: map[int]*entry{}}}
	m.config = exact()
	either := func(name string, v time.Duration) time.Duration {
		return rapid.SampledFrom([]time.Duration{v, v, 0}).Draw(t, name)
	}
	m.config.StaleWhileRevalidate = either("StaleWhileRevalidate", m.config.StaleWhileRevalidate)
	m.config.StaleIfError = either("StaleIfError", m.config.StaleIfError)
	m.config.NegativeFor = either("NegativeFor", m.config.NegativeFor)
	m.config.MaxLoads = rapid.SampledFrom([]int{1, 2, cache.NoMaxLoads}).Draw(t, "MaxLoads")
	m.config.RefreshAhead = rapid.SampledFrom([]float64{0, cache.NoRefreshAhead}).Draw(t, "RefreshAhead")
	m.c = cache.MustNew[int, int](m.config)
	m.stats.MaxEntries = m.config.MaxEntries
	return m
}

func (m *machine) end(t *rapid.T) {
	m.pass(half + m.config.LoadTimeout)
	m.check(t)
	m.c.Close()
	require.Zero(t, m.c.Stats().Loading)
}

// What the table of the package says.

type phase int

const (
	past phase = iota
	good
	early // good, and to be loaded anew
	stale // to be loaded anew
	last  // stale, and good only if a load fails
	none  // there is nothing
)

func (m *machine) phase(e *entry, now time.Duration) phase {
	if e == nil {
		return past
	}
	age, fresh := now-e.at, m.config.Fresh
	switch {
	case e.negative != nil && age < m.config.NegativeFor:
		return none
	case e.negative != nil:
		return past
	case age < fresh*8/10 || age < fresh && m.config.RefreshAhead == cache.NoRefreshAhead:
		return good
	case age < fresh:
		return early
	case age < fresh+m.config.StaleWhileRevalidate:
		return stale
	case age < fresh+m.config.StaleIfError:
		return last
	}
	return past
}

// An outcome is what a request returns for one key.
type outcome struct {
	value  int
	source cache.Source
	age    time.Duration
	why    string // Meta.Err
	err    error
}

// A wanted key is one that a request looks at.
type wanted struct {
	key     int
	at      time.Duration
	have    outcome
	atHand  bool
	due     bool // to be loaded in the background
	load    *loading
	refused error // why there is neither
}

// look is what a request does for each key before it waits. It may begin a flight for what is missing.
func (m *machine) look(key int, done error, p plan, missing **flight) *wanted {
	w := &wanted{key: key, at: m.now}
	e := m.entries[key]
	switch phase := m.phase(e, m.now); {
	case phase == good:
		w.atHand, w.have = true, m.as(e, cache.Fresh, nil)
	case phase == early:
		w.atHand, w.have = true, m.as(e, cache.Fresh, nil)
		w.due = done == nil
	case phase == stale && !e.final:
		w.atHand, w.have = true, m.as(e, cache.Stale, e.err)
		w.due = done == nil
	case phase == last && !e.final && e.err != nil && (e.running || m.now < e.next+m.config.Fresh):
		w.atHand, w.have = true, m.as(e, cache.StaleOnError, e.err)
		w.due = done == nil
	case phase == none:
		w.atHand, w.have = true, m.as(e, cache.Negative, e.negative)
		w.have.err, w.have.value = e.negative, 0
	case done != nil:
		w.refused = done
	default:
		w.load = m.listed(key)
		if w.load != nil {
			return w
		}
		if *missing == nil {
			*missing = m.board()
		}
		if *missing == nil {
			w.refused = cache.ErrOverloaded
			return w
		}
		w.load = m.load(*missing, key, p)
	}
	return w
}

func (m *machine) as(e *entry, s cache.Source, why error) outcome {
	return outcome{value: e.value, source: s, age: m.now - e.at, why: name(why)}
}

// refresh begins a load in the background if one is due.
func (m *machine) refresh(w *wanted, p plan, background **flight) {
	key, e := w.key, m.entries[w.key]
	if !w.due || e.running || m.now < e.next || m.listed(key) != nil {
		return
	}
	if *background == nil {
		*background = m.board()
	}
	if *background == nil {
		e.next, e.err = m.now+100*time.Millisecond, cache.ErrOverloaded
		return
	}
	e.running = true
	m.load(*background, key, p)
}

// otherwise is the answer of who gets nothing from a load because of err.
func (m *machine) otherwise(w *wanted, err error, refused bool) outcome {
	e := m.entries[w.key]
	masked := err != context.Canceled && err != error(errForbidden)
	if phase := m.phase(e, w.at); (phase == stale || phase == last) && !e.final && masked {
		return m.as(e, cache.StaleOnError, err)
	}
	if refused {
		return outcome{source: refusedSource, err: err}
	}
	return outcome{err: err}
}

// refusedSource marks in the model what counts as rejected.
const refusedSource cache.Source = 255

func (m *machine) listed(key int) *loading {
	for _, f := range m.flights {
		for _, l := range f.loads {
			if l.key == key && l.listed {
				return l
			}
		}
	}
	return nil
}

// board returns a new flight, or nil if as many as may be are under way.
func (m *machine) board() *flight {
	if m.config.MaxLoads != cache.NoMaxLoads && len(m.flights) >= m.config.MaxLoads {
		return nil
	}
	f := &flight{}
	m.flights = append(m.flights, f)
	return f
}

func (m *machine) load(f *flight, key int, p plan) *loading {
	m.loads[key]++
	m.stats.Loads++
	l := &loading{key: key, value: value(key, m.loads[key]), err: p.err, listed: true, of: f}
	f.loads = append(f.loads, l)
	f.settles, f.ends = m.now+p.takes, m.now+p.takes
	switch p.ending {
	case waits:
		f.settles = m.now + m.config.LoadTimeout
		f.ends, l.err = f.settles, cache.ErrLoadTimeout
	case ignores:
		f.settles, l.err = m.now+m.config.LoadTimeout+5*time.Millisecond, cache.ErrLoadTimeout
		f.ends = m.now + half
	}
	return l
}

// value is what the n-th load of a key brings.
func value(key, n int) int { return 1000*(key+1) + n }

// until lets the model's time pass.
func (m *machine) until(now time.Duration) {
	for {
		var next *flight
		at := func(f *flight) time.Duration {
			if f.settled {
				return f.ends
			}
			return f.settles
		}
		for _, f := range m.flights {
			if at(f) <= now && (next == nil || at(f) < at(next)) {
				next = f
			}
		}
		if next == nil {
			break
		}
		m.now = at(next)
		if !next.settled {
			m.settle(next)
		}
		if m.now >= next.ends {
			m.flights = slices.DeleteFunc(m.flights, func(f *flight) bool { return f == next })
		} else {
			next.left = true
		}
	}
	m.now = now
}

// settle gives the loads of a flight what they get.
func (m *machine) settle(f *flight) {
	f.settled = true
	failed := false
	for _, l := range f.loads {
		failed = failed || l.err != nil && !errors.Is(l.err, cache.ErrNotFound)
		if !l.listed {
			continue
		}
		l.listed = false
		e := m.entries[l.key]
		switch {
		case l.err == nil:
			m.entries[l.key] = &entry{at: m.now, value: l.value}
		case errors.Is(l.err, cache.ErrNotFound) && m.config.NegativeFor > 0:
			m.entries[l.key] = &entry{at: m.now, negative: l.err}
		case errors.Is(l.err, cache.ErrNotFound):
			delete(m.entries, l.key)
		case e != nil && e.negative == nil:
			most := min(100*time.Millisecond*time.Duration(math.Pow(2, float64(e.failures))), m.config.Fresh)
			e.next = m.now + most*3/4 // the chance is in the middle
			e.running = false
			e.failures++
			e.err = l.err
			e.final = e.final || l.err == error(errForbidden)
		}
	}
	if failed {
		m.stats.LoadErrors++
	}
}

// answer is what a request returns that waits until patience is over, which is done by err.
func (m *machine) answer(w *wanted, patience time.Duration, err error) outcome {
	if w.atHand {
		return w.have
	}
	if w.refused != nil {
		return m.otherwise(w, w.refused, true)
	}
	if !w.load.of.settled {
		m.until(min(w.load.of.settles, patience))
	}
	switch l := w.load; {
	case !l.of.settled:
		return m.otherwise(w, err, false)
	case l.err == nil:
		return outcome{value: l.value, source: cache.Loaded}
	case errors.Is(l.err, cache.ErrNotFound):
		return outcome{source: cache.Loaded, err: l.err}
	default:
		return m.otherwise(w, l.err, false)
	}
}

func (m *machine) count(o outcome) {
	switch o.source {
	case cache.Fresh:
		m.stats.Fresh++
	case cache.Loaded:
		m.stats.Loaded++
	case cache.Stale:
		m.stats.Stale++
	case cache.StaleOnError:
		m.stats.StaleOnError++
	case cache.Negative:
		m.stats.Negative++
	case refusedSource:
		m.stats.Rejected++
	default:
		m.stats.Failed++
	}
}

func (m *machine) unlist(key int) {
	if l := m.listed(key); l != nil {
		l.listed = false
	}
}

// What is done to both.

func drawKey(t *rapid.T) int { return rapid.IntRange(0, modelKeys-1).Draw(t, "key") }

func drawPlan(t *rapid.T) plan {
	return rapid.Custom(func(t *rapid.T) plan {
		p := plan{err: rapid.SampledFrom([]error{nil, nil, nil, errDown, errDown, errDown, errForbidden, errNothing}).Draw(t, "error")}
		p.takes = rapid.SampledFrom([]time.Duration{0, 0, 2 * time.Second}).Draw(t, "takes")
		p.ending = rapid.SampledFrom([]ending{obeys, obeys, obeys, obeys, obeys, obeys, waits, ignores}).Draw(t, "ending")
		p.partial = rapid.Bool().Draw(t, "partial")
		return p
	}).Draw(t, "load")
}

// run does what p says.
func (m *machine) run(ctx context.Context, p plan, keys ...int) (map[int]int, error) {
	values := map[int]int{}
	m.mu.Lock()
	for _, key := range keys {
		m.calls[key]++
		values[key] = value(key, m.calls[key])
	}
	m.mu.Unlock()
	switch p.ending {
	case waits:
		<-ctx.Done()
		return nil, ctx.Err()
	case ignores:
		time.Sleep(half)
	default:
		time.Sleep(p.takes)
	}
	return values, p.err
}

// caller returns the context of one who waits until patience is over, which is done by err.
func (m *machine) caller(t *rapid.T) (ctx context.Context, cancel func(), patience time.Duration, err error) {
	ctx = steady.ContextWithSource(context.Background(), middle{})
	short := 700 * time.Millisecond
	for slices.ContainsFunc(m.flights, func(f *flight) bool { return f.settles == m.now+short }) {
		short++ // of two things at one moment, either may be first
	}
	switch rapid.IntRange(0, 4).Draw(t, "caller") {
	case 0:
		ctx, cancel := context.WithTimeout(ctx, short)
		return ctx, cancel, m.now + short, context.DeadlineExceeded
	case 1:
		ctx, cancel := context.WithCancel(ctx)
		stop := time.AfterFunc(short, cancel).Stop
		return ctx, func() { stop(); cancel() }, m.now + short, context.Canceled
	}
	return ctx, func() {}, math.MaxInt64, nil
}

func (m *machine) get(t *rapid.T) {
	ctx, cancel, patience, err := m.caller(t)
	defer cancel()
	m.getBy(t, ctx, nil, patience, err)
}

func (m *machine) getDone(t *rapid.T) {
	ctx := steady.ContextWithSource(context.Background(), middle{})
	if rapid.Bool().Draw(t, "deadline") {
		ctx, cancel := context.WithTimeout(ctx, -1)
		defer cancel()
		m.getBy(t, ctx, context.DeadlineExceeded, m.now, nil)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	m.getBy(t, ctx, context.Canceled, m.now, nil)
}

// getAfterBackOffs asks for one key several times, each just before and as soon as it may be loaded anew.
func (m *machine) getAfterBackOffs(t *rapid.T) {
	key := drawKey(t)
	for range rapid.IntRange(1, 12).Draw(t, "times") {
		err := rapid.SampledFrom([]error{errDown, errDown, errDown, errDown, errDown, errForbidden}).Draw(t, "error")
		get := func() {
			ctx := steady.ContextWithSource(context.Background(), middle{})
			m.getKey(t, ctx, key, plan{err: err}, nil, math.MaxInt64, nil)
			m.check(t)
		}
		if e := m.entries[key]; e != nil && e.next > m.now {
			m.pass(e.next - m.now - 1)
			get()
			m.pass(1)
		}
		get()
	}
}

func (m *machine) getBy(t *rapid.T, ctx context.Context, done error, patience time.Duration, err error) {
	m.getKey(t, ctx, drawKey(t), drawPlan(t), done, patience, err)
}

func (m *machine) getKey(t *rapid.T, ctx context.Context, key int, p plan, done error, patience time.Duration, err error) {
	var missing, background *flight
	w := m.look(key, done, p, &missing)
	m.refresh(w, p, &background)
	want := m.answer(w, patience, err)
	m.count(want)

	v, meta, err := m.c.Get(ctx, key, func(ctx context.Context) (int, error) {
		values, err := m.run(ctx, p, key)
		return values[key], err
	})
	m.compare(t, want, v, meta, err)
	m.pass(0)
}

func (m *machine) compare(t *rapid.T, want outcome, v int, meta cache.Meta, err error) {
	if want.source == refusedSource {
		want.source = cache.None
		_, rejected := steady.AsRejection(err)
		require.Equal(t, want.err == cache.ErrOverloaded, rejected)
	}
	require.Equal(t, want.told(), outcome{value: v, source: meta.Source, age: meta.Age, why: name(meta.Err), err: err}.told())
	require.Equal(t, m.now, time.Since(m.began), "how long it took")
}

// told tells two outcomes apart.
func (o outcome) told() string {
	return fmt.Sprintf("%d, %v, %v old, since %q, error %q", o.value, o.source, o.age, o.why, name(o.err))
}

// name tells an error from the others.
func name(err error) string {
	if err == nil {
		return ""
	}
	for _, is := range []error{errDown, errForbidden, errNothing, cache.ErrLoadTimeout, cache.ErrOverloaded, cache.ErrNotFound, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, is) {
			return is.Error()
		}
	}
	return "another: " + err.Error()
}

func (m *machine) getMany(t *rapid.T) {
	ctx, cancel, patience, err := m.caller(t)
	defer cancel()
	keys := rapid.SliceOfN(rapid.IntRange(0, modelKeys-1), 0, modelKeys+1).Draw(t, "keys")
	p := drawPlan(t)
	var missing, background *flight
	var wants []*wanted
	for i, key := range keys {
		if !slices.Contains(keys[:i], key) {
			wants = append(wants, m.look(key, nil, p, &missing))
		}
	}
	for _, w := range wants {
		m.refresh(w, p, &background)
	}
	for _, f := range []*flight{missing, background} {
		if f == nil || p.ending != obeys {
			continue
		}
		for _, l := range f.loads {
			if l.key%2 == 0 || !p.partial {
				l.err = nil // what is brought is stored, error or not
			} else {
				l.err = cmp.Or[error](p.err, cache.ErrNotFound)
			}
		}
	}
	items := map[int]string{}
	failed := map[any]bool{}
	var failures []string
	for _, w := range wants {
		o := m.answer(w, patience, err)
		m.count(o)
		var source any = refusedSource
		switch {
		case w.load != nil && !w.load.of.settled:
			source = "left"
		case w.load != nil:
			source = w.load.of
		}
		switch {
		case o.err == nil:
			items[w.key] = o.told()
		case o.source != cache.Loaded && o.source != cache.Negative && !failed[source]:
			failed[source] = true
			failures = append(failures, name(o.err))
		}
	}

	got, gotErr := m.c.GetMany(ctx, keys, func(ctx context.Context, keys []int) (map[int]int, error) {
		values, err := m.run(ctx, p, keys...)
		for key := range values {
			if key%2 != 0 && p.partial {
				delete(values, key)
			}
		}
		if values != nil {
			values[modelKeys] = 1 // nobody has asked for it
		}
		return values, err
	})
	gotItems := map[int]string{}
	for key, item := range got {
		gotItems[key] = outcome{value: item.Value, source: item.Meta.Source, age: item.Meta.Age, why: name(item.Meta.Err)}.told()
	}
	require.Equal(t, items, gotItems)
	var gotFailures []string
	switch joined, several := gotErr.(interface{ Unwrap() []error }); {
	case several:
		for _, err := range joined.Unwrap() {
			gotFailures = append(gotFailures, name(err))
		}
	case gotErr != nil:
		gotFailures = []string{name(gotErr)}
	}
	require.Equal(t, failures, gotFailures)
	require.Equal(t, m.now, time.Since(m.began), "how long it took")
	m.pass(0)
}

func (m *machine) set(t *rapid.T) {
	key, v := drawKey(t), rapid.IntRange(1, 99).Draw(t, "value")
	m.unlist(key)
	m.entries[key] = &entry{at: m.now, value: v}
	m.c.Set(key, v)
}

func (m *machine) invalidate(t *rapid.T) {
	keys := rapid.SliceOfN(rapid.IntRange(0, modelKeys-1), 0, 2).Draw(t, "keys")
	for _, key := range keys {
		m.unlist(key)
		delete(m.entries, key)
	}
	m.c.Invalidate(keys...)
}

func (m *machine) invalidateAll(*rapid.T) {
	for key := range modelKeys {
		m.unlist(key)
	}
	clear(m.entries)
	m.c.InvalidateAll()
}

func (m *machine) sleep(t *rapid.T) {
	m.pass(rapid.SampledFrom([]time.Duration{1, time.Millisecond, 75 * time.Millisecond, 300 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second, 100 * time.Second}).Draw(t, "for"))
}

// sleepToEnd sleeps to the end of a window or a back-off, or to just before it.
func (m *machine) sleepToEnd(t *rapid.T) {
	var ends []time.Duration
	for key := range modelKeys {
		e := m.entries[key]
		if e == nil {
			continue
		}
		fresh := m.config.Fresh
		for _, end := range []time.Duration{fresh * 8 / 10, fresh, fresh + m.config.StaleWhileRevalidate, fresh + m.config.StaleIfError} {
			if e.negative == nil {
				ends = append(ends, e.at+end)
			}
		}
		if e.negative != nil {
			ends = append(ends, e.at+m.config.NegativeFor)
		}
		if e.next > 0 {
			ends = append(ends, e.next, e.next, e.next, e.next+fresh)
		}
	}
	ends = slices.DeleteFunc(ends, func(end time.Duration) bool { return end <= m.now })
	if len(ends) > 0 {
		m.pass(rapid.SampledFrom(ends).Draw(t, "end") - m.now - rapid.SampledFrom([]time.Duration{0, 1}).Draw(t, "before"))
	}
}

// pass lets time pass, and what is under way in the background be done.
func (m *machine) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	m.until(m.now + d)
}

// check compares all that is to be seen.
func (m *machine) check(t *rapid.T) {
	m.pass(0)
	require.Equal(t, m.now, time.Since(m.began))
	m.mu.Lock()
	require.Equal(t, m.loads, m.calls)
	m.mu.Unlock()
	for key := range modelKeys + 1 {
		var want outcome
		e := m.entries[key]
		phase := m.phase(e, m.now)
		switch phase {
		case good, early:
			want = m.as(e, cache.Fresh, nil)
		case stale, last:
			want = m.as(e, cache.Stale, e.err)
		case none:
			want = m.as(e, cache.Negative, e.negative)
		}
		v, meta, ok := m.c.Peek(key)
		require.Equal(t, phase != past && phase != none, ok)
		require.Equal(t, want.told(), outcome{value: v, source: meta.Source, age: meta.Age, why: name(meta.Err)}.told())
	}
	want := m.stats
	want.Entries, want.Loading = len(m.entries), len(m.flights)
	for _, f := range m.flights {
		if f.left {
			want.LeftBehind++
		}
	}
	require.Equal(t, want, m.c.Stats())
	require.Equal(t, want.Entries, m.c.Len())
}
