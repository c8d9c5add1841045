// Command cost measures what a call through each policy costs, as ratios to a
// floor that is measured in the same run.
//
//	go run ./cost            a table of medians, ratios and allocations
//	go run ./cost -passes 3  a quick look
//
// Passes are interleaved: each measures every case once, floor and policy side by
// side, because the speed of a shared machine drifts. A ratio is the median of the
// ratios of all passes. The exit code is 1 if one is above its bound.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// A claim is a bound on what a policy costs.
type claim struct {
	name   string
	policy string // a case
	floor  string // another
	bound  float64
	plus   bool // the bound is nanoseconds over the floor, not a ratio to it
}

var claims = []claim{
	{name: "breaker, closed", policy: "breaker closed", floor: "time.Since", bound: 1.8},
	{name: "breaker, open", policy: "breaker open", floor: "time.Since", bound: 1.4},
	{name: "bulkhead", policy: "bulkhead", floor: "semaphore", bound: 1.5},
	{name: "bulkhead, full", policy: "bulkhead full", floor: "bare call", bound: 10, plus: true},
	{name: "retry, first attempt succeeds", policy: "retry", floor: "bare call", bound: 15, plus: true},
	{name: "timeout, call waits on Done", policy: "timeout waited", floor: "WithTimeoutCause waited", bound: 1.2},
	{name: "timeout, call ignores its context", policy: "timeout ignored", floor: "WithTimeoutCause ignored", bound: 0.3},
	{name: "chain of the four, call waits on Done", policy: "chain waited", floor: "WithTimeoutCause waited"},
	{name: "chain of the four, call ignores its context", policy: "chain ignored", floor: "WithTimeoutCause ignored"},
	{name: "breaker, closed, SlowAfter set", policy: "breaker slow", floor: "time.Since"},
	{name: "breaker group of peers", policy: "breaker group", floor: "time.Since"},
	{name: "breaker, two calls of which one fails", policy: "breaker failing", floor: "time.Since"},
	{name: "bulkhead, queued and handed over", policy: "bulkhead queued", floor: "semaphore queued"},
}

// scales are the cases that are also measured on two cores. What counts is how
// much they lose, compared to what the semaphore loses.
var scales = []string{"breaker closed", "bulkhead"}

const scaleBound = 1.3

// cases returns what is measured, by name. Each func makes one call, on a context
// that cannot be cancelled or, where that matters, on one that can.
func cases(cancellable context.Context) map[string]func() {
	background := context.Background()
	start := time.Now()

	closed := breaker.MustNew(breaker.Config{})
	open := breaker.MustNew(breaker.Config{ConsecutiveFailures: 1, OpenFor: time.Hour})
	_ = open.Do(background, measure.Fails)
	slow := breaker.MustNew(breaker.Config{SlowAfter: time.Second})
	group := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{}})
	failing := breaker.MustNew(breaker.Config{FailureRatio: 1})
	gate := bulkhead.MustNew(bulkhead.Config{Limit: 10})
	full := bulkhead.MustNew(bulkhead.Config{Limit: 1})
	if _, err := full.Acquire(background); err != nil {
		panic(err)
	}
	again := retry.MustNew(retry.Config{})
	limit := timeout.MustNew(timeout.Config{Limit: time.Hour})
	chain := steady.Chain(gate, again, closed, limit)
	sem := semaphore.NewWeighted(10)

	withTimeout := func(call func(context.Context) error) {
		ctx, cancel := context.WithTimeoutCause(cancellable, time.Hour, measure.ErrBoom)
		_ = call(ctx)
		cancel()
	}
	return map[string]func(){
		"bare call":                func() { _ = measure.Ignores(background) },
		"time.Since":               func() { _ = time.Since(start) },
		"semaphore":                func() { _ = sem.Acquire(background, 1); _ = measure.Ignores(background); sem.Release(1) },
		"WithTimeoutCause waited":  func() { withTimeout(measure.Waits) },
		"WithTimeoutCause ignored": func() { withTimeout(measure.Ignores) },
		"breaker closed":           func() { _ = closed.Do(background, measure.Ignores) },
		"breaker open":             func() { _ = open.Do(background, measure.Ignores) },
		"breaker slow":             func() { _ = slow.Do(background, measure.Ignores) },
		"breaker group":            func() { _ = group.Do(background, "node-1", measure.Ignores) },
		"breaker failing":          func() { _ = failing.Do(background, measure.Fails); _ = failing.Do(background, measure.Ignores) },
		"bulkhead":                 func() { _ = gate.Do(background, measure.Ignores) },
		"bulkhead full":            func() { _ = full.Do(background, measure.Ignores) },
		"bulkhead queued":          measure.HandOver(bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: time.Hour}).Do),
		"semaphore queued":         measure.HandOver(behind(semaphore.NewWeighted(1))),
		"retry":                    func() { _ = again.Do(background, measure.Ignores) },
		"timeout waited":           func() { _ = limit.Do(cancellable, measure.Waits) },
		"timeout ignored":          func() { _ = limit.Do(cancellable, measure.Ignores) },
		"chain waited":             func() { _ = chain.Do(cancellable, measure.Waits) },
		"chain ignored":            func() { _ = chain.Do(cancellable, measure.Ignores) },
	}
}

