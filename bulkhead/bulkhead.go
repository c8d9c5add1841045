// Package bulkhead bounds how many calls run at once, so that one slow dependency
// cannot take all of a service's goroutines, connections and memory with it. The
// pattern is that of Michael Nygard, Release It!, 2nd edition (2018), chapter 5.
//
// Calls beyond the bound are refused at once or, if a queue is asked for, wait a
// bounded time in a bounded line. Use one bulkhead for each dependency, or for
// each kind of work that must not starve the others. Put it outside a retry, so
// that a call waits once and not before each attempt.
package bulkhead

import (
	"container/list"
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/chain"
	"github.com/steady-go/steady/internal/check"
	"github.com/steady-go/steady/internal/refusal"
	"github.com/steady-go/steady/internal/report"
)

// NoMaxWait as MaxWait of a [Config] lets a call wait for as long as its context
// allows.
const NoMaxWait time.Duration = -1

// Config is the configuration of a [Bulkhead]. Limit is required.
type Config struct {
	// Name tells bulkheads apart in events and errors. It may be empty.
	Name string

	// Limit is how many calls may run at once, at least 1. There is no default: by
	// Little's law it is the rate of calls that the dependency bears, times the
	// time that one takes there.
	Limit int

	// Queue is how many calls may wait for their turn, first come, first served. 0
	// means none: a call that finds the bulkhead full is refused.
	Queue int

	// MaxWait is how long a call may wait in the queue. It is required with a Queue,
	// and must be left out without one. Keep MaxWait plus the time that a slow call
	// takes below the timeout of the callers: otherwise, in an overload, each permit
	// goes to a call whose caller has left, and the overload feeds itself. NoMaxWait
	// leaves the bound to the callers' contexts.
	MaxWait time.Duration

	// DryRun admits every call at once, and reports what would have been refused as
	// [steady.KindDryRun]: a call that finds Limit and Queue together in flight. Such
	// a call holds no permit. To try out a configuration on live traffic.
	DryRun bool

	// Hook hears of every call and rejection. nil means nobody.
	Hook steady.Hook
}

var (
	// ErrFull is matched by the rejection of a call that found all permits and all
	// places in the queue taken.
	ErrFull = errors.New("bulkhead: full")

	// ErrMaxWait is matched by the rejection of a call that got no permit within
	// MaxWait, or that by the pace of the queue could expect none before its
	// deadline.
	ErrMaxWait = errors.New("bulkhead: no permit in time")
)

// A Bulkhead bounds the calls in flight. It is a [steady.Policy], made by [New],
// may be used by several goroutines at once, and needs no closing. With a Queue,
// Do and Acquire block while they wait for their turn.
type Bulkhead struct {
	report  report.Reporter
	places  int           // of the queue
	maxWait time.Duration // 0: no bound
	full    *refusal.Refusal
	late    *refusal.Refusal

	mu       sync.Mutex
	limit    int       // guarded by mu
	inFlight int       // permits given out; guarded by mu
	surplus  int       // calls that a dry run has let in without a permit; guarded by mu
	queue    list.List // of *turn, empty while a permit is free; guarded by mu
	pace     pace      // guarded by mu

	// refuses says that nothing is free and nobody may wait, so that a refusal need
	// not take the lock. It is written with mu held, and only when it changes.
	refuses atomic.Bool

	dryRun atomic.Bool // written with mu held
}

// New returns a bulkhead with all permits free, or an error that names every
// fault of c.
func New(c Config) (*Bulkhead, error) {
	f := check.Config("bulkhead: Config")
	f.Require(c.Limit >= 1 && c.Limit <= math.MaxInt32, "Limit", limitRule, c.Limit)
	f.Require(c.Queue >= 0 && c.Queue <= math.MaxInt32, "Queue", "be between 0 and 2147483647", c.Queue)
	f.Require(c.MaxWait >= 0 || c.MaxWait == NoMaxWait, "MaxWait", "be > 0, or NoMaxWait", c.MaxWait)
	f.Require(c.Queue <= 0 || c.MaxWait != 0, "MaxWait", "be set with a Queue", c.MaxWait)
	f.Require(c.Queue != 0 || c.MaxWait == 0, "MaxWait", "be 0 without a Queue", c.MaxWait)
	if err := f.Err(); err != nil {
		return nil, err
	}
	b := &Bulkhead{limit: c.Limit, places: c.Queue, maxWait: max(c.MaxWait, 0)}
	b.dryRun.Store(c.DryRun)
	b.full = refusal.New("bulkhead", c.Name, ErrFull)
	b.late = refusal.New("bulkhead", c.Name, ErrMaxWait)
	b.report.Init(c.Hook, "bulkhead", c.Name, "")
	report.Introduce(&b.report, b)
	return b, nil
}

const limitRule = "be between 1 and 2147483647"

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Bulkhead { return check.Must(New(c)) }

// Do runs call when it gets a permit for it, and returns its error untouched. A
// refusal is a [steady.Rejection] that matches [ErrFull] or [ErrMaxWait]. When
// ctx is done before a permit is there, Do returns [steady.ContextErr].
func (b *Bulkhead) Do(ctx context.Context, call func(context.Context) error) (err error) {
	e, err := b.enter(ctx, true)
	if err != nil {
		return err
	}
	start := b.report.Start()
	returned := false
	defer func() {
		b.leave(e)
		b.report.Done(ctx, steady.Classifier{}, start, e.wait, returned, err)
	}()
	err = call(ctx)
	returned = true
	return err
}

