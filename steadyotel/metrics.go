package steadyotel

import (
	"slices"

	"github.com/steady-go/steady"
)

// The attributes of metrics and of span events.
const (
	attrPolicy    = "steady.policy"  // the kind of policy: "breaker", "operation", …
	attrName      = "steady.name"    // the Name of its Config
	attrKey       = "steady.key"     // the key of a member of a group; on metrics only through Config.Key
	attrOutcome   = "steady.outcome" // "success", "failure", "ignored"
	attrErrorType = "error.type"     // of a call that was no success: "timeout", "panic", "rejected", "canceled", "_OTHER", or what Config.ErrorType says
	attrReason    = "steady.reason"
	attrState     = "steady.state"
	attrFrom      = "steady.state.from"
	attrTo        = "steady.state.to"
	attrFault     = "steady.fault"  // the Name of a chaos.Fault
	attrSource    = "steady.source" // where an answer of a cache came from: "fresh", "loaded", "stale", "stale on error", "negative", "none"
	attrEffect    = "steady.effect" // such as "hang"
	attrResult    = "steady.result" // what became of a request to an idempotency guard: "run", "replayed", "in flight", …
)

// An Instrument is the kind of a metric, in the words of OpenTelemetry.
type Instrument string

// The instruments.
const (
	Histogram     Instrument = "histogram"
	Counter       Instrument = "counter"
	UpDownCounter Instrument = "up-down counter"
	Gauge         Instrument = "gauge"
)

// A Metric is what the hook reports under one name.
type Metric struct {
	Name        string
	Instrument  Instrument
	Unit        string // by UCUM, the Unified Code for Units of Measure; a thing that is counted stands in braces
	Description string
	Attributes  []string // those that it always has or may have, besides Config.Key's

	// Reserved says that no policy reports it yet.
	Reserved bool

	level string // the level of a [steady.Status] that it shows
}

var byPolicy = []string{attrPolicy, attrName}

func with(attributes ...string) []string { return slices.Concat(byPolicy, attributes) }

// What is told by events.
var (
	callDuration = Metric{
		Name: "steady.call.duration", Instrument: Histogram, Unit: "s", Attributes: with(attrOutcome, attrErrorType),
		Description: "How long calls ran that a policy let through, without the time in its queue; of a retry, all attempts and delays together; of a cache, how long requests waited that it could not answer at once.",
	}
	callRejections = Metric{
		Name: "steady.call.rejections", Instrument: Counter, Unit: "{call}", Attributes: with(attrReason),
		Description: "Calls that a policy refused, or whose context was done before they began.",
	}
	dryRunRejections = Metric{
		Name: "steady.dry_run.rejections", Instrument: Counter, Unit: "{call}", Attributes: with(attrReason),
		Description: "Calls that a policy in a dry run would have refused.",
	}
	queueWait = Metric{
		Name: "steady.queue.wait", Instrument: Histogram, Unit: "s", Attributes: with(),
		Description: "How long calls waited in a queue, whether or not they got through; those that did not wait are left out.",
	}
	retryAttempts = Metric{
		Name: "steady.retry.attempts", Instrument: Histogram, Unit: "{attempt}", Attributes: with(attrOutcome, attrErrorType),
		Description: "How many attempts calls took.",
	}
	retryDelay = Metric{
		Name: "steady.retry.delay", Instrument: Histogram, Unit: "s", Attributes: with(),
		Description: "By how long retries were delayed; its count is that of the retries that were to be made, those included whose caller left meanwhile.",
	}
	stateChanges = Metric{
		Name: "steady.state.changes", Instrument: Counter, Unit: "{change}", Attributes: with(attrFrom, attrTo, attrReason),
		Description: "Changes of state.",
	}
	abandonedCalls = Metric{
		Name: "steady.abandoned.calls", Instrument: Counter, Unit: "{call}", Attributes: with(),
		Description: "Calls that ignored their context and were left running.",
	}
	abandonedDuration = Metric{
		Name: "steady.abandoned.duration", Instrument: Histogram, Unit: "s", Attributes: with(attrErrorType),
		Description: "How long abandoned calls had run when they ended after all.",
	}
	chaosInjected = Metric{
		Name: "steady.chaos.injected", Instrument: Counter, Unit: "{fault}", Attributes: with(attrFault, attrEffect),
		Description: "Faults that were injected on purpose.",
	}
	cacheRequests = Metric{
		Name: "steady.cache.requests", Instrument: Counter, Unit: "{request}", Attributes: with(attrSource),
		Description: "Requests to a cache, by where the answer came from; those that it refused are left out.",
	}
	cacheAge = Metric{
		Name: "steady.cache.age", Instrument: Histogram, Unit: "s", Attributes: with(attrSource),
		Description: "How old answers of a cache were; those that were just loaded are left out.",
	}
	cacheLoads = Metric{
		Name: "steady.cache.loads", Instrument: Histogram, Unit: "s", Attributes: with(attrOutcome, attrErrorType, attrReason),
		Description: "How long the loads of a cache took, until they ended or were left running.",
	}
	cacheEvictions = Metric{
		Name: "steady.cache.evictions", Instrument: Counter, Unit: "{entry}", Attributes: with(attrReason),
		Description: "Entries that a cache dropped to make room for others.",
	}
	idempotencyRequests = Metric{
		Name: "steady.idempotency.requests", Instrument: Counter, Unit: "{request}", Attributes: with(attrResult),
		Description: "Guarded requests, by what became of them.",
	}
)

