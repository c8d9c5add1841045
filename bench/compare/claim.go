package main

import (
	"fmt"
	"slices"

	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/bench/speed"
)

// A claim is a bound on what this library costs.
type claim struct {
	About string
	Case  string
	Than  string // the library or floor that it is compared to
	Bound float64
	Unit  unit
	Floor string // what it is made of at the least, and the bound leaves room for or does not; or ""
	On    setting
}

var (
	oneCore  = setting{"serial", 1}
	twoCores = setting{"parallel", 2}
)

// A unit is what is compared.
type unit string

const (
	quotients unit = " ×"           // time, as a quotient
	nanosec   unit = " ns more"     // time, as a difference
	allocs    unit = " allocs more" // allocations, as a difference
	none      unit = " allocs"      // allocations
)

var claims = []claim{
	{"breaker, closed", "BreakerClosed", "gobreaker", 0.4, quotients, "time.Since", oneCore},
	{"breaker, closed", "BreakerClosed", "failsafe-go", 0.06, quotients, "time.Since", oneCore},
	{"breaker, closed", "BreakerClosed", "", 0, none, "", oneCore},
	{"breaker, open", "BreakerOpen", "gobreaker", 0.7, quotients, "time.Since", oneCore},
	{"pipeline, the call ignores its context", "PipelineIgnored", "failsafe-go", 0.15, quotients, "", oneCore},
	{"pipeline, the call ignores its context", "PipelineIgnored", "by-hand", 0.4, quotients, "", oneCore},
	{"pipeline, the call ignores its context", "PipelineIgnored", "context.WithTimeout", 2, allocs, "", oneCore},
	{"pipeline, the call waits", "PipelineWaited", "failsafe-go", 0.35, quotients, "context.WithTimeout", oneCore},
	{"pipeline, the call waits", "PipelineWaited", "by-hand", 0.75, quotients, "context.WithTimeout", oneCore},
	{"pipeline, the call waits", "PipelineWaited", "context.WithTimeout", 2, allocs, "", oneCore},
	{"retry, the first attempt succeeds", "RetryFirst", "bare", 15, nanosec, "", oneCore},
	{"bulkhead, full", "BulkheadFull", "bare", 10, nanosec, "", oneCore},
	{"OpenTelemetry hook, a call that succeeded", "HookOTel", "by-hand", 1.3, quotients, "", oneCore},
	{"OpenTelemetry hook, a call that succeeded", "HookOTel", "by-hand", 0, allocs, "", oneCore},
	{"status page's hook, a call that succeeded", "HookDebug", "bare", 60, nanosec, "", oneCore},
	{"status page's hook, a call that succeeded", "HookDebug", "", 0, none, "", oneCore},
	{"cache, a hot hit", "CacheHit", "otter", 1.5, quotients, "time.Since", oneCore},
	{"cache, a hot hit", "CacheHit", "otter-no-expiry", 1.5, quotients, "time.Since", oneCore},
	{"cache, a hot hit", "CacheHit", "", 0, none, "", oneCore},
	{"cache, a hot hit, two cores", "CacheHit", "otter", 1.5, quotients, "time.Since", twoCores},
	{"cache, a hot hit, two cores", "CacheHit", "otter-no-expiry", 1.5, quotients, "time.Since", twoCores},
	{"idempotency in memory, a key taken and its outcome stored", "IdempotencyKey", "bare", 1000, nanosec, "", oneCore},
	{"idempotency in memory, a key taken and its outcome stored", "IdempotencyKey", "", 1, none, "", oneCore},
}

// A finding is what was measured of a claim.
type finding struct {
	claim
	Median, Low, High float64
	FloorAlone        float64 // median of the floor in place of this library
}

func (f finding) ok() bool { return f.Median <= f.Bound }

func (f finding) String() string {
	than := f.Than
	if than == "" {
		than = "none"
	}
	floor := ""
	if f.Floor != "" {
		floor = fmt.Sprintf("%s %s%s", f.Floor, figure(f.FloorAlone), f.Unit)
	}
	return fmt.Sprintf("| %s | %s | %s%s | %s%s | %s to %s | %s | %s |", f.About, than,
		figure(f.Bound), f.Unit, figure(f.Median), f.Unit, figure(f.Low), figure(f.High), floor, verdict(f.ok()))
}

func (t times) find(c claim) finding {
	var v []float64
	own := bench{c.Case, speed.Steady, c.On}
	switch c.Unit {
	case quotients:
		v = t.relation(c.Case, c.Than, c.On, quotient)
	case nanosec:
		v = t.relation(c.Case, c.Than, c.On, difference)
	case allocs:
		v = []float64{t.allocs(own) - t.allocs(bench{c.Case, c.Than, c.On})}
	case none:
		v = []float64{t.allocs(own)}
	}
	found := finding{claim: c, Median: measure.Median(v), Low: slices.Min(v), High: slices.Max(v)}
	if c.Floor != "" {
		found.FloorAlone = measure.Median(t.compare(c.Case, c.Floor, c.Than, c.On, quotient))
	}
	return found
}