// behind returns what makes a call with a permit of s.
func behind(s *semaphore.Weighted) measure.Do {
	return func(ctx context.Context, call func(context.Context) error) error {
		if err := s.Acquire(ctx, 1); err != nil {
			return err
		}
		defer s.Release(1)
		return call(ctx)
	}
}

// A sample is one measurement of a case.
type sample struct {
	ns     float64
	allocs int64
}

func sampleOf(f func()) sample {
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f()
		}
	})
	return sample{float64(r.T.Nanoseconds()) / float64(r.N), r.AllocsPerOp()}
}

func parallelSampleOf(f func()) sample {
	r := testing.Benchmark(func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				f()
			}
		})
	})
	return sample{ns: float64(r.T.Nanoseconds()) / float64(r.N)}
}

func main() {
	testing.Init()
	passes := flag.Int("passes", 10, "interleaved passes")
	each := flag.Duration("each", 50*time.Millisecond, "time for each measurement")
	flag.Parse()
	if *passes < 1 || *each <= 0 {
		fmt.Fprintf(os.Stderr, "cost: -passes must be >= 1, got %d; -each must be > 0, got %v\n", *passes, *each)
		os.Exit(2)
	}
	if err := flag.Set("test.benchtime", each.String()); err != nil {
		panic(err)
	}
	fmt.Printf("%s %s/%s, %d CPUs, %d interleaved passes\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), *passes)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	all := cases(ctx)
	ok := serial(all, *passes)
	if runtime.NumCPU() > 1 {
		ok = parallel(all, *passes) && ok
	}
	if !ok {
		cancel()
		os.Exit(1)
	}
}

// serial measures every claim on one core.
func serial(all map[string]func(), passes int) (ok bool) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	type series struct{ policy, floor, relation []float64 }
	got := make([]series, len(claims))
	allocs := make([]int64, len(claims))
	for range passes {
		for i, c := range claims {
			floor, policy := sampleOf(all[c.floor]), sampleOf(all[c.policy])
			relation := policy.ns / floor.ns
			if c.plus {
				relation = policy.ns - floor.ns
			}
			s := &got[i]
			s.policy, s.floor, s.relation = append(s.policy, policy.ns), append(s.floor, floor.ns), append(s.relation, relation)
			allocs[i] = policy.allocs
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "one core\tns\tallocs\tfloor\tns\trelation\tlowest to highest\tbound\t\t")
	ok = true
	for i, c := range claims {
		s := got[i]
		unit := "×"
		if c.plus {
			unit = " ns"
		}
		bound, verdict := "", ""
		if c.bound > 0 {
			bound, verdict = fmt.Sprintf("%.2g%s", c.bound, unit), "ok"
			if measure.Median(s.relation) > c.bound {
				verdict, ok = "ABOVE", false
			}
		}
		fmt.Fprintf(w, "%s\t%.1f\t%d\t%s\t%.1f\t%.2f%s\t%.2f to %.2f\t%s\t%s\t\n", c.name, measure.Median(s.policy), allocs[i],
			c.floor, measure.Median(s.floor), measure.Median(s.relation), unit, slices.Min(s.relation), slices.Max(s.relation), bound, verdict)
	}
	w.Flush()
	return ok
}

// parallel measures how much slower a call becomes when a second core makes calls
// too.
func parallel(all map[string]func(), passes int) (ok bool) {
	names := append([]string{"semaphore"}, scales...)
	loss := make(map[string][]float64)
	for range passes {
		for _, name := range names {
			runtime.GOMAXPROCS(1)
			one := parallelSampleOf(all[name])
			runtime.GOMAXPROCS(2)
			two := parallelSampleOf(all[name])
			loss[name] = append(loss[name], two.ns/one.ns)
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\ntwo cores\ttime a call, to one core\tto what the semaphore loses\tbound\t\t")
	ok = true
	floor := measure.Median(loss["semaphore"])
	fmt.Fprintf(w, "semaphore\t%.2f×\t\t\t\t\n", floor)
	for _, name := range scales {
		relative, verdict := measure.Median(loss[name])/floor, "ok"
		if relative > scaleBound {
			verdict, ok = "ABOVE", false
		}
		fmt.Fprintf(w, "%s\t%.2f×\t%.2f×\t%.1f×\t%s\t\n", name, measure.Median(loss[name]), relative, scaleBound, verdict)
	}
	w.Flush()
	return ok
}