// What is asked of the policies when metrics are collected.
var (
	states = Metric{
		Name: "steady.state", Instrument: UpDownCounter, Unit: "{policy}", Attributes: with(attrState),
		Description: "How many policies, or members of a group, are in a state: 1 or 0 for a policy of its own.",
	}
	hookPanics = Metric{
		Name: "steady.hook.panics", Instrument: Counter, Unit: "{panic}", Attributes: with(), level: steady.LevelHookPanics,
		Description: "Panics of hooks.",
	}
	unguardedCalls = Metric{
		Name: "steady.group.unguarded", Instrument: Counter, Unit: "{call}", Attributes: with(), level: steady.LevelUnguarded,
		Description: "Calls that were made without a breaker, for want of room in their group.",
	}
	levels = []Metric{
		{
			Name: "steady.in_flight", Instrument: UpDownCounter, Unit: "{call}", Attributes: with(), level: steady.LevelInFlight,
			Description: "Calls that were let in, or that an injector of faults lets hang; of a cache, loads.",
		},
		{
			Name: "steady.in_flight.limit", Instrument: UpDownCounter, Unit: "{call}", Attributes: with(), level: steady.LevelLimit,
			Description: "Calls that may be in flight at once; of a cache, loads.",
		},
		{
			Name: "steady.queue.depth", Instrument: UpDownCounter, Unit: "{call}", Attributes: with(), level: steady.LevelWaiting,
			Description: "Calls that wait in a queue.",
		},
		{
			Name: "steady.queue.limit", Instrument: UpDownCounter, Unit: "{call}", Attributes: with(), level: steady.LevelPlaces,
			Description: "Calls that a queue can hold.",
		},
		{
			Name: "steady.retry.budget", Instrument: UpDownCounter, Unit: "{token}", Attributes: with(), level: steady.LevelTokens,
			Description: "Tokens left in the budget of a retry.",
		},
		{
			Name: "steady.retry.budget.limit", Instrument: UpDownCounter, Unit: "{token}", Attributes: with(), level: steady.LevelMaxTokens,
			Description: "Tokens in the budget of a retry when it is full.",
		},
		{
			Name: "steady.abandoned.running", Instrument: UpDownCounter, Unit: "{call}", Attributes: with(), level: steady.LevelAbandoned,
			Description: "Abandoned calls that are still running.",
		},
		{
			Name: "steady.window.calls", Instrument: UpDownCounter, Unit: "{call}", Attributes: with(), level: steady.LevelWindowCalls,
			Description: "Calls in the window of a breaker that succeeded or failed.",
		},
		{
			Name: "steady.window.failures", Instrument: UpDownCounter, Unit: "{call}", Attributes: with(), level: steady.LevelWindowFailures,
			Description: "Calls in the window of a breaker that failed.",
		},
		{
			Name: "steady.window.slow", Instrument: UpDownCounter, Unit: "{call}", Attributes: with(), level: steady.LevelWindowSlow,
			Description: "Calls in the window of a breaker that were slow.",
		},
		{
			Name: "steady.shed.share", Instrument: Gauge, Unit: "1", Attributes: with(), level: steady.LevelShare,
			Description: "The share of the calls that a group refuses to shed load.",
		},
		{
			Name: "steady.timeout.limit", Instrument: Gauge, Unit: "s", Attributes: with(), level: steady.LevelTimeLimit,
			Description: "How long a call may take; of a cache, a load.",
		},
		{
			Name: "steady.cache.entries", Instrument: UpDownCounter, Unit: "{entry}", Attributes: with(), level: steady.LevelEntries,
			Description: "Entries in a cache, or keys in the memory store of a guard.",
		},
		{
			Name: "steady.cache.entries.limit", Instrument: UpDownCounter, Unit: "{entry}", Attributes: with(), level: steady.LevelMaxEntries,
			Description: "Entries that a cache, or keys that such a store, may hold.",
		},
	}
)

// What policies that are to come will report.
var reserved = []Metric{
	{Name: "steady.hedge.calls", Instrument: Counter, Unit: "{call}", Attributes: with("steady.result"), Description: "Calls that were hedged, by who won: the first attempt or a hedge."},
	{Name: "steady.hedge.attempts", Instrument: Histogram, Unit: "{attempt}", Attributes: with(attrOutcome), Description: "How many attempts hedged calls took."},
	{Name: "steady.inbox.depth", Instrument: UpDownCounter, Unit: "{message}", Attributes: with(attrState), Description: "Messages in an inbox."},
	{Name: "steady.inbox.oldest_age", Instrument: Gauge, Unit: "s", Attributes: with(), Description: "How long the oldest message has waited."},
	{Name: "steady.rate.limit", Instrument: UpDownCounter, Unit: "{call}/s", Attributes: with(), Description: "Calls that a rate limit lets through a second."},
	{Name: "steady.fallback.calls", Instrument: Counter, Unit: "{call}", Attributes: with("steady.alternative"), Description: "Calls that were answered by an alternative."},
}

// Metrics returns all metrics that the hook reports, and those whose names are kept for
// policies that are to come.
func Metrics() []Metric {
	all := []Metric{
		callDuration, callRejections, dryRunRejections, queueWait, retryAttempts, retryDelay,
		stateChanges, abandonedCalls, abandonedDuration, chaosInjected,
		cacheRequests, cacheAge, cacheLoads, cacheEvictions, idempotencyRequests, states, hookPanics, unguardedCalls,
	}
	all = append(all, levels...)
	for _, m := range reserved {
		m.Reserved = true
		all = append(all, m)
	}
	return all
}
