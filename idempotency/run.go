package idempotency

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/steady-go/steady"
)

// An entrance is a Do, or a Once, before its call.
type entrance struct {
	g      *Guard
	ctx    context.Context
	store  Store
	inTx   bool          // it is a Once: the store is bound to a transaction of the caller's
	waited time.Duration // for the original
}

// The first and the longest interval at which a duplicate that waits asks the store.
const (
	firstInterval   = 10 * time.Millisecond
	longestInterval = 250 * time.Millisecond
)

// enter claims the key. It returns what is to be run, or the outcome that is there, or an error.
func (e *entrance) enter(key, fingerprint string) (*run, Outcome, error) {
	g := e.g
	switch {
	case e.ctx.Err() != nil:
		return nil, nil, g.report.ContextDone(e.ctx, 0)
	case key == "":
		return nil, nil, e.reject("key", ErrNoKey)
	}
	c := g.claim(key, fingerprint)
	wait := g.wait
	if e.inTx || g.holds(e.ctx, c.Key) { // who waits would keep the owner from getting on
		wait = 0
	}
	var waitUntil time.Time
	for interval := firstInterval; ; interval = min(2*interval, longestInterval) {
		asked := time.Now()
		grant, err := e.store.Begin(e.ctx, c)
		if err != nil {
			return nil, nil, e.withdraw(c, err)
		}
		switch grant.Status {
		case Acquired:
			if e.ctx.Err() != nil {
				return nil, nil, e.withdraw(c, nil)
			}
			if took := time.Since(asked); took >= g.lease && !e.inTx {
				return nil, nil, e.withdraw(c, fmt.Errorf("the claim took %v, and its lease of %v is over", took, g.lease))
			}
			return e.begin(c, grant, asked), nil, nil
		case Done:
			return nil, grant.Outcome, nil
		case Mismatch:
			g.counts.mismatches.Add(1)
			return nil, nil, e.reject("mismatch", g.mismatch)
		case Unknown:
			g.counts.unknown.Add(1)
			return nil, nil, e.done("unknown", steady.Failure, steady.Permanent(ErrUnknown))
		case Busy:
		default:
			return nil, nil, e.withdraw(c, fmt.Errorf("status %d", grant.Status))
		}
		if waitUntil.IsZero() {
			waitUntil = asked.Add(wait)
		}
		left := time.Until(waitUntil)
		if left <= 0 {
			g.counts.busy.Add(1)
			return nil, nil, e.reject("in flight", &inFlight{g.name, grant.LeaseLeft})
		}
		pause := time.NewTimer(min(interval, left))
		select {
		case <-pause.C:
		case <-e.ctx.Done():
			pause.Stop()
			return nil, nil, g.report.ContextDone(e.ctx, e.waited+time.Since(asked))
		}
		e.waited += time.Since(asked)
	}
}

func (g *Guard) claim(key, fingerprint string) Claim {
	c := g.newClaim(key)
	c.RefuseUnknown = g.onUnknown == Refuse
	if fingerprint != "" {
		c.Fingerprint = digest(fingerprint)
	}
	return c
}

// newClaim is one without a fingerprint. If nothing further is heard of its owner, that has gone on for MaxRun and a lease at most, and for Keep from then it is remembered.
func (g *Guard) newClaim(key string) Claim {
	return Claim{Key: g.keyOf(key), Token: rand.Text(), Lease: g.lease, Keep: after(after(g.keep, g.maxRun), g.lease)}
}

// withdraw is the end of a Do whose claim has failed, or came too late. The store may have it all the same, and is told that nothing was done.
func (e *entrance) withdraw(c Claim, err error) error {
	if !e.inTx {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), withdrawFor)
		defer cancel()
		_ = e.store.Release(ctx, c.Key, c.Token)
	}
	if err == nil || e.ctx.Err() != nil {
		return e.g.report.ContextDone(e.ctx, e.waited)
	}
	e.g.counts.storeErrors.Add(1)
	return e.reject("store", &storeError{e.g.name, err})
}

// withdrawFor is how long the store has to take a claim back. Whoever waits has no use for it.
const withdrawFor = 250 * time.Millisecond