// Link is how [steady.Chain] runs a Bulkhead without allocating; it is of no other use.
func (b *Bulkhead) Link() chain.Link { return chain.Link{Of: b, Do: b.doNext} }

func (b *Bulkhead) doNext(ctx context.Context, next chain.Next) error { return b.Do(ctx, next.Do) }

// An entry is an admitted call.
type entry struct {
	wait    time.Duration
	surplus bool // admitted by a dry run without a permit
}

// enter takes a permit, after some wait if that is allowed, or reports why not.
func (b *Bulkhead) enter(ctx context.Context, mayWait bool) (entry, error) {
	if ctx.Err() != nil {
		return entry{}, b.report.ContextDone(ctx, 0)
	}
	if b.try() {
		return entry{}, nil
	}
	if b.exceed() {
		b.report.Emit(ctx, steady.Event{Kind: steady.KindDryRun, Reason: "full", Err: b.full})
		return entry{surplus: true}, nil
	}
	if !mayWait || b.places == 0 {
		return entry{}, b.report.Reject(ctx, "full", 0, b.full)
	}
	wait, err := b.wait(ctx)
	return entry{wait: wait}, err
}

// leave gives back what enter took.
func (b *Bulkhead) leave(e entry) {
	if !e.surplus {
		b.release()
		return
	}
	b.mu.Lock()
	b.surplus--
	b.grant()
	b.mu.Unlock()
}

// exceed lets in a call without a permit if this is a dry run.
func (b *Bulkhead) exceed() bool {
	if !b.dryRun.Load() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.dryRun.Load() {
		return false
	}
	b.surplus++
	return true
}

// try takes a permit if one is free.
func (b *Bulkhead) try() bool {
	if b.refuses.Load() {
		return false
	}
	b.mu.Lock()
	ok := b.occupied() < b.capacity()
	if ok {
		b.inFlight++
		b.changed()
	}
	b.mu.Unlock()
	return ok
}

// release gives a permit back, or on to the next in the queue.
func (b *Bulkhead) release() {
	b.mu.Lock()
	b.inFlight--
	b.grant()
	b.mu.Unlock()
}

// occupied is how many calls take the place of others. In a dry run those do not that would
// have been refused; after it they do. It requires mu held.
func (b *Bulkhead) occupied() int {
	if b.dryRun.Load() {
		return b.inFlight
	}
	return b.inFlight + b.surplus
}

// capacity is how many permits there are. A dry run, in which nobody waits, counts
// the places in the queue among them. It requires mu held.
func (b *Bulkhead) capacity() int {
	if b.dryRun.Load() {
		return b.limit + b.places
	}
	return b.limit
}

// changed notes that what it depends on has changed. It requires mu held.
func (b *Bulkhead) changed() {
	refuses := b.occupied() >= b.capacity() && (b.places == 0 || b.dryRun.Load())
	if refuses != b.refuses.Load() {
		b.refuses.Store(refuses)
	}
}

// SetLimit changes how many calls may run at once. More permits go to who waits at
// once; when there are fewer than calls in flight, those run on and no other
// starts until enough have ended. A limit that [Config] would not take is an
// error, and changes nothing.
func (b *Bulkhead) SetLimit(limit int) error {
	f := check.Config("bulkhead: SetLimit")
	f.Require(limit >= 1 && limit <= math.MaxInt32, "limit", limitRule, limit)
	if err := f.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = limit
	b.grant()
	return nil
}

// SetDryRun begins or ends the dry run that [Config] describes. At its beginning all who
// wait are admitted; after its end calls that are in flight beyond the limit run on, and no
// other starts until enough have ended.
func (b *Bulkhead) SetDryRun(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dryRun.Store(on)
	b.grant()
}

// Inspect implements [steady.Inspector].
func (b *Bulkhead) Inspect() []steady.Status {
	stats := b.Stats()
	levels := []steady.Level{
		{Name: steady.LevelInFlight, Value: float64(stats.InFlight)},
		{Name: steady.LevelLimit, Value: float64(stats.Limit)},
	}
	if b.places > 0 {
		levels = append(levels,
			steady.Level{Name: steady.LevelWaiting, Value: float64(stats.Waiting)},
			steady.Level{Name: steady.LevelPlaces, Value: float64(b.places)})
	}
	s := b.report.Status(levels...)
	s.DryRun = stats.DryRun
	s.Switches = []steady.Switch{report.DryRunSwitch(s.DryRun, b.SetDryRun)}
	return []steady.Status{s}
}

// Stats is what a [Bulkhead] holds at one moment.
type Stats struct {
	Limit      int
	InFlight   int    // calls that were let in, those included that a dry run would have refused
	Waiting    int    // calls in the queue
	DryRun     bool   // whether it refuses nothing
	HookPanics uint64 // panics of the hook so far
}

// Stats returns the present counts. It is cheap, and safe at any time.
func (b *Bulkhead) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Stats{Limit: b.limit, InFlight: b.inFlight + b.surplus, Waiting: b.queue.Len(), DryRun: b.dryRun.Load(), HookPanics: b.report.Panics()}
}
