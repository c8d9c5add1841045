package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The streams of random numbers that are drawn from one seed.
const (
	streamArrivals = iota
	streamChoice
	streamNodes // and up: one for each node
)

// arrivals draws when requests are due, since the beginning of the run.
//
// They come at random, independently of each other (a Poisson process), since that
// is what many users look like: sometimes five come at once, and then a while none.
// Evenly spaced ones would flatter both clients. The number in each phase is fixed,
// so that no seed makes a run too short for its verdict.
func arrivals(phases []phase, rate float64, seed uint64) []time.Duration {
	rng := rand.New(rand.NewPCG(seed, streamArrivals))
	var due []time.Duration
	for _, p := range phases {
		length := p.end - p.start
		for range int(math.Round(rate * length.Seconds())) {
			due = append(due, p.start+time.Duration(rng.Float64()*float64(length)))
		}
	}
	slices.Sort(due)
	return due
}

// A sample is what became of one request.
type sample struct {
	due      time.Duration // since the beginning of the run
	latency  time.Duration // from when it was due, not from when it was started, to its end
	attempts int
	err      error
	cut      bool // the run ended before the request did, which is nobody's fault
}

// errOverflow is the end of a request for which there was no room. It is a failure:
// if the load waited for room, it would be kind to a client just when that is slow.
var errOverflow = errors.New("too many requests in flight")

// A lane is the load on one client.
type lane struct {
	name    string
	get     func(context.Context) (attempts int, err error)
	samples []sample // one for each arrival

	inFlight  atomic.Int64
	done      atomic.Int64
	succeeded atomic.Int64
}

// A load starts requests when they are due, whatever became of the earlier ones
// (an open loop). One that waits for answers slows down with the system that it
// measures, and so leaves out the very requests that would have waited.
type load struct {
	begin    time.Time
	due      []time.Duration
	lanes    []*lane
	room     int64         // requests in flight on one lane
	lagLimit time.Duration // past this, the run ends
	maxLag   atomic.Int64  // nanoseconds from when a request was due to when it was started
}

// errLate is the cause of the end of a run that could not keep its own schedule.
var errLate = errors.New("this machine could not keep the schedule")

// run makes all the requests, waits for them, and returns how many arrivals there
// were. It ends early when ctx is done, or with stop when it is late itself.
func (l *load) run(ctx context.Context, stop context.CancelCauseFunc) int {
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, due := range l.due {
		timer.Reset(time.Until(l.begin.Add(due)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return i
		}
		l.noteLag(due, stop)
		for _, lane := range l.lanes {
			lane.samples[i].due = due
			if lane.inFlight.Add(1) > l.room {
				lane.inFlight.Add(-1)
				lane.done.Add(1)
				lane.samples[i].err = errOverflow
				continue
			}
			running.Go(func() {
				l.noteLag(due, stop)
				l.request(ctx, lane, &lane.samples[i])
			})
		}
	}
	return len(l.due)
}

// request makes one request.
func (l *load) request(ctx context.Context, lane *lane, s *sample) {
	s.attempts, s.err = lane.get(ctx)
	s.latency = time.Since(l.begin) - s.due
	s.cut = s.err != nil && ctx.Err() != nil
	lane.inFlight.Add(-1)
	lane.done.Add(1)
	if s.err == nil {
		lane.succeeded.Add(1)
	}
}

// noteLag notes how late it is for a request that was due, and ends the run if that
// is too late: it has nothing to tell any more.
func (l *load) noteLag(due time.Duration, stop context.CancelCauseFunc) {
	lag := time.Since(l.begin) - due
	for {
		most := l.maxLag.Load()
		if int64(lag) <= most || l.maxLag.CompareAndSwap(most, int64(lag)) {
			break
		}
	}
	if lag > l.lagLimit {
		stop(errLate)
	}
}
