// Faults that were put in to see these tests fail:
//
// Planted: queue.go: who is cancelled keeps the permit that had come → InFlight is 1, want 0; the next is never served
// Planted: queue.go: quit does not look whether the permit had come → InFlight is 1, want 0; the next is never served
// Planted: queue.go: quit leaves its place behind → Waiting is 1, want 0; the next is never served
// Planted: queue.go: join does not look again for a free permit → {Limit:1 InFlight:0 Waiting:1} after 3,805 races
// Planted: queue.go: who got a permit at the moment of MaxWait is late all the same → the next is never served
// Planted: queue.go: a permit is kept though the context is done → "permit", want "context canceled"
// Planted: queue.go: grant takes the last of the queue → the third gets the permit, want the second
// Planted: queue.go: grant gives one permit at most → "waits" after SetLimit, want "permit"
// Planted: queue.go: Len() > places → "waits", want "full"
// Planted: queue.go: the pace outlives the queue → "no permit in time", want "waits"
// Planted: bulkhead.go: SetLimit without grant → "waits", want "permit"
// Planted: bulkhead.go: SetLimit without changed → "full", want "permit"
// Planted: permit.go: Release without looking whether it has been → InFlight is -1, want 0

package bulkhead_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/steady-go/steady/bulkhead"
)

// TestQueueFollowsItsModel compares a bulkhead with a counter and a slice. Who
// waits does so on a goroutine of its own; after each action all have come to rest.
func TestQueueFollowsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m := newQueueModel(t)
			actions := map[string]func(*rapid.T){
				"":           m.check,
				"acquire 1":  m.acquire, // what is numbered is to come more often
				"acquire 2":  m.acquire,
				"acquire 3":  m.acquire,
				"try":        m.try,
				"release 1":  m.release,
				"release 2":  m.release,
				"cancel":     m.cancel,
				"overtake":   m.cancelAndRelease,
				"set limit":  m.setLimit,
				"dry run":    m.dryRun,
				"pass time":  m.passTime,
				"to MaxWait": m.toMaxWait,
			}
			for range 3 { // about 90 actions
				t.Repeat(actions)
			}
			m.end(t)
		})
	})
}

// A queueModel is a bulkhead, and what it is to hold.
type queueModel struct {
	b       *bulkhead.Bulkhead
	cfg     bulkhead.Config
	limit   int
	holders int
	surplus int
	queue   []*caller // in the order in which they came
	all     []*caller
}

// A caller is who asks for a permit.
type caller struct {
	came   time.Time
	cancel context.CancelFunc
	until  time.Time // when it gives up by itself; zero for never
	why    error     // and with what
	want   result
	free   bool // it has given back what it had
	extra  bool // a dry run has let it in without a permit

	got    result
	permit *bulkhead.Permit
}

// A result is what has become of a caller.
type result struct {
	permit bool
	err    error
}

func (r result) String() string {
	switch {
	case r.permit && r.err != nil:
		return "both"
	case r.permit:
		return "permit"
	case r.err != nil:
		return r.err.Error()
	}
	return "waits"
}

var outcomes = []error{bulkhead.ErrFull, bulkhead.ErrMaxWait, context.Canceled, context.DeadlineExceeded}

func (c *caller) set(p *bulkhead.Permit, err error) {
	c.permit, c.got.permit = p, p != nil
	for _, known := range outcomes {
		if errors.Is(err, known) {
			err = known
		}
	}
	c.got.err = err
}

func newQueueModel(t *rapid.T) *queueModel {
	c := bulkhead.Config{
		Limit:  rapid.IntRange(1, 4).Draw(t, "Limit"),
		Queue:  rapid.IntRange(0, 6).Draw(t, "Queue"),
		DryRun: rapid.IntRange(0, 7).Draw(t, "DryRun") == 7,
	}
	if c.Queue > 0 {
		c.MaxWait = rapid.SampledFrom([]time.Duration{bulkhead.NoMaxWait, time.Second}).Draw(t, "MaxWait")
	}
	m := &queueModel{b: bulkhead.MustNew(c), cfg: c, limit: c.Limit}
	t.Cleanup(func() { // send home who still waits when a check has failed
		for _, c := range m.all {
			if c.cancel != nil {
				c.cancel()
			}
		}
	})
	return m
}

