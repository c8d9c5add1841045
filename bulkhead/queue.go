package bulkhead

import (
	"container/list"
	"context"
	"time"

	"github.com/steady-go/steady/internal/refusal"
)

// A turn is a place in the queue.
type turn struct {
	granted chan struct{} // closed, with mu held, when the permit is there
}

// wait takes a place in the queue and waits for a permit.
func (b *Bulkhead) wait(ctx context.Context) (waited time.Duration, err error) {
	deadline, hasDeadline := ctx.Deadline()
	place, refused := b.join(deadline, hasDeadline)
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
	}
	if b.report.On() {
		waited = time.Since(start)
	}
	got := b.quit(place)
	switch {
	case ctx.Err() != nil:
		if got {
			b.release()
		}
		return waited, b.report.ContextDone(ctx, waited)
	case !got:
		return waited, b.report.Reject(ctx, "max wait", waited, b.late)
	}
	return waited, nil
}

// join takes a place in the queue. It returns neither place nor rejection when a
// permit has come free in between, which the caller then has.
func (b *Bulkhead) join(deadline time.Time, hasDeadline bool) (*list.Element, *refusal.Refusal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.occupied() < b.limit || b.dryRun.Load() {
		b.inFlight++
		b.changed()
		return nil, nil
	}
	if b.queue.Len() >= b.places {
		return nil, b.full
	}
	if expected := b.pace.expect(b.queue.Len()+1, b.limit); hasDeadline && expected > 0 && time.Until(deadline) < expected {
		return nil, b.late
	}
	return b.queue.PushBack(&turn{granted: make(chan struct{})}), nil
}

// quit takes place out of the queue and reports whether its permit had come.
func (b *Bulkhead) quit(place *list.Element) (got bool) {
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
	return false
}

// grant gives free permits to who waits longest. In a dry run nobody waits. It requires
// mu held.
func (b *Bulkhead) grant() {
	for b.queue.Len() > 0 && (b.occupied() < b.limit || b.dryRun.Load()) {
		turn := b.queue.Remove(b.queue.Front()).(*turn)
		b.inFlight++
		close(turn.granted)
		b.pace.note(b.queue.Len(), b.limit)
	}
	b.changed()
}

// A pace is how fast permits are granted while a queue stands. It forgets when the
// queue has gone, so that it cannot refuse by what was true an hour ago: who finds
// no queue is always let into it.
type pace struct {
	last   time.Time     // of the last grant
	span   time.Duration // from the first to the last, of those that are remembered
	grants int           // within span, the first not counted
}

// note takes in a grant, of limit permits in all, that left queued calls waiting.
// Grants come in bursts where calls start together, so it remembers some turns of
// all permits.
func (p *pace) note(queued, limit int) {
	if queued == 0 {
		*p = pace{}
		return
	}
	now := time.Now()
	if !p.last.IsZero() {
		p.span += now.Sub(p.last)
		p.grants++
	}
	if p.grants >= max(16, 4*limit) {
		p.span, p.grants = p.span/2, p.grants/2
	}
	p.last = now
}

// expect returns how long the call at the given place of the queue, counted from
// 1, will wait, or 0 if that is not known: before each permit was granted once.
func (p *pace) expect(place, limit int) time.Duration {
	if p.grants < limit {
		return 0
	}
	spacing := p.span / time.Duration(p.grants)
	next := max(spacing-time.Since(p.last), 0)
	return next + spacing*time.Duration(place-1)
}
