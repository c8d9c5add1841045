package idempotency

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A keeper extends the lease of an execution, and ends the call's context when it has passed by the process's own clock: for the
// store's clock it then has passed a little later.
type keeper struct {
	g         *Guard
	exec      Execution
	lose      context.CancelCauseFunc
	keepUntil time.Time // when MaxRun is over

	ctx    context.Context // of what is asked of the store
	cancel func()

	mu      sync.Mutex
	stopped bool
	until   time.Time // the lease is ours
	extend  *time.Timer
	lapse   *time.Timer
}

// keepLease begins to keep a lease that was asked for at a time. ctx is that of the call.
func (g *Guard) keepLease(ctx context.Context, exec Execution, asked time.Time, lose context.CancelCauseFunc) *keeper {
	k := &keeper{g: g, exec: exec, lose: lose, until: asked.Add(g.lease), keepUntil: asked.Add(g.maxRun)}
	k.ctx, k.cancel = context.WithCancel(context.WithoutCancel(ctx))
	k.mu.Lock()
	defer k.mu.Unlock()
	k.extend = time.AfterFunc(time.Until(asked.Add(g.lease/3)), k.extendNow)
	k.lapse = time.AfterFunc(time.Until(k.until), k.lapseNow)
	return k
}

// stop ends the keeping. An extension that is under way may still arrive at the store, where it is refused or does no harm.
func (k *keeper) stop() {
	k.mu.Lock()
	k.stopped = true
	k.extend.Stop()
	k.lapse.Stop()
	k.mu.Unlock()
	k.cancel()
}

// extendTries is by how many times a lease is longer than one try to extend it may take: in the two thirds of it that are left at
// the first try, two may hang.
const extendTries = 6

func (k *keeper) extendNow() {
	asked := time.Now()
	k.mu.Lock()
	until := k.until
	over := k.stopped || !asked.Before(k.keepUntil) || !asked.Before(until)
	k.mu.Unlock()
	if over {
		return
	}
	limit := asked.Add(k.g.lease / extendTries)
	if limit.After(until) {
		limit = until
	}
	ctx, cancel := context.WithDeadline(k.ctx, limit)
	err := k.g.store.Extend(ctx, k.exec.Key, k.exec.Token, k.g.lease)
	cancel()

	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.stopped:
	case err == nil:
		k.until = asked.Add(k.g.lease)
		k.lapse.Reset(time.Until(k.until))
		k.extend.Reset(time.Until(asked.Add(k.g.lease / 3)))
	case errors.Is(err, ErrLost):
		k.end()
	default:
		k.g.counts.storeErrors.Add(1)
		k.extend.Reset(k.g.lease / 15)
	}
}

func (k *keeper) lapseNow() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.stopped && !time.Now().Before(k.until) {
		k.end()
	}
}

// end ends the call's context, since the lease is lost. It requires mu held.
func (k *keeper) end() {
	if !k.stopped {
		k.stopped = true
		k.extend.Stop()
		k.lapse.Stop()
		k.g.counts.leasesLost.Add(1)
		k.lose(ErrLeaseLost)
	}
}
