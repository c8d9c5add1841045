// Package steadyotel reports what policies do through OpenTelemetry: as metrics, and as
// events of the span that is active in a call.
//
//	hook := steadyotel.MustNew(steadyotel.Config{})
//	db := breaker.MustNew(breaker.Config{Name: "db", Hook: hook})
//
// One hook serves all policies of a process. [Metrics] lists what it reports; docs/metrics.md
// explains it. The attributes are few and bounded: the kind and the name of a policy,
// outcomes, reasons, states. Policies of the same kind and name are added up; the members of
// a group are told apart only on spans, unless Config.Key says otherwise.
//
// Where policies stand now, such as a breaker's state or the calls in flight, is not told
// by events but asked of the policies whenever metrics are collected. So it is right also when no
// call comes, and from construction on. The hook hears of each policy that is made with it, and does not keep
// it alive. Those that have another hook are added by [Hook.Register].
package steadyotel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/check"
	"github.com/steady-go/steady/internal/inventory"
)

// scope is the name of the instrumentation.
const scope = "github.com/steady-go/steady/steadyotel"

// Config is the configuration of a [Hook]. Its zero value is a good default.
type Config struct {
	// MeterProvider makes the instruments. nil means the global one of OpenTelemetry
	// ([otel.GetMeterProvider]), which may be set later than New is called.
	MeterProvider metric.MeterProvider

	// ErrorType returns the attribute error.type of a call that was no success, such as the
	// class of an HTTP status. It must return few different values. Where it returns "" the
	// rule of this package holds: "panic" for [steady.ErrNoReturn], "rejected" for a
	// [steady.Rejection], "timeout", "canceled", and otherwise "_OTHER". nil always means that. It may be
	// called by several goroutines at once.
	ErrorType func(error) string

	// Key returns the attribute steady.key for the key of a member of a group, or "" for none.
	// It must return few different values: keys are as many as there are nodes or
	// tenants, and each makes some twenty time series. nil means that no metric has it. It
	// may be called by several goroutines at once.
	Key func(key string) string

	// NoSpanEvents leaves spans alone.
	NoSpanEvents bool
}

// A Hook is a [steady.Hook] that reports through OpenTelemetry. It is made by [New], and
// may be used by several goroutines at once. It costs a call what its recordings cost
// that the SDK makes, and allocates nothing of its own where a series is known.
//
// It keeps a bounded number of series: 300 policies by kind, name and key, so that the states
// of as many breakers stay within the 2,000 series for each instrument that the SDK keeps by
// default; and 100 combinations of other attributes for each policy and kind of event. What is
// beyond goes to series whose name, or whose other attributes, are "_OTHER". Policies that have
// been collected make room for others.
type Hook struct {
	cfg          Config
	policies     inventory.Inventory
	registration metric.Registration

	duration, wait, delay, late           metric.Float64Histogram
	attempts                              metric.Int64Histogram
	rejections, dryRun, changes, abandons metric.Int64Counter
	injected                              metric.Int64Counter

	age, loads          metric.Float64Histogram
	requests, evictions metric.Int64Counter

	results metric.Int64Counter // of guards

	counts counts // of what policies count themselves

	mu    sync.Mutex                           // held to write known and full
	known atomic.Pointer[map[identity]*series] // replaced, never changed
	full  atomic.Bool                          // there is no room in known
	other *series
}

// The bounds of histograms of durations are those that OpenTelemetry recommends for HTTP, with
// finer steps below, where calls inside a data centre are. Ages of answers go up to days.
var (
	durations = metric.WithExplicitBucketBoundaries(
		0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30)
	ages = metric.WithExplicitBucketBoundaries(
		0.1, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 3*3600, 6*3600, 12*3600, 24*3600, 7*24*3600)
)

// New returns a hook, or the errors of the MeterProvider.
func New(c Config) (*Hook, error) {
	if c.MeterProvider == nil {
		c.MeterProvider = otel.GetMeterProvider()
	}
	h := &Hook{cfg: c}
	h.known.Store(&map[identity]*series{})
	h.other = newSeries(identity{policy: other, name: other})
	m := maker{meter: c.MeterProvider.Meter(scope)}
	h.duration = m.seconds(callDuration, durations)
	h.wait = m.seconds(queueWait, durations)
	h.delay = m.seconds(retryDelay, durations)
	h.late = m.seconds(abandonedDuration, durations)
	h.attempts = m.attempts(retryAttempts)
	h.rejections = m.counter(callRejections)
	h.dryRun = m.counter(dryRunRejections)
	h.changes = m.counter(stateChanges)
	h.abandons = m.counter(abandonedCalls)
	h.injected = m.counter(chaosInjected)
	h.requests = m.counter(cacheRequests)
	h.age = m.seconds(cacheAge, ages)
	h.loads = m.seconds(cacheLoads, durations)
	h.evictions = m.counter(cacheEvictions)
	h.results = m.counter(idempotencyRequests)
	h.registration = m.observe(h)
	if m.errs != nil {
		return nil, fmt.Errorf("steadyotel: %w", errors.Join(m.errs...))
	}
	return h, nil
}

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Hook { return check.Must(New(c)) }

