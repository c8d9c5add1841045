// Package traps puts resilience libraries side by side in correctness: the faults
// that libraries of this kind have shipped, as scenarios that run against each of
// them through its public API.
//
// A [Scenario] states one promise that any user of a policy would expect, and
// tests it behind a small adapter interface: [Breaker], [Bulkhead], [Retry],
// [Timeout] or [Cache]. A [Library] is a set of adapters, each configured as the library's
// documentation says. [Run] runs every scenario against every library, each pair
// in a process of its own and, inside of it, in the virtual time of
// [testing/synctest], so that neither a crash nor an endless loop of one can end
// the run. The result is a [Matrix].
package traps

import (
	"errors"
	"fmt"
	"slices"
)

// A Library is one column of the matrix: the adapters of the policies that it has.
// A nil func means that it has no such policy.
type Library struct {
	Name   string
	Module string // its path, or "std"

	Breaker  func(BreakerConfig) (Breaker, error)
	Bulkhead func(BulkheadConfig) (Bulkhead, error)
	Retry    func(RetryConfig) (Retry, error)
	Timeout  func(TimeoutConfig) (Timeout, error)
	Cache    func(CacheConfig) (Cache, error)

	// Nonsense is configurations that cannot work, one list for each policy.
	Nonsense map[Policy][]Nonsense
	// Remedies names, by the ID of a scenario, an option that is off by default and
	// that the adapters turn on when the Remedy of their config is set. Whether it
	// helps is tested, not believed.
	Remedies map[string]string
	// Notes quotes, by the ID of a scenario, what the documentation says about it.
	Notes map[string]string
}

// Libraries are all that are compared, this one first.
var Libraries = []Library{
	steadyLibrary,
	failsafeLibrary,
	gobreakerLibrary,
	resiliencyLibrary,
	circuitbreakerLibrary,
	hystrixLibrary,
	backoffLibrary,
	retryGoLibrary,
	goRetryLibrary,
	rican7Library,
	semaphoreLibrary,
	contextLibrary,
	otterLibrary,
	sturdycLibrary,
	singleflightLibrary,
}

// Ours is the name of the library whose every cell must pass.
const Ours = "steady"

// Broken is the name of the column of policies that are broken on purpose. It
// stands in for rivals that cannot be had here: each of its cells must fail, or
// the scenario proves nothing.
const Broken = "broken on purpose"

// A Policy is the kind of policy that a scenario tests.
type Policy string

// The policies that are compared.
const (
	BreakerPolicy  Policy = "breaker"
	BulkheadPolicy Policy = "bulkhead"
	RetryPolicy    Policy = "retry"
	TimeoutPolicy  Policy = "timeout"
	CachePolicy    Policy = "cache"
)

// Policies are all of them, in the order in which they are shown.
var Policies = []Policy{BreakerPolicy, BulkheadPolicy, RetryPolicy, TimeoutPolicy, CachePolicy}

// has reports whether l has such a policy.
func (l Library) has(p Policy) bool {
	switch p {
	case BreakerPolicy:
		return l.Breaker != nil
	case BulkheadPolicy:
		return l.Bulkhead != nil
	case RetryPolicy:
		return l.Retry != nil
	case TimeoutPolicy:
		return l.Timeout != nil
	case CachePolicy:
		return l.Cache != nil
	}
	return false
}

// A Scenario is one row of the matrix.
type Scenario struct {
	ID      string // the number of the trap and a letter
	Policy  Policy
	Name    string
	Promise string // in one sentence, what a user expects

	// Run tests the promise. In a process of its own, in a synctest bubble.
	Run func(l Library, remedy bool) Result
	// Broken, if set, is a library whose policy is broken on purpose in just this
	// way, because no rival that can be had here is.
	Broken *Library
}

// Scenarios are all of them, by policy.
var Scenarios = slices.Concat(breakerScenarios, bulkheadScenarios, retryScenarios, timeoutScenarios, cacheScenarios)

// A Verdict is what a scenario finds.
type Verdict string

// The verdicts. A crash and a hang are failures that the process of the cell
// could not report itself.
const (
	Pass          Verdict = "pass"
	Fail          Verdict = "fail"
	Crash         Verdict = "crash"
	Hang          Verdict = "hang"
	NotApplicable Verdict = "n/a"
)

// Failed reports whether the promise was not kept.
func (v Verdict) Failed() bool { return v == Fail || v == Crash || v == Hang }

// A Result is one cell of the matrix.
type Result struct {
	Verdict Verdict
	Reason  string // in one line
}

func pass(format string, args ...any) Result { return Result{Pass, fmt.Sprintf(format, args...)} }
func fail(format string, args ...any) Result { return Result{Fail, fmt.Sprintf(format, args...)} }

// Lacks is the error of an adapter that cannot do what a scenario needs, because
// the library has nothing of the kind. It makes a cell not applicable.
type Lacks string

func (l Lacks) Error() string { return string(l) }

// notMade is the result of a scenario whose policy could not be made.
func notMade(err error) Result {
	if lacks, ok := errors.AsType[Lacks](err); ok {
		return Result{NotApplicable, string(lacks)}
	}
	return fail("cannot be configured: %v", err)
}

// errDown is the error of a call that fails.
var errDown = errors.New("the server is down")

// Nonsense is a configuration that cannot work, in the terms of one library.
type Nonsense struct {
	What string
	// New makes a policy of it. It returns an error or panics if the library says
	// that it is nonsense.
	New func() error
}

// made is a New that a library has let pass without a word.
func made[T any](T) error { return nil }

// refusesNonsense is trap 15 for one policy.
func refusesNonsense(p Policy) func(Library, bool) Result {
	return func(l Library, _ bool) Result {
		list := l.Nonsense[p]
		if len(list) == 0 {
			return Result{NotApplicable, "has no setting that could be nonsense, or documents what it then means"}
		}
		for _, n := range list {
			if panicked, err := catch(n.New); !panicked && err == nil {
				return fail("accepts %s", n.What)
			}
		}
		return pass("refuses all of %d", len(list))
	}
}

// catch runs f and reports whether it panicked.
func catch(f func() error) (panicked bool, err error) {
	panicked = true
	defer func() {
		if panicked {
			_ = recover()
		}
	}()
	err = f()
	return false, err
}
