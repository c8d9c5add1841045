package cache

import (
	"context"
	"sync"
)

// flights are those of one cache that have not ended.
type flights[K comparable, V any] struct {
	max int // how many may hold a place, or NoMaxLoads

	mu      sync.Mutex
	all     map[*flight[K, V]]struct{} // those that Close has to wait for
	places  int                        // taken, by those whose func has not returned
	left    int                        // of these, those that were left running
	drained chan struct{}              // set by close, which waits for it; closed, and gone, when all is empty
}

// board makes a flight for what ctx wants, or returns nil if no place is free. It calls nothing of a user's, so
// it may be called with a shard's lock held.
func (fs *flights[K, V]) board(ctx context.Context, reason string) *flight[K, V] {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.max != NoMaxLoads && fs.places >= fs.max {
		return nil
	}
	f := &flight[K, V]{reason: reason, done: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if fs.all == nil {
		fs.all = make(map[*flight[K, V]]struct{})
	}
	fs.all[f] = struct{}{}
	fs.places++
	return f
}

// settle gives the first who calls it the right, and the duty, to decide what the loads get. It
// requires mu held.
func (f *flight[K, V]) settle() bool {
	first := !f.settled
	f.settled = true
	return first
}

// land gives the place back of a flight whose func has returned, and settles it.
func (fs *flights[K, V]) land(f *flight[K, V]) (first bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.landed = true
	fs.places--
	if f.left {
		fs.left--
	}
	return f.settle()
}

// leave notes that a flight was left running, and settles it, unless its func has returned. Then it can only be
// a hook that takes so long, for which Close does not wait either.
func (fs *flights[K, V]) leave(f *flight[K, V]) (left, first bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.gone(f)
	if f.landed {
		return false, false
	}
	f.left = true
	fs.left++
	return true, f.settle()
}

// end notes that the goroutine of a flight ends.
func (fs *flights[K, V]) end(f *flight[K, V]) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.gone(f)
}

// gone forgets a flight for which Close need not wait any more. It requires mu held.
func (fs *flights[K, V]) gone(f *flight[K, V]) {
	delete(fs.all, f)
	if fs.drained != nil && len(fs.all) == 0 {
		close(fs.drained)
		fs.drained = nil // a channel of a bubble must not be met outside of it
	}
}

// now returns how many flights hold a place, and how many of these were left running.
func (fs *flights[K, V]) now() (places, left int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.places, fs.left
}

// close ends all flights and waits for those that were not left running. No other may be made any more. Their loads
// get an error that is no rejection: they were started.
func (fs *flights[K, V]) close() {
	fs.mu.Lock()
	if fs.drained == nil && len(fs.all) > 0 {
		fs.drained = make(chan struct{})
	}
	var all, settled []*flight[K, V]
	for f := range fs.all {
		all = append(all, f)
		if f.settle() {
			settled = append(settled, f)
		}
	}
	drained := fs.drained
	fs.mu.Unlock()
	for _, f := range settled {
		for _, l := range f.loads {
			l.err = ErrClosed
		}
		close(f.done)
	}
	for _, f := range all {
		f.cancel(ErrClosed)
	}
	if drained != nil {
		<-drained
	}
}
