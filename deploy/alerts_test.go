package deploy_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/operation"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// A scenario is one way in which a service goes wrong, and the alert for it.
type scenario struct {
	alert  string
	also   []string          // others that fire too, at any time from the failing phase on
	labels map[string]string // of the alert, besides job, steady_name and severity
	name   string            // of the policy
	says   string            // the summary, when the alert is just due
	phases
	patience time.Duration // for so long of the failing phase the alert does not fire
	within   time.Duration // from its beginning on it does
	lingers  time.Duration // and from its end on no more
	scrape   time.Duration // 0 means 15s
	build    func(*world) system
}

var burns = []string{
	"SteadyOperationBurnsBudgetFast", "SteadyOperationBurnsBudget", "SteadyOperationBurnsBudgetSlowly", "SteadyOperationMissesObjective",
}

// burning is an operation of which one call in so many fails while the world is failing.
func burning(oneIn int64) func(*world) system {
	return func(w *world) system {
		o := operation.MustNew(operation.Config{Name: "checkout", Hook: w.hook})
		call := w.steadily(0, oneIn)
		return system{every: time.Second, call: func(ctx context.Context) error { return o.Do(ctx, call) }}
	}
}

// nodes calls one of ten nodes after the other, of which those before down are down while the world is failing.
func nodes(w *world, g *breaker.Group, down int64) func(context.Context) error {
	return func(ctx context.Context) error {
		n := w.calls.Add(1) % 10
		return g.Do(ctx, fmt.Sprint("n", n), func(ctx context.Context) error {
			if n < down {
				return w.outage(ctx)
			}
			return nil
		})
	}
}

// takes is how long a call takes: 100 ms, and so much while the world is failing.
func takes(w *world, d time.Duration) func(context.Context) error {
	return func(context.Context) error {
		if w.failing.Load() {
			time.Sleep(d)
		} else {
			time.Sleep(100 * time.Millisecond)
		}
		return nil
	}
}

// cached asks a cache for one of ten keys after the other, whose loads fail while the world is failing.
func cached(w *world, c cache.Config) system {
	c.Name, c.MaxEntries, c.LoadTimeout, c.Hook = "users", 100, time.Second, w.hook
	users := cache.MustNew[int64, int](c)
	return system{every: time.Second, call: func(ctx context.Context) error {
		_, _, err := users.Get(ctx, w.calls.Add(1)%10, func(ctx context.Context) (int, error) { return 1, w.outage(ctx) })
		return err
	}}
}

// guarded asks a guard for one of ten keys after the other, and while the world is failing for new ones.
func guarded(w *world, c idempotency.Config) system {
	c.Name, c.OnUnknown, c.Hook = "orders", idempotency.Rerun, w.hook
	orders := idempotency.MustNew(c)
	return system{every: time.Second, call: func(ctx context.Context) error {
		key := w.calls.Add(1)
		if !w.failing.Load() {
			key %= 10
		}
		_, _, err := idempotency.Do(ctx, orders, fmt.Sprint(key), "", func(context.Context) (int, error) { return 1, nil })
		return err
	}}
}

// An unreliable store is down while the world is failing.
type unreliable struct {
	idempotency.Store
	w *world
}

func (s unreliable) Begin(ctx context.Context, c idempotency.Claim) (idempotency.Grant, error) {
	if err := s.w.outage(ctx); err != nil {
		return idempotency.Grant{}, err
	}
	return s.Store.Begin(ctx, c)
}

