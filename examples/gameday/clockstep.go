package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
)

// clockStep: the clock of a host is an hour fast, and a time server sets it right.
// Everything that was to end at a time of day now ends an hour later. On New Year's Eve
// of 2016 a leap second, one second back, broke some of Cloudflare's DNS (How and why the
// leap second affected Cloudflare DNS).
//
// Here a client has two things that end: the lease of a token, and a breaker that has
// opened just before, in a short outage.
func clockStep() lab.Experiment {
	const (
		lease = 2 * time.Second // after which the client takes a new token
		valid = 3 * time.Second // how long the server, whose clock is right, takes one
	)

	// client returns how to call the server. over says whether a lease that began at a time
	// of this clock is over.
	client := func(w *lab.World, clock func() time.Time, over func(began time.Time) bool, guard steady.Policy) (lab.Call, error) {
		server := newServer(8)
		var mu sync.Mutex
		var token, began time.Time // a token is no more than when it was issued; guarded by mu
		current := func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			if token.IsZero() || over(began) {
				token, began = time.Now(), clock()
			}
			return token
		}
		return func(ctx context.Context, _ lab.Request) error {
			return steady.Chain(guard, w.Chaos()).Do(ctx, func(ctx context.Context) error {
				if time.Since(current()) > valid {
					return errors.New("401: the token has expired")
				}
				return server.serve(ctx, work(ctx, "server", 10*time.Millisecond))
			})
		}, nil
	}

	return lab.Experiment{
		Name:       "clockstep",
		Hypothesis: "When the clock was set back by an hour, in the middle of an outage of 1 s, all is well 5 s later.",
		Load:       lab.Poisson(150),
		System: func(w *lab.World) (lab.Call, error) {
			stepped(w)
			// Durations are measured by the monotonic clock, which nobody sets. A time.Time of Go
			// carries it, until it is stored, sent, or rounded; the policies of this library
			// use nothing else.
			guard := breaker.MustNew(breaker.Config{
				Name: "server", ConsecutiveFailures: 5, OpenFor: time.Second, MaxOpenFor: time.Second, Ramp: time.Second, Hook: w.Hook(),
			})
			over := func(began time.Time) bool { return time.Since(began) >= lease }
			return client(w, time.Now, over, guard)
		},
		Control: func(w *lab.World) (lab.Call, error) {
			clock := stepped(w)
			over := func(began time.Time) bool { return !clock().Before(began.Add(lease)) }
			return client(w, clock, over, &homeMade{clock: clock})
		},
		Warmup: time.Second, Baseline: 5 * time.Second, Fault: 2 * time.Second, Recovery: 14 * time.Second,
		Faults: []chaos.Fault{{Name: "outage", Effect: chaos.Error(errors.New("connection refused")), Rate: 1, Until: time.Second}},
		Steady: []lab.Probe{
			lab.Availability(0.99).In(lab.PhaseBaseline),
			lab.RecoversWithin(5 * time.Second),
		},
	}
}

// stepped returns the wall clock of a host, which is set back half a second into the
// fault. It has no monotonic reading, as any time that was once stored or sent.
func stepped(w *lab.World) func() time.Time {
	var back atomic.Int64
	// Right is how it is to stay, so there is nothing to roll back.
	w.Step(500*time.Millisecond, "set the clock back by an hour", func(context.Context) error {
		back.Store(int64(time.Hour))
		return nil
	})
	return func() time.Time { return time.Now().Round(0).Add(-time.Duration(back.Load())) }
}

// homeMade is a breaker as many are written: after five failures in a row it is open until
// a time of day.
type homeMade struct {
	clock func() time.Time

	mu       sync.Mutex
	failures int       // in a row; guarded by mu
	until    time.Time // guarded by mu
}

func (b *homeMade) Do(ctx context.Context, call func(context.Context) error) error {
	if b.open() {
		return errors.New("home-made breaker: open")
	}
	err := call(ctx)
	b.book(err)
	return err
}

func (b *homeMade) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock().Before(b.until)
}

func (b *homeMade) book(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.failures = 0
		return
	}
	if b.failures++; b.failures >= 5 {
		b.failures, b.until = 0, b.clock().Add(time.Second)
	}
}
