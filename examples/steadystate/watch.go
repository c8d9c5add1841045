package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
)

// A watch is the hook of the guarded client: it notes when breakers change their
// state and when a policy refuses a call. In a service this would be metrics.
type watch struct {
	begin time.Time

	mu       sync.Mutex
	seqs     map[string]uint64 // guarded by mu; of each node's last change
	changes  []change          // guarded by mu; in the order of their times
	refusals []time.Duration   // guarded by mu
}

// A change is a breaker's change of state.
type change struct {
	at   time.Duration
	node string
	to   string
}

func newWatch(begin time.Time) *watch {
	return &watch{begin: begin, seqs: make(map[string]uint64)}
}

// On is called by the policies on the goroutines of the calls.
func (w *watch) On(_ context.Context, e steady.Event) {
	switch e.Kind {
	case steady.KindState:
		w.mu.Lock()
		defer w.mu.Unlock()
		// Policies report without holding a lock, so an older change may come late.
		if last, known := w.seqs[e.Key]; !known || e.Seq > last {
			w.seqs[e.Key] = e.Seq
			w.changes = append(w.changes, change{time.Since(w.begin), e.Key, e.To})
		}
	case steady.KindRejected:
		if _, refused := steady.AsRejection(e.Err); refused {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.refusals = append(w.refusals, time.Since(w.begin))
		}
	}
}

// refused returns how many times a policy refused a call from start to end.
func (w *watch) refused(start, end time.Duration) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, at := range w.refusals {
		if at >= start && at < end {
			n++
		}
	}
	return n
}

// states tells how many of the breakers of so many nodes were in which state.
func (w *watch) states(at time.Duration, nodes int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	latest := make(map[string]string)
	for _, c := range w.changes {
		if c.at <= at {
			latest[c.node] = c.to
		}
	}
	count := make(map[string]int)
	for _, state := range latest {
		count[state]++
	}
	count[breaker.Closed.String()] += nodes - len(latest) // not called yet
	var parts []string
	for _, s := range []breaker.State{breaker.Closed, breaker.HalfOpen, breaker.Open} {
		if n := count[s.String()]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(parts, " ")
}

// A step is from when on so many breakers kept calls away from their nodes: those
// that were open, or half-open, which lets a few calls through to probe.
type step struct {
	At  float64 `json:"at_s"`
	Out int     `json:"breakers_not_closed"`
}

// steps returns how many breakers were not closed from when on, and when one
// began to probe.
func (w *watch) steps() (steps []step, probes []float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[string]bool)
	steps = []step{{}}
	for _, c := range w.changes {
		if c.to == breaker.HalfOpen.String() {
			probes = append(probes, c.at.Seconds())
		}
		if c.to == breaker.Closed.String() {
			delete(out, c.node)
		} else {
			out[c.node] = true
		}
		if len(out) != steps[len(steps)-1].Out {
			steps = append(steps, step{c.at.Seconds(), len(out)})
		}
	}
	return steps, probes
}
