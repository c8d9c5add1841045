package fleet

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/steady-go/steady/bulkhead"
)

// A node works off the calls that it gets, first come, first served, with a few
// workers. It finishes each, whether anybody still waits for the answer or not.
//
// Without a bulkhead nobody leaves its line, so the line need not be kept: all that there is
// to know is when each worker will be free of what it has been given.
type node struct {
	bulkhead *bulkhead.Bulkhead // nil: nothing bounds the wait
	origin   time.Time

	mu     sync.Mutex
	free   []time.Duration // since origin, by worker; guarded by mu
	slower float64         // guarded by mu
}

func newNode(s Size) *node {
	n := &node{origin: time.Now(), free: make([]time.Duration, s.Workers), slower: 1}
	if s.MaxWait > 0 {
		n.bulkhead = bulkhead.MustNew(bulkhead.Config{Limit: s.Workers, Queue: math.MaxInt32, MaxWait: s.MaxWait})
	}
	return n
}

// queue puts a call in line and returns how long it takes until it is answered.
func (n *node) queue(service time.Duration) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	now, next := n.next()
	n.free[next] = max(now, n.free[next]) + service
	return n.free[next] - now
}

// next returns the worker that is free first. It requires mu held.
func (n *node) next() (now time.Duration, worker int) {
	for i, at := range n.free {
		if at < n.free[worker] {
			worker = i
		}
	}
	return time.Since(n.origin), worker
}

func (n *node) wait() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	now, next := n.next()
	return max(n.free[next]-now, 0)
}

func (n *node) stall(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	until := time.Since(n.origin) + d
	for i := range n.free {
		n.free[i] = max(n.free[i], until)
	}
}

func (n *node) slow(times float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slower = times
}

func (n *node) slowness() float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.slower
}

// admit puts a call in the line of the bulkhead and waits for the answer.
func (n *node) admit(ctx context.Context, host Host, service time.Duration) error {
	answer := make(chan error, 1)
	host.Go(func() {
		err := n.bulkhead.Do(host.Context(), func(ctx context.Context) error { return sleep(ctx, service) })
		if err != nil {
			err = ErrOverloaded
		}
		answer <- err
	})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		<-ctx.Done() // a timer would be in vain, and in an overload most are
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
