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
	ErrMaxWait = errors.New("bulkhead: waited too long")
)

// A Bulkhead bounds the calls in flight. It is a [steady.Policy], made by [New],
// may be used by several goroutines at once, and needs no closing. With a Queue,
// Do and Acquire block while they wait for their turn.
type Bulkhead struct {
	report  report.Reporter
	places  uint64        // of the queue
	maxWait time.Duration // 0: no bound
	full    *rejection
	late    *rejection

	// load is the calls in flight plus waiter times the calls in the queue. While
	// nobody waits it changes without mu; a waiter is added or taken only with mu
	// held. So nobody starts to wait while a permit is free, and no permit is freed
	// past one who waits.
	load  atomic.Uint64
	limit atomic.Uint64

	mu    sync.Mutex
	queue list.List // of *turn; guarded by mu
	pace  pace      // guarded by mu
}

// waiter is one call in the queue, in Bulkhead.load.
const waiter = 1 << 32

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
	b := &Bulkhead{places: uint64(c.Queue), maxWait: max(c.MaxWait, 0)}
	b.full = &rejection{name: c.Name, what: ErrFull}
	b.late = &rejection{name: c.Name, what: ErrMaxWait}
	b.limit.Store(uint64(c.Limit))
	b.report.Init(c.Hook, "bulkhead", c.Name, "")
	return b, nil
}

const limitRule = "be between 1 and 2147483647"

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Bulkhead { return check.Must(New(c)) }

// Do runs call when it gets a permit for it, and returns its error untouched. A
// refusal is a [steady.Rejection] that matches [ErrFull] or [ErrMaxWait]. When
// ctx is done before a permit is there, Do returns [steady.ContextErr].
func (b *Bulkhead) Do(ctx context.Context, call func(context.Context) error) (err error) {
	wait, err := b.enter(ctx, true)
	if err != nil {
		return err
	}
	start := b.report.Start()
	returned := false
	defer func() {
		b.release()
		b.report.Done(ctx, steady.Classifier{}, start, wait, returned, err)
	}()
	err = call(ctx)
	returned = true
	return err
}

// DoNext makes a Bulkhead a step of [steady.Chain]; call Do instead.
func (b *Bulkhead) DoNext(ctx context.Context, next chain.Next) error { return b.Do(ctx, next.Do) }

// enter takes a permit, after some wait if that is allowed, or reports why not.
func (b *Bulkhead) enter(ctx context.Context, mayWait bool) (wait time.Duration, err error) {
	if ctx.Err() != nil {
		return 0, b.report.ContextDone(ctx, 0)
	}
	if b.try() {
		return 0, nil
	}
	if !mayWait || b.places == 0 {
		return 0, b.report.Reject(ctx, "full", 0, b.full)
	}
	return b.wait(ctx)
}

// try takes a permit if one is free. With anybody waiting, load is above every
// limit.
func (b *Bulkhead) try() bool {
	for {
		n := b.load.Load()
		if n >= b.limit.Load() {
			return false
		}
		if b.load.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives a permit back, or on to the next in the queue.
func (b *Bulkhead) release() {
	for {
		n := b.load.Load()
		if n >= waiter {
			b.mu.Lock()
			b.load.Add(^uint64(0))
			b.grant()
			b.mu.Unlock()
			return
		}
		if b.load.CompareAndSwap(n, n-1) {
			return
		}
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
	b.limit.Store(uint64(limit))
	b.grant()
	return nil
}

// Stats is what a [Bulkhead] holds at one moment.
type Stats struct {
	Limit      int
	InFlight   int    // permits given out
	Waiting    int    // calls in the queue
	HookPanics uint64 // panics of the hook so far
}

// Stats returns the present counts. It is cheap, and safe at any time.
func (b *Bulkhead) Stats() Stats {
	n := b.load.Load()
	return Stats{
		Limit:      int(b.limit.Load()),
		InFlight:   int(n % waiter),
		Waiting:    int(n / waiter),
		HookPanics: b.report.Panics(),
	}
}

// A rejection is what refused calls get, one for each reason.
type rejection struct {
	name string
	what error // ErrFull or ErrMaxWait
}

func (r *rejection) Error() string {
	if r.name == "" {
		return r.what.Error()
	}
	return r.what.Error() + " (" + r.name + ")"
}

func (r *rejection) Is(target error) bool { return target == r.what }

func (r *rejection) RejectedBy() (policy, name, key string) { return "bulkhead", r.name, "" }

// RetryAfter reports false: a permit may come free at any moment.
func (r *rejection) RetryAfter() (time.Duration, bool) { return 0, false }