var scenarios = []scenario{
	{
		alert: "SteadyOperationBurnsBudgetFast", also: burns[1:], name: "checkout",
		says:   "checkout of shop fails: 20% of its calls in the last 5 minutes",
		phases: phases{time.Hour, 20 * time.Minute, 30 * time.Minute}, patience: 4 * time.Minute, within: 5 * time.Minute, lingers: 6 * time.Minute, scrape: time.Minute,
		build: burning(5),
	},
	{
		alert: "SteadyOperationBurnsBudget", also: burns[2:], name: "checkout",
		says:   "checkout of shop fails: 1% of its calls in the last half hour",
		phases: phases{2 * time.Hour, 4 * time.Hour, time.Hour}, within: 3*time.Hour + 30*time.Minute, lingers: 31 * time.Minute, scrape: time.Minute,
		build: burning(100),
	},
	{
		alert: "SteadyOperationBurnsBudgetSlowly", also: burns[3:], name: "checkout",
		says:   "checkout of shop fails: 0.3193% of its calls in the last 2 hours",
		phases: phases{30 * time.Minute, 4 * time.Hour, 150 * time.Minute}, within: 50 * time.Minute, lingers: 2*time.Hour + 2*time.Minute, scrape: 2 * time.Minute,
		build: burning(180),
	},
	{
		alert: "SteadyOperationMissesObjective", name: "checkout",
		says:   "checkout of shop fails: 0.1765% of its calls in the last 6 hours",
		phases: phases{30 * time.Minute, 5 * time.Hour, 400 * time.Minute}, within: 66 * time.Minute, lingers: 6*time.Hour + 2*time.Minute, scrape: 2 * time.Minute,
		build: burning(350),
	},
	{
		alert: "SteadyBreakerNotClosed", name: "db", says: "Breaker db of shop: 2 of 2 not closed",
		phases: phases{10 * time.Minute, 10 * time.Minute, 5 * time.Minute}, patience: 5 * time.Minute, within: 6 * time.Minute, lingers: 2 * time.Minute,
		build: func(w *world) system {
			db := breaker.MustNew(breaker.Config{Name: "db", ConsecutiveFailures: 5, Hook: w.hook})
			return system{every: time.Second, call: func(ctx context.Context) error { return db.Do(ctx, w.outage) }}
		},
	},
	{
		alert: "SteadyGroupMostlyNotClosed", also: []string{"SteadyBreakerNotClosed"}, name: "tenants",
		says:   "Group tenants of shop: 60% of its members not closed",
		phases: phases{10 * time.Minute, 10 * time.Minute, 5 * time.Minute}, patience: 2 * time.Minute, within: 4 * time.Minute, lingers: 3 * time.Minute,
		build: func(w *world) system {
			g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "tenants", ConsecutiveFailures: 2, Hook: w.hook}})
			return system{every: time.Second, call: nodes(w, g, 6)}
		},
	},
	{
		alert: "SteadyGroupSheds", name: "nodes", says: "Group nodes of shop sheds load: up to 95.16% of the calls are refused",
		phases: phases{5 * time.Minute, 10 * time.Minute, 5 * time.Minute}, patience: 2 * time.Minute, within: 4 * time.Minute, lingers: 2 * time.Minute,
		build: func(w *world) system {
			g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", Hook: w.hook}, Peers: &breaker.Peers{}})
			return system{every: 50 * time.Millisecond, call: nodes(w, g, 10)}
		},
	},
	{
		alert: "SteadyBreakerForced", name: "db", labels: map[string]string{"steady_state": "forced-closed"},
		says:   "Breaker db of shop: 2 forced-closed by hand for an hour",
		phases: phases{10 * time.Minute, 80 * time.Minute, 10 * time.Minute}, patience: time.Hour, within: 61 * time.Minute, lingers: time.Minute, scrape: time.Minute,
		build: func(w *world) system {
			db := breaker.MustNew(breaker.Config{Name: "db", Hook: w.hook})
			return system{fail: db.ForceClosed, heal: db.Reset}
		},
	},
	{
		alert: "SteadyQueueSlow", name: "db", says: "Queue of db of shop: 42.58% of the calls wait for more than half a second",
		phases: phases{10 * time.Minute, 10 * time.Minute, 15 * time.Minute}, patience: 2 * time.Minute, within: 3 * time.Minute, lingers: 6 * time.Minute,
		build: func(w *world) system {
			// Seven calls in 10 s, which two permits bear also when a call takes 2.7 s; but five of them wait.
			b := bulkhead.MustNew(bulkhead.Config{Name: "db", Limit: 2, Queue: 20, MaxWait: 5 * time.Second, Hook: w.hook})
			return system{every: time.Second, call: func(ctx context.Context) error {
				if w.calls.Add(1)%10 < 7 {
					return b.Do(ctx, takes(w, 2700*time.Millisecond))
				}
				return nil
			}}
		},
	},
	{
		alert: "SteadyQueueFull", also: []string{"SteadyQueueSlow", "SteadyBulkheadRefuses"}, name: "db", says: "Queue of db of shop is 100% full",
		phases: phases{10 * time.Minute, 4 * time.Minute, 15 * time.Minute}, patience: 2 * time.Minute, within: 3 * time.Minute, lingers: time.Minute,
		build: func(w *world) system {
			b := bulkhead.MustNew(bulkhead.Config{Name: "db", Limit: 2, Queue: 20, MaxWait: time.Minute, Hook: w.hook})
			return system{every: time.Second, call: func(ctx context.Context) error { return b.Do(ctx, takes(w, 3*time.Second)) }}
		},
	},
	{
		alert: "SteadyBulkheadRefuses", name: "db", says: "Bulkhead db of shop refuses 33.33% of the calls",
		phases: phases{10 * time.Minute, 10 * time.Minute, 15 * time.Minute}, patience: 5 * time.Minute, within: 6 * time.Minute, lingers: 6 * time.Minute,
		build: func(w *world) system {
			b := bulkhead.MustNew(bulkhead.Config{Name: "db", Limit: 2, Hook: w.hook})
			return system{every: time.Second, call: func(ctx context.Context) error { return b.Do(ctx, takes(w, 2500*time.Millisecond)) }}
		},
	},
	{
		alert: "SteadyRetryBudgetEmpty", name: "db", says: "Retry db of shop: 2% of the budget left",
		phases: phases{10 * time.Minute, 10 * time.Minute, 10 * time.Minute}, patience: time.Minute, within: 3 * time.Minute, lingers: 2 * time.Minute,
		build: func(w *world) system {
			r := retry.MustNew(retry.Config{Name: "db", Hook: w.hook})
			return system{every: time.Second, call: func(ctx context.Context) error { return r.Do(ctx, w.outage) }}
		},
	},
	{
		alert: "SteadyRetryAmplifies", name: "db", says: "Retry db of shop: 3 attempts a call",
		phases: phases{10 * time.Minute, 15 * time.Minute, 10 * time.Minute}, patience: 10 * time.Minute, within: 13 * time.Minute, lingers: 5 * time.Minute,
		build: func(w *world) system {
			r := retry.MustNew(retry.Config{Name: "db", Budget: retry.NoBudget, Hook: w.hook})
			return system{every: time.Second, call: func(ctx context.Context) error { return r.Do(ctx, w.outage) }}
		},
	},
	{
		alert: "SteadyAbandonedPileUp", name: "dns", labels: map[string]string{"steady_policy": "timeout"},
		says:   "Abandoned calls of timeout dns of shop: 21 run on in one instance",
		phases: phases{10 * time.Minute, 10 * time.Minute, 5 * time.Minute}, patience: 5 * time.Minute, within: 7 * time.Minute, lingers: 2 * time.Minute,
		build: func(w *world) system {
			limit := timeout.MustNew(timeout.Config{Name: "dns", Limit: time.Second, Abandon: true, MaxAbandoned: 20, Hook: w.hook})
			return system{every: time.Second, call: func(ctx context.Context) error {
				return limit.Do(ctx, func(context.Context) error {
					for w.failing.Load() {
						time.Sleep(10 * time.Second)
					}
					return nil
				})
			}}
		},
	},
	{
		alert: "SteadyAbandonedPileUp", also: []string{"SteadyCacheRefuses"}, name: "users", labels: map[string]string{"steady_policy": "cache"},
		says:   "Abandoned calls of cache users of shop: 20 run on in one instance",
		phases: phases{10 * time.Minute, 10 * time.Minute, 10 * time.Minute}, patience: 5 * time.Minute, within: 7 * time.Minute, lingers: 6 * time.Minute,
		build: func(w *world) system {
			users := cache.MustNew[int64, int](cache.Config{Name: "users", MaxEntries: 100, Fresh: time.Minute, LoadTimeout: time.Second, MaxLoads: 20, Hook: w.hook})
			return system{every: time.Second, call: func(ctx context.Context) error {
				_, _, err := users.Get(ctx, w.calls.Add(1), func(context.Context) (int, error) {
					for w.failing.Load() {
						time.Sleep(10 * time.Second)
					}
					return 1, nil
				})
				return err
			}}
		},
	},
	{
		alert: "SteadyCacheServesStaleOnError", also: []string{"SteadyCacheLoadsFail"}, name: "users",
		says:   "Cache users of shop serves stale values for 100% of the requests, since loads fail",
		phases: phases{10 * time.Minute, 10 * time.Minute, 10 * time.Minute}, patience: 5 * time.Minute, within: 7 * time.Minute, lingers: 6 * time.Minute,
		build: func(w *world) system {
			return cached(w, cache.Config{Fresh: 30 * time.Second, StaleIfError: time.Hour, RefreshAhead: cache.NoRefreshAhead})
		},
	},
	{
		// All in the background, so that no caller notices.
		alert: "SteadyCacheLoadsFail", name: "users", says: "Cache users of shop: 100% of the loads bring nothing",
		phases: phases{10 * time.Minute, 10 * time.Minute, 10 * time.Minute}, patience: 5 * time.Minute, within: 8 * time.Minute, lingers: 6 * time.Minute,
		build: func(w *world) system {
			return cached(w, cache.Config{Fresh: time.Minute, StaleWhileRevalidate: time.Hour})
		},
	},
	{
		alert: "SteadyCacheRefuses", name: "users", says: "Cache users of shop refuses 33.33% of the requests",
		phases: phases{10 * time.Minute, 10 * time.Minute, 15 * time.Minute}, patience: 5 * time.Minute, within: 6 * time.Minute, lingers: 6 * time.Minute,
		build: func(w *world) system {
			users := cache.MustNew[int64, int](cache.Config{Name: "users", MaxEntries: 100, Fresh: time.Minute, LoadTimeout: time.Minute, MaxLoads: 2, Hook: w.hook})
			return system{every: time.Second, call: func(ctx context.Context) error {
				_, _, err := users.Get(ctx, w.calls.Add(1), func(ctx context.Context) (int, error) { return 1, takes(w, 2500*time.Millisecond)(ctx) })
				return err
			}}
		},
	},
	{
		alert: "SteadyIdempotencyStoreFails", name: "orders", says: "Guard orders of shop: its store fails for 100% of the requests",
		phases: phases{10 * time.Minute, 10 * time.Minute, 10 * time.Minute}, patience: 5 * time.Minute, within: 6 * time.Minute, lingers: 6 * time.Minute,
		build: func(w *world) system {
			store, err := idempotency.NewMemoryStore(idempotency.MemoryConfig{})
			require.NoError(w.t, err)
			return guarded(w, idempotency.Config{Store: unreliable{store, w}})
		},
	},
	{
		alert: "SteadyIdempotencyKeysFull", name: "orders", says: "Guard orders of shop: 100% of its keys are taken", also: []string{"SteadyIdempotencyStoreFails"},
		phases: phases{5 * time.Minute, 25 * time.Minute, 50 * time.Minute}, patience: 5 * time.Minute, within: 20 * time.Minute, lingers: 35 * time.Minute,
		build: func(w *world) system {
			store, err := idempotency.NewMemoryStore(idempotency.MemoryConfig{MaxKeys: 700})
			require.NoError(w.t, err)
			return guarded(w, idempotency.Config{Store: store, MaxRun: time.Minute, Keep: 30 * time.Minute})
		},
	},
	{
		alert: "SteadyGroupOutOfRoom", name: "tenants", says: "Group tenants of shop: 120 calls without a breaker in 15 minutes",
		phases: phases{10 * time.Minute, 5 * time.Minute, 20 * time.Minute}, within: 2 * time.Minute, lingers: 16 * time.Minute,
		build: func(w *world) system {
			g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "tenants", Hook: w.hook}, MaxKeys: 10})
			return system{every: time.Second, call: func(ctx context.Context) error {
				keys := int64(10)
				if w.failing.Load() {
					keys = 20
				}
				return g.Do(ctx, fmt.Sprint("t", w.calls.Add(1)%keys), func(context.Context) error { return nil })
			}}
		},
	},
	{
		alert: "SteadyHookPanics", name: "checkout", labels: map[string]string{"steady_policy": "operation"},
		says:   "The hook of operation checkout of shop panicked 240 times in 15 minutes",
		phases: phases{10 * time.Minute, 5 * time.Minute, 20 * time.Minute}, within: 2 * time.Minute, lingers: 16 * time.Minute,
		build: func(w *world) system {
			broken := steady.HookFunc(func(context.Context, steady.Event) {
				if w.failing.Load() {
					panic("broken")
				}
			})
			o := operation.MustNew(operation.Config{Name: "checkout", Hook: steady.Hooks(w.hook, broken)})
			return system{every: time.Second, call: func(ctx context.Context) error { return o.Do(ctx, func(context.Context) error { return nil }) }}
		},
	},
	{
		alert: "SteadyChaosArmed", name: "db", says: "Chaos db of shop is armed in 2 instances",
		phases: phases{10 * time.Minute, 5 * time.Minute, 5 * time.Minute}, within: time.Minute, lingers: time.Minute,
		build: func(w *world) system {
			i := chaos.MustNew(chaos.Config{Name: "db", Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 1}}, Hook: w.hook})
			return system{
				every: time.Second, call: func(ctx context.Context) error { return i.Do(ctx, w.outage) },
				fail: func() { require.NoError(w.t, i.Arm(5*time.Minute)) }, // and it disarms itself
			}
		},
	},
	{
		alert: "SteadyDryRunRefuses", name: "db", labels: map[string]string{"steady_policy": "bulkhead", "steady_reason": "full"},
		says:   "Dry run of bulkhead db of shop: 80 calls would have been refused in 15 minutes (full)",
		phases: phases{10 * time.Minute, 5 * time.Minute, 20 * time.Minute}, within: 2 * time.Minute, lingers: 16 * time.Minute,
		build: func(w *world) system {
			b := bulkhead.MustNew(bulkhead.Config{Name: "db", Limit: 2, DryRun: true, Hook: w.hook})
			return system{every: time.Second, call: func(ctx context.Context) error { return b.Do(ctx, takes(w, 2500*time.Millisecond)) }}
		},
	},
}