func (m *queueModel) check(t *rapid.T) {
	synctest.Wait()
	want, got := "", ""
	for i, c := range m.all {
		want += fmt.Sprintf("%d: %v\n", i, c.want)
		got += fmt.Sprintf("%d: %v\n", i, c.got)
	}
	require.Equal(t, want, got)
	require.Equal(t, bulkhead.Stats{Limit: m.limit, InFlight: m.holders + m.surplus, Waiting: len(m.queue), DryRun: m.cfg.DryRun}, m.b.Stats())
}

// places is how many calls are let in at once.
func (m *queueModel) places() int {
	if m.cfg.DryRun {
		return m.limit + m.cfg.Queue
	}
	return m.limit
}

// occupied is how many calls take the place of others.
func (m *queueModel) occupied() int {
	if m.cfg.DryRun {
		return m.holders
	}
	return m.holders + m.surplus
}

// come decides what becomes of a new caller.
func (m *queueModel) come(c *caller, mayWait bool) {
	m.all = append(m.all, c)
	switch {
	case m.occupied() < m.places():
		m.holders++
		c.want.permit = true
	case m.cfg.DryRun:
		m.surplus++
		c.want.permit, c.extra = true, true
	case mayWait && len(m.queue) < m.cfg.Queue:
		m.queue = append(m.queue, c)
	default:
		c.want.err = bulkhead.ErrFull
	}
}

// serve lets in who waits longest.
func (m *queueModel) serve() {
	for len(m.queue) > 0 && (m.occupied() < m.limit || m.cfg.DryRun) {
		m.queue[0].want.permit = true
		m.queue = m.queue[1:]
		m.holders++
	}
}

// leave takes a caller out of the queue.
func (m *queueModel) leave(c *caller, err error) {
	c.want.err = err
	m.queue = slices.DeleteFunc(m.queue, func(q *caller) bool { return q == c })
}

func (m *queueModel) acquire(t *rapid.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &caller{came: time.Now(), cancel: cancel}
	if m.cfg.MaxWait > 0 {
		c.until, c.why = c.came.Add(m.cfg.MaxWait), bulkhead.ErrMaxWait
	}
	// By the pace of the queue a caller with a deadline may be refused at once; but
	// never who finds no queue.
	if len(m.queue) == 0 && rapid.IntRange(0, 3).Draw(t, "with a deadline") == 0 {
		left := rapid.SampledFrom([]time.Duration{1, 300*time.Millisecond + 1, 3*time.Second + 1}).Draw(t, "deadline")
		ctx, c.cancel = context.WithTimeout(ctx, left)
		if until := c.came.Add(left); c.until.IsZero() || until.Before(c.until) {
			c.until, c.why = until, context.DeadlineExceeded
		}
	}
	m.come(c, true)
	go func() { c.set(m.b.Acquire(ctx)) }()
}

// dryRun begins a dry run or ends it.
func (m *queueModel) dryRun(*rapid.T) {
	m.cfg.DryRun = !m.cfg.DryRun
	m.b.SetDryRun(m.cfg.DryRun)
	m.serve()
}

func (m *queueModel) try(*rapid.T) {
	c := &caller{}
	m.come(c, false)
	c.set(m.b.TryAcquire(context.Background()))
}

// release gives back a permit; perhaps one that was given back before.
func (m *queueModel) release(t *rapid.T) {
	c := m.draw(t, func(c *caller) bool { return c.want.permit })
	c.permit.Release()
	m.released(c)
}

func (m *queueModel) released(c *caller) {
	if c.free {
		return
	}
	c.free = true // releasing it again is harmless
	if c.extra {
		m.surplus--
	} else {
		m.holders--
	}
	m.serve()
}

