package main

import (
	"context"
	"sync"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
)

// A server works off what it is given, first come, first served, with a few workers. It
// finishes each piece of work, whether anybody still waits for the answer or not, as most
// servers do.
//
// Nobody leaves its line, so the line need not be kept: all that there is to know is
// when each worker will be done with what it has been given.
type server struct {
	mu   sync.Mutex
	done []time.Time // by worker; guarded by mu
}

func newServer(workers int) *server { return &server{done: make([]time.Time, workers)} }

// serve puts work in line and waits until it is done, or until ctx is.
func (s *server) serve(ctx context.Context, work time.Duration) error {
	return sleep(ctx, s.queue(work))
}

// queue puts work in line and returns how long it takes until it is done.
func (s *server) queue(work time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, next := s.next()
	if s.done[next].Before(now) {
		s.done[next] = now
	}
	s.done[next] = s.done[next].Add(work)
	return s.done[next].Sub(now)
}

// wait returns how long work that comes now waits for a worker.
func (s *server) wait() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, next := s.next()
	return max(s.done[next].Sub(now), 0)
}

// next returns the worker that is done first. It requires mu held.
func (s *server) next() (now time.Time, worker int) {
	for i, t := range s.done {
		if t.Before(s.done[worker]) {
			worker = i
		}
	}
	return time.Now(), worker
}

// work draws how long a request keeps a worker busy at a place. It is the same for the
// system and its control, and whenever the seed is.
func work(ctx context.Context, place string, mean time.Duration) time.Duration {
	return chaos.LogNormal(mean, 0.3).At(steady.Random(ctx, "work:"+place, uint64(steady.Attempt(ctx))))
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