const firing = `ALERTS{alertstate="firing"}`

// never says that no alert but those allowed fired in the time before at, for so long.
func never(at, long time.Duration, allowed ...string) expression {
	return expression{
		Expr: fmt.Sprintf(`count by (alertname) (count_over_time(ALERTS{alertstate="firing", alertname!~%q}[%s]))`, strings.Join(allowed, "|"), seconds(long)),
		At:   seconds(at),
	}
}

// Planted, in each alert: twice its threshold, no for, the long window in place of the short one, a state or a label that is none, and
// a metric under another name in steadyotel.
func TestAlertsFireWhileSomethingIsWrongAndOnlyThen(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.alert, func(t *testing.T) {
			t.Parallel()
			if s.scrape == 0 {
				s.scrape = 15 * time.Second
			}
			r := live(t, s.build, s.phases, s.scrape)

			rule := alert(t, s.alert)
			labels := map[string]string{"job": "shop", "steady_name": s.name, "severity": rule.Labels["severity"]}
			maps.Copy(labels, s.labels)
			due := alertTest{At: seconds(s.before + s.within), Name: s.alert, ExpAlerts: []expAlert{{Labels: labels, Annotations: map[string]string{
				"summary": s.says, "description": filled(rule.Annotations["description"], labels), "runbook_url": rule.Annotations["runbook_url"],
			}}}}

			begin, end := s.before, s.before+s.failing
			others := append(slices.Clone(s.also), s.alert)
			still := expression{Expr: fmt.Sprintf(`count by (alertname) (ALERTS{alertstate="firing", alertname=%q})`, s.alert), At: seconds(end)}
			still.Samples = []sample{{Labels: fmt.Sprintf("{alertname=%q}", s.alert), Value: 1}}
			over := never(s.sum(), s.after-s.lingers, s.also...)
			expressions := []expression{still, over, never(begin, begin, ""), never(begin+s.patience, begin+s.patience, s.also...), never(s.sum(), s.sum(), others...)}
			for _, a := range s.also {
				expressions = append(expressions, expression{
					Expr:    fmt.Sprintf(`count by (alertname) (count_over_time(ALERTS{alertstate="firing", alertname=%q}[%s]) > 0)`, a, seconds(s.sum())),
					At:      seconds(s.sum()),
					Samples: []sample{{Labels: fmt.Sprintf("{alertname=%q}", a), Value: 1}},
				})
			}
			r.check(t, "", []alertTest{due}, expressions)
		})
	}
}

// filled puts labels into an annotation.
func filled(template string, labels map[string]string) string {
	for l, v := range labels {
		template = strings.ReplaceAll(template, "{{ $labels."+l+" }}", v)
	}
	return template
}
