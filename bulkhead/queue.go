package bulkhead

import (
	"container/list"
	"context"
	"time"
)

// A turn is a place in the queue.
type turn struct {
	granted chan struct{} // closed, with mu held, when the permit is there
}

// wait takes a place in the queue and waits for a permit.
func (b *Bulkhead) wait(ctx context.Context) (waited time.Duration, err error) {
	place, refused := b.join(ctx)
	switch {
	case refused == b.full:
		return 0, b.report.Reject(ctx, "full", 0, refused)
	case refused == b.late:
		return 0, b.report.Reject(ctx, "no time to wait", 0, refused)
	case place == nil:
		return 0, nil
	}
	start := b.report.Start()
	var timer *time.Timer
	var late <-chan time.Time
	if b.maxWait > 0 {
		timer = time.NewTimer(b.maxWait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-place.Value.(*turn).granted:
	case <-ctx.Done():
	case <-late:
		err = b.late
	}
	if b.report.On() {
		waited = time.Since(start)
	}
	got := b.leave(place)
	switch {
	case ctx.Err() != nil:
		if got {
			b.release()
		}
		return waited, b.report.ContextDone(ctx, waited)
	case !got:
		return waited, b.report.Reject(ctx, "max wait", waited, err)
	}
	return waited, nil
}

// join takes a place in the queue. It returns neither place nor rejection when a
// permit has come free in between, which the caller then has.
func (b *Bulkhead) join(ctx context.Context) (*list.Element, *rejection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		n := b.load.Load()
		switch {
		case n < b.limit.Load():
			if b.load.CompareAndSwap(n, n+1) {
				return nil, nil
			}
			continue
		case n/waiter >= b.places:
			return nil, b.full
		}
		if expected := b.pace.expect(int(n/waiter) + 1); expected > 0 {
			if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < expected {
				return nil, b.late
			}
		}
		if b.load.CompareAndSwap(n, n+waiter) {
			return b.queue.PushBack(&turn{granted: make(chan struct{})}), nil
		}
	}
}

// leave takes place out of the queue and reports whether its permit had come.
func (b *Bulkhead) leave(place *list.Element) (got bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-place.Value.(*turn).granted:
		return true
	default:
	}
	b.queue.Remove(place)
	if b.queue.Len() == 0 {
		b.pace = pace{}
	}
	b.load.Add(1<<64 - waiter)
	return false
}

// grant gives free permits to who waits longest. It requires mu held.
func (b *Bulkhead) grant() {
	const fromQueue = 1<<64 - waiter + 1 // one waiter less, one call in flight more
	for b.queue.Len() > 0 && b.load.Load()%waiter < b.limit.Load() {
		place := b.queue.Front()
		b.queue.Remove(place)
		b.load.Add(fromQueue)
		close(place.Value.(*turn).granted)
		b.pace.note(b.queue.Len())
	}
}

// A pace is how fast permits are granted while a queue stands. It forgets when the
// queue has gone, so that it cannot refuse by what was true an hour ago: who finds
// no queue is always let into it.
type pace struct {
	last    time.Time     // of the last grant
	spacing time.Duration // moving average over about eight grants; 0 if not known
}

// note takes in a grant that left queued calls waiting.
func (p *pace) note(queued int) {
	if queued == 0 {
		*p = pace{}
		return
	}
	now := time.Now()
	if !p.last.IsZero() {
		spacing := now.Sub(p.last)
		if p.spacing == 0 {
			p.spacing = spacing
		} else {
			p.spacing += (spacing - p.spacing) / 8
		}
	}
	p.last = now
}

// expect returns how long the call at the given place of the queue, counted from
// 1, will wait, or 0 if that is not known.
func (p *pace) expect(place int) time.Duration { return p.spacing * time.Duration(place) }