// draw draws one of the callers for whom is holds, most often one of the latest.
func (m *queueModel) draw(t *rapid.T, is func(*caller) bool) *caller {
	var some []*caller
	for _, c := range m.all {
		if is(c) {
			some = append(some, c)
		}
	}
	if len(some) == 0 {
		t.SkipNow()
	}
	slices.Reverse(some)
	return rapid.SampledFrom(some).Draw(t, "caller")
}

// cancel ends the context of a caller, who may wait, be in, or be gone.
func (m *queueModel) cancel(t *rapid.T) {
	c := m.draw(t, func(c *caller) bool { return c.cancel != nil })
	c.cancel()
	if slices.Contains(m.queue, c) {
		m.leave(c, context.Canceled)
	}
}

// cancelAndRelease cancels the first in the queue and frees a permit before it has
// noticed: whether or not the permit goes to it first, the next gets it.
func (m *queueModel) cancelAndRelease(t *rapid.T) {
	if len(m.queue) == 0 {
		t.SkipNow()
	}
	holder := m.draw(t, func(c *caller) bool { return c.want.permit && !c.free })
	first := m.queue[0]
	first.cancel()
	holder.permit.Release()
	m.leave(first, context.Canceled)
	m.released(holder)
}

func (m *queueModel) setLimit(t *rapid.T) {
	limit := rapid.IntRange(-1, 6).Draw(t, "limit")
	err := m.b.SetLimit(limit)
	if limit < 1 {
		require.Error(t, err)
		return
	}
	require.NoError(t, err)
	m.limit = limit
	if !m.cfg.DryRun {
		m.serve()
	}
}

func (m *queueModel) passTime(t *rapid.T) {
	m.sleep(rapid.SampledFrom([]time.Duration{
		1, 100 * time.Millisecond, 300 * time.Millisecond, time.Second, 5 * time.Second,
	}).Draw(t, "time"))
}

// toMaxWait passes the time until somebody gives up, or all but a nanosecond.
func (m *queueModel) toMaxWait(t *rapid.T) {
	for _, c := range m.queue {
		if !c.until.IsZero() {
			m.sleep(time.Until(c.until) - time.Duration(rapid.IntRange(0, 1).Draw(t, "sharp")))
			return
		}
	}
	t.SkipNow()
}

func (m *queueModel) sleep(d time.Duration) {
	time.Sleep(d)
	for _, c := range slices.Clone(m.queue) {
		if !c.until.IsZero() && !time.Now().Before(c.until) {
			m.leave(c, c.why)
		}
	}
}

// end releases all and sends home who waits, and checks that nothing is left.
func (m *queueModel) end(t *rapid.T) {
	for len(m.queue) > 0 {
		c := m.queue[len(m.queue)-1]
		c.cancel()
		m.leave(c, context.Canceled)
	}
	m.check(t)
	for _, c := range m.all {
		if c.want.permit {
			c.permit.Release()
		}
	}
	require.Equal(t, bulkhead.Stats{Limit: m.limit, DryRun: m.cfg.DryRun}, m.b.Stats())
}

// rounds is how many times a race is run.
const rounds = 100_000

// workers return a func that runs a func on one of n goroutines, which live on until
// the test ends: to start one takes longer than a race.
func workers(t *testing.T, n int) (do func(func())) {
	work := make(chan func())
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for f := range work {
				f()
			}
		})
	}
	t.Cleanup(func() {
		close(work)
		all.Wait()
	})
	return func(f func()) { work <- f }
}

// patience returns a context for who is to be served in any case. If that does not
// happen the context is cancelled, so that the test ends and can say so: on is to
// be called from time to time.
func patience(t *testing.T) (ctx context.Context, on func()) {
	const enough = time.Minute
	ctx, giveUp := context.WithCancel(context.Background())
	watchdog := time.AfterFunc(enough, giveUp)
	t.Cleanup(func() {
		watchdog.Stop()
		giveUp()
	})
	return ctx, func() { watchdog.Reset(enough) }
}

// waiting waits until n callers are in the queue.
func waiting(t *testing.T, b *bulkhead.Bulkhead, patient context.Context, n int) {
	t.Helper()
	for b.Stats().Waiting < n {
		require.NoError(t, patient.Err(), "%d should be waiting: %+v", n, b.Stats())
		runtime.Gosched()
	}
}