func (e *entrance) reject(reason string, err error) error {
	return e.g.report.Reject(e.ctx, reason, e.waited, err)
}

// done reports the end of a Do that made no call, and returns err.
func (e *entrance) done(reason string, o steady.Outcome, err error) error {
	e.g.report.Emit(e.ctx, steady.Event{Kind: steady.KindDone, Outcome: o, Wait: e.waited, Reason: reason, Err: err})
	return err
}

// replay puts the value of an outcome into v, a pointer, or returns its error. It reports whether either is that of the call that was made.
func (e *entrance) replay(o Outcome, v any) (replayed bool, err error) {
	err = e.g.decode(o, v)
	if errors.Is(err, ErrNotReplayable) {
		e.g.counts.notReplayable.Add(1)
		return false, e.done("not replayable", steady.Failure, err)
	}
	e.g.counts.replays.Add(1)
	outcome := steady.Success
	if err != nil {
		outcome = steady.Ignored
	}
	return true, e.done("replayed", outcome, err)
}

// told returns the error that Do returns. What an inner call says of its effect does not hold for the call around it.
func (e *entrance) told(err error) error {
	if _, inner := FromContext(e.ctx); inner && judge(err) == notApplied {
		return &innerError{err}
	}
	return err
}

// A run is an execution under way.
type run struct {
	*entrance
	exec   Execution
	ctx    context.Context // of the call
	cancel func()
	lease  *keeper // nil in a transaction
	began  time.Time
	ran    time.Duration // 0 until it has stopped
	ended  bool          // its key is settled
}

// begin begins the execution of a claim that was asked for at a time.
func (e *entrance) begin(c Claim, grant Grant, asked time.Time) *run {
	g := e.g
	r := &run{
		entrance: e, began: time.Now(), cancel: func() {},
		exec: Execution{Key: c.Key, Token: c.Token, Fence: grant.Fence, Attempt: grant.Attempt, Recovered: grant.Recovered, guard: g, outer: outerOf(e.ctx)},
	}
	g.counts.executions.Add(1)
	g.counts.running.Add(1)
	if grant.Recovered {
		g.counts.recoveries.Add(1)
	}
	r.ctx = context.WithValue(e.ctx, executionKey{}, r.exec)
	if !e.inTx {
		ctx, stop := context.WithTimeoutCause(r.ctx, g.maxRun, ErrMaxRun)
		ctx, end := context.WithCancelCause(ctx)
		r.ctx, r.cancel = ctx, func() { end(nil); stop() }
		r.lease = g.keepLease(ctx, r.exec, asked, end)
	}
	return r
}

// end settles the key of a call that has returned err, and the value that v points to. It returns what Do returns beside that, and whether that is to be returned.
func (r *run) end(v any, err error) (info Info, stands bool, _ error) {
	cause := context.Cause(r.ctx)
	ran := r.stop()
	info.Execution = r.exec
	verdict := final
	if err != nil {
		verdict = judge(err)
	}
	var result string
	done := verdict == final || verdict == unreplayable
	switch {
	case done:
		result, info.Err = r.finish(r.g.encode(v, err)) // which may end the goroutine
	case r.inTx:
		result = "rolled back"
	case verdict == notApplied && !r.exec.Recovered:
		r.g.counts.releases.Add(1)
		result, info.Err = "released", r.release()
	default:
		r.g.counts.left.Add(1)
		result, info.Err = "left unknown", r.leave()
	}
	r.ended = true
	switch {
	case done && info.Err != nil && (r.inTx || errors.Is(info.Err, ErrLost)):
		e := &unsettledError{err: err, why: info.Err}
		r.report(ran, result, steady.Failure, e)
		return info, false, e
	case verdict == unknown && !r.inTx && (cause == ErrLeaseLost || cause == ErrMaxRun):
		err = &unsettledError{err: err, why: cause}
	case verdict == unknown:
		if _, rejected := steady.AsRejection(err); rejected { // of a part of the call
			err = MaybeApplied(err)
		}
	}
	r.report(ran, result, steady.Classifier{}.Outcome(r.entrance.ctx, err, ran), err)
	return info, true, r.entrance.told(err)
}

