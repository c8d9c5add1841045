package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/chaos/lab"
)

const (
	cachedClient = iota
	bareClient
	clients
)

var clientNames = [clients]string{"cache", "bare"}

// A score counts by stage, which the lab, whose phases are coarser, does not, and what only this
// example knows: where an answer came from, and how old it was.
type score struct {
	config config
	out    io.Writer

	mu     sync.Mutex
	start  time.Time        // of the run; zero until its first request
	counts [clients][]count // by the stage
}

// A count is what is known of one stage. Callers count in the stage in which they came, calls to the origin
// in that in which they were made.
type count struct {
	ended   int
	sources [cache.Negative + 1]int
	took    []time.Duration // until each caller had an answer, or an error
	oldest  time.Duration   // since the origin said what a caller was told
	calls   int
}

// ok returns how many callers got a price.
func (c *count) ok() int { return c.ended - c.sources[cache.None] }

// add adds what is known of another stage.
func (c *count) add(o *count) {
	c.ended += o.ended
	for i, n := range o.sources {
		c.sources[i] += n
	}
	c.took = append(c.took, o.took...)
	c.oldest = max(c.oldest, o.oldest)
	c.calls += o.calls
}

func newScore(c config, out io.Writer) *score {
	s := &score{config: c, out: out}
	s.reset()
	return s
}

// reset begins to count anew, for another run.
func (s *score) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start = time.Time{}
	for i := range s.counts {
		s.counts[i] = make([]count, len(stages))
	}
}

// A getter is either client.
type getter func(ctx context.Context, key string) (price, cache.Source, error)

// counted returns how the lab makes a request to a client.
func (s *score) counted(client int, get getter) lab.Call {
	return func(ctx context.Context, r lab.Request) error {
		s.begin(r)
		ctx, leave := context.WithTimeout(ctx, patience)
		defer leave()
		began := time.Now()
		p, source, err := get(ctx, keyOf(ctx))
		took := time.Since(began)

		s.mu.Lock()
		defer s.mu.Unlock()
		c := &s.counts[client][s.config.stageAt(r.Due)]
		c.ended++
		c.took = append(c.took, took)
		if err != nil {
			c.sources[cache.None]++
			return err
		}
		c.sources[source]++
		c.oldest = max(c.oldest, time.Since(p.AsOf))
		return nil
	}
}

// begin notes when the run began, from its first request.
func (s *score) begin(r lab.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.start.IsZero() {
		s.start = time.Now().Add(-r.Due)
	}
}

// calls returns the policy that stands before the origin, and counts each call to it, the lab's included.
func (s *score) calls(client int, inject steady.Policy) steady.Policy {
	return steady.Chain(inject, countCalls{func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		now := 0 // the cache is being warmed
		if !s.start.IsZero() {
			now = s.config.stageAt(time.Since(s.start))
		}
		s.counts[client][now].calls++
	}})
}

// countCalls is a policy that counts.
type countCalls struct{ count func() }

func (c countCalls) Do(ctx context.Context, call func(context.Context) error) error {
	c.count()
	return call(ctx)
}

// sum returns what is known of all stages together for which it holds.
func (s *score) sum(client int, in func(stage) bool) (sum count) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range stages {
		if in(stages[i]) {
			sum.add(&s.counts[client][i])
		}
	}
	return sum
}

func anyStage(stage) bool  { return true }
func failing(s stage) bool { return s.fault != none }
func only(one stage) func(stage) bool {
	return func(s stage) bool { return s == one }
}

// show writes one line a second about what has ended in it, until ctx does.
func (s *score) show(ctx context.Context) {
	var before [clients]count
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for second := 1; ; second++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		at := time.Duration(second-1) * time.Second
		line := fmt.Sprintf("%3d s  %-10s", second, stages[s.config.stageAt(at)].name)
		for i, name := range clientNames {
			now := s.sum(i, anyStage)
			line += fmt.Sprintf("  %s %3d/%-3d", name, now.ok()-before[i].ok(), now.ended-before[i].ended)
			line += fmt.Sprintf(" origin %-3d", now.calls-before[i].calls)
			before[i] = now
		}
		fmt.Fprintln(s.out, line)
	}
}