// TestNoPermitIsLostWhenCancelMeetsGrant races the release of the only permit with
// the cancel of who waits for it, while another waits behind. The first gets the
// permit or its context's error, and the other always gets a permit.
func TestNoPermitIsLostWhenCancelMeetsGrant(t *testing.T) {
	b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 2, MaxWait: bulkhead.NoMaxWait})
	do := workers(t, 4)
	patient, on := patience(t)
	var inside atomic.Int64
	wait := func(ctx context.Context, tell chan<- result) {
		p, err := b.Acquire(ctx)
		if p != nil {
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d hold the only permit", n)
			}
			inside.Add(-1)
			p.Release()
		}
		tell <- result{p != nil, err}
	}
	first, next := make(chan result, 1), make(chan result, 1)
	granted, cancelled := 0, 0
	for round := range rounds {
		on()
		held, err := b.Acquire(patient)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		do(func() { wait(ctx, first) })
		waiting(t, b, patient, 1)
		do(func() { wait(patient, next) })
		waiting(t, b, patient, 2)

		if round%2 == 0 {
			do(held.Release)
			do(cancel)
		} else {
			do(cancel)
			do(held.Release)
		}
		switch r := <-first; {
		case r.permit && r.err == nil:
			granted++
		case !r.permit && errors.Is(r.err, context.Canceled):
			cancelled++
		default:
			t.Fatalf("round %d: the first got %v", round, r)
		}
		require.Equal(t, result{permit: true}, <-next, "round %d: the next in the queue", round)
	}
	require.Equal(t, rounds, granted+cancelled)
	require.Equal(t, bulkhead.Stats{Limit: 1}, b.Stats())
	t.Logf("%d permits, %d errors", granted, cancelled)
}

// TestNobodyWaitsWhileAPermitIsFree races the release of the only permit with one
// who comes for it.
func TestNobodyWaitsWhileAPermitIsFree(t *testing.T) {
	b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: bulkhead.NoMaxWait})
	do := workers(t, 1)
	patient, on := patience(t)
	got := make(chan *bulkhead.Permit, 1)
	held, err := b.Acquire(patient)
	require.NoError(t, err)
	for round := range rounds / 5 {
		on()
		var coming atomic.Bool
		do(func() {
			coming.Store(true)
			p, _ := b.Acquire(patient)
			got <- p
		})
		for !coming.Load() {
			runtime.Gosched()
		}
		held.Release()
		for held = nil; held == nil; {
			s := b.Stats()
			require.False(t, s.Waiting > 0 && s.InFlight < s.Limit, "round %d: %+v", round, s)
			select {
			case held = <-got:
				require.NotNil(t, held, "round %d", round)
			default:
				runtime.Gosched()
			}
		}
	}
	held.Release()
	require.Equal(t, bulkhead.Stats{Limit: 1}, b.Stats())
}

// TestNoPermitIsLostWhenMaxWaitMeetsGrant does the same at the very moment at which
// MaxWait of the first is over.
func TestNoPermitIsLostWhenMaxWaitMeetsGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 2, MaxWait: time.Second})
		granted, late := 0, 0
		for range 5000 {
			held := acquire(t, b)
			var first, next result
			wait := func(r *result) {
				p, err := b.Acquire(t.Context())
				if *r = (result{p != nil, err}); p != nil {
					p.Release()
				}
			}
			go wait(&first)
			synctest.Wait()
			go func() {
				time.Sleep(time.Second)
				held.Release()
			}()
			time.Sleep(time.Nanosecond)
			go wait(&next)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			switch {
			case first == result{permit: true}:
				granted++
			case !first.permit && errors.Is(first.err, bulkhead.ErrMaxWait):
				late++
			default:
				t.Fatalf("the first got %v", first)
			}
			require.Equal(t, result{permit: true}, next, "the next in the queue")
			require.Equal(t, bulkhead.Stats{Limit: 1}, b.Stats())
		}
		t.Logf("%d permits, %d rejections", granted, late)
	})
}