// unwind settles the key of a call that panics or ends its goroutine, or whose codec ends that.
func (r *run) unwind() {
	if r.ended {
		return
	}
	ran := r.stop()
	r.ended = true
	r.g.counts.left.Add(1)
	result := "rolled back"
	if !r.inTx {
		result = "left unknown"
		_ = r.leave()
	}
	r.report(ran, result, steady.Failure, steady.ErrNoReturn)
}

// stop ends the lease's keeping, and the call's context, and returns how long the call ran. It may be called again.
func (r *run) stop() time.Duration {
	if r.ran == 0 {
		r.ran = max(time.Since(r.began), 1)
		if r.lease != nil {
			r.lease.stop()
		}
		r.cancel()
		r.g.counts.running.Add(-1)
	}
	return r.ran
}

func (r *run) report(ran time.Duration, result string, o steady.Outcome, err error) {
	r.g.report.Emit(r.entrance.ctx, steady.Event{
		Kind: steady.KindDone, Outcome: o, Duration: ran, Wait: r.waited, Reason: result, Err: err,
	})
}

// How often and for how long the guard tries to tell the store what a call came to: a blink of the store must not make it unknown, and a store that hangs
// must not keep the caller, who has it.
const (
	settleTries = 3
	finishFor   = 5 * time.Second
	letGoFor    = time.Second // for the rest: if it fails, the lease lapses
)

// finish stores the outcome, and returns the result to report.
func (r *run) finish(o Outcome) (result string, err error) {
	err = r.settle(finishFor, func(ctx context.Context) error {
		return r.store.Finish(ctx, r.exec.Key, r.exec.Token, o, r.g.keep)
	})
	switch {
	case errors.Is(err, ErrLost):
		r.g.counts.lost.Add(1)
		return "lost", err
	case err != nil:
		return "not stored", err
	case r.exec.Recovered:
		return "recovered", nil
	}
	return "run", nil
}

// release gives the key back, of a call that did nothing.
func (r *run) release() error {
	return r.settle(letGoFor, func(ctx context.Context) error { return r.store.Release(ctx, r.exec.Key, r.exec.Token) })
}

// leave gives the key back with its outcome unknown.
func (r *run) leave() error {
	return r.settle(letGoFor, func(ctx context.Context) error { return r.store.Extend(ctx, r.exec.Key, r.exec.Token, 0) })
}

// settle tells the store something, if need be at the third try. The caller's context may be done by now.
func (r *run) settle(limit time.Duration, tell func(context.Context) error) error {
	all, cancel := context.WithTimeout(context.WithoutCancel(r.entrance.ctx), limit)
	defer cancel()
	var err error
	for try := range settleTries {
		if try > 0 {
			select {
			case <-time.After(firstInterval << (3 * (try - 1))): // 10 and 80 ms
			case <-all.Done():
			}
		}
		if all.Err() != nil {
			err = cmp.Or(err, all.Err())
			break
		}
		one, cancel := context.WithTimeout(all, limit/settleTries)
		err = tell(one)
		cancel()
		if err == nil || errors.Is(err, ErrLost) {
			return err
		}
		if r.inTx {
			break
		}
	}
	r.g.counts.storeErrors.Add(1)
	return &storeFault{err}
}

// An unsettledError is that of a Do that has lost its lease, or whose key somebody else has claimed meanwhile, and of a Once that must be rolled back.
type unsettledError struct {
	err error // what the call returned; may be nil
	why error
}

func (e *unsettledError) Error() string {
	s := ErrUnknown.Error() + ": " + e.why.Error()
	if e.err != nil {
		s += ": " + e.err.Error()
	}
	return s
}

// Is shows what it matches to errors.Is alone: the call was started, so that it is no rejection.
func (e *unsettledError) Is(target error) bool {
	return target == ErrUnknown || errors.Is(e.why, target) || errors.Is(e.err, target)
}

// Permanent reports true: whoever has the key will tell.
func (e *unsettledError) Permanent() bool { return true }