// Register adds policies that do not report to h, so that it shows where they stand. It
// keeps them. Each must be a [steady.Inspector], as all policies of this module and chains
// of them are; an error names those that are not, and the others are added. It does no harm if
// a policy is known already.
func (h *Hook) Register(policies ...any) error {
	return h.policies.Register("steadyotel: Register", policies)
}

// Close ends the collection of where policies stand, so that the MeterProvider no longer
// holds h. Events are still reported.
func (h *Hook) Close() error {
	if err := h.registration.Unregister(); err != nil {
		return fmt.Errorf("steadyotel: %w", err)
	}
	return nil
}

// On reports e.
func (h *Hook) On(ctx context.Context, e steady.Event) {
	switch e.Kind {
	case steady.KindDone:
		switch e.Policy {
		case cache:
			h.answered(ctx, e)
			if e.Reason != staleOnError {
				return
			}
		case idempotency:
			h.guarded(ctx, e)
			if e.Reason == run {
				return
			}
		default:
			h.done(ctx, e)
			return // nothing that a span would not tell itself
		}
	case steady.KindNew:
		h.policies.Heard(e.Of)
		return
	case steady.KindRejected:
		s := h.series(e.Policy, e.Name, e.Key)
		h.rejections.Add(ctx, 1, s.with(detail{kind: e.Kind, reason: e.Reason}).add...)
		if e.Wait > 0 {
			h.wait.Record(ctx, e.Wait.Seconds(), s.plain.record...)
		}
		if e.Policy == idempotency {
			h.guarded(ctx, e)
		}
	case steady.KindState:
		if e.From == "" || e.To == "" {
			return // the policy has come or gone, and has not changed
		}
		s := h.series(e.Policy, e.Name, e.Key)
		h.changes.Add(ctx, 1, s.with(detail{kind: e.Kind, from: e.From, to: e.To, reason: e.Reason}).add...)
	case steady.KindRetry:
		h.delay.Record(ctx, e.Delay.Seconds(), h.series(e.Policy, e.Name, e.Key).plain.record...)
	case steady.KindAbandoned:
		s := h.series(e.Policy, e.Name, e.Key)
		h.abandons.Add(ctx, 1, s.plain.add...)
		if e.Policy == cache { // those who wait for it are told so now, and no other event tells of this load
			d := detail{kind: steady.KindLoaded, outcome: steady.Failure, errorType: h.errorType(context.DeadlineExceeded), reason: e.Reason}
			h.loads.Record(ctx, e.Duration.Seconds(), s.with(d).record...)
		}
	case steady.KindLate:
		s := h.series(e.Policy, e.Name, e.Key)
		h.late.Record(ctx, e.Duration.Seconds(), s.with(detail{kind: e.Kind, errorType: h.errorType(e.Err)}).record...)
	case steady.KindDryRun:
		s := h.series(e.Policy, e.Name, e.Key)
		h.dryRun.Add(ctx, 1, s.with(detail{kind: e.Kind, reason: e.Reason}).add...)
	case steady.KindInjected:
		s := h.series(e.Policy, e.Name, e.Key)
		h.injected.Add(ctx, 1, s.with(detail{kind: e.Kind, reason: e.Reason, to: e.To}).add...)
	case steady.KindLoaded:
		h.loaded(ctx, e)
		if e.Outcome == steady.Success || e.Reason == miss {
			return // those who wait for it have events of their own
		}
	case steady.KindEvicted:
		s := h.series(e.Policy, e.Name, e.Key)
		h.evictions.Add(ctx, 1, s.with(detail{kind: e.Kind, reason: e.Reason}).add...)
		return // of another request than that whose span this is
	default:
		return
	}
	if !h.cfg.NoSpanEvents {
		addSpanEvent(ctx, e)
	}
}

// done reports the end of a call.
func (h *Hook) done(ctx context.Context, e steady.Event) {
	s := h.series(e.Policy, e.Name, e.Key)
	a := &s.success
	if e.Outcome != steady.Success {
		a = s.with(detail{kind: e.Kind, outcome: e.Outcome, errorType: h.errorType(e.Err)})
	}
	h.duration.Record(ctx, e.Duration.Seconds(), a.record...)
	if e.Attempt > 0 {
		h.attempts.Record(ctx, int64(e.Attempt), a.record...)
	}
	if e.Wait > 0 {
		h.wait.Record(ctx, e.Wait.Seconds(), s.plain.record...)
	}
}

// errorType returns the attribute error.type of err, or "" if there is no error.
func (h *Hook) errorType(err error) string {
	if err == nil {
		return ""
	}
	if h.cfg.ErrorType != nil {
		if t := h.cfg.ErrorType(err); t != "" {
			return t
		}
	}
	return errorType(err)
}
