package deploy_test

import (
	"context"
	"fmt"
	"sync/atomic"
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

// everything is a chain of all policies, called so often, around a dependency that fails one call
// in n, and a cache and a guard beside it, of which one load in n fails.
func everything(every time.Duration, n int64) func(*world) system {
	return func(w *world) system {
		nodes := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", Hook: w.hook}, Peers: &breaker.Peers{}})
		p := steady.Chain(
			operation.MustNew(operation.Config{Name: "checkout", Hook: w.hook}),
			timeout.MustNew(timeout.Config{Name: "checkout", Limit: 5 * time.Second, Hook: w.hook}),
			bulkhead.MustNew(bulkhead.Config{Name: "db", Limit: 10, Queue: 10, MaxWait: time.Second, Hook: w.hook}),
			retry.MustNew(retry.Config{Name: "db", Attempts: 1, Hook: w.hook}),
			breaker.MustNew(breaker.Config{Name: "db", Hook: w.hook}),
			nodes.By(func(context.Context) string { return fmt.Sprint("n", w.calls.Load()%3) }),
			timeout.MustNew(timeout.Config{Name: "db", Limit: time.Second, Abandon: true, Hook: w.hook}),
			chaos.MustNew(chaos.Config{Name: "db", Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 1}}, Hook: w.hook}),
		)
		call := w.steadily(n, n)
		users := cache.MustNew[int64, int](cache.Config{
			Name: "users", MaxEntries: 10, Fresh: time.Minute, StaleIfError: time.Hour, LoadTimeout: time.Second, Hook: w.hook,
		})
		var loads atomic.Int64
		load := func(context.Context) (int, error) {
			if nth := loads.Add(1); n > 0 && nth%n == 0 {
				return 0, errBoom
			}
			return 1, nil
		}
		orders := idempotency.MustNew(idempotency.Config{Name: "orders", OnUnknown: idempotency.Rerun, Hook: w.hook})
		return system{every: every, call: func(ctx context.Context) error {
			_, _, _ = idempotency.Do(ctx, orders, fmt.Sprint(w.calls.Load()), "", load)
			_, _, _ = users.Get(ctx, w.calls.Load()%5, load)
			return p.Do(ctx, func(ctx context.Context) error { time.Sleep(20 * time.Millisecond); return call(ctx) })
		}}
	}
}

// Planted: no least number of failures in the alerts on the budget (few calls), an objective of
// 0.9999 (many calls), no for in the alert on bulkheads (bursts), and in those on caches (few calls).
func TestNothingFiresWhileAllIsWell(t *testing.T) {
	for name, build := range map[string]func(*world) system{
		"many calls":                       everything(500*time.Millisecond, 2000),
		"few calls":                        everything(10*time.Minute, 10),
		"no calls":                         everything(0, 0),
		"bursts that the bulkhead refuses": burst,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := phases{time.Hour, 2 * time.Hour, time.Hour}
			live(t, build, p, time.Minute).check(t, "", nil, []expression{never(p.sum(), p.sum(), "")})
		})
	}
}

// burst is everything, and now and then a moment in which half of the calls are refused.
func burst(w *world) system {
	s := everything(time.Second, 0)(w)
	b := bulkhead.MustNew(bulkhead.Config{Name: "cron", Limit: 10, Hook: w.hook})
	s.fail = func() {
		for range 20 {
			go func() {
				_ = b.Do(w.t.Context(), func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil })
			}()
		}
	}
	s.heal = s.fail // a counter appears with the first burst, so that only the second is seen
	return s
}

// A breaker opens because a node is down, and the retry goes to another: that is worth a ticket, and wakes nobody.
func TestWhatARetryMakesUpForIsNoLossOfAvailability(t *testing.T) {
	t.Parallel()
	p := phases{10 * time.Minute, 20 * time.Minute, 10 * time.Minute}
	r := live(t, func(w *world) system {
		o := operation.MustNew(operation.Config{Name: "checkout", Hook: w.hook})
		again := retry.MustNew(retry.Config{Name: "nodes", Hook: w.hook})
		g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", Hook: w.hook}, Peers: &breaker.Peers{}})
		p := steady.Chain(o, again)
		all := []string{"n1", "n2", "n3", "n4", "n5"}
		return system{every: time.Second, call: func(ctx context.Context) error {
			var tried []string
			return p.Do(ctx, func(ctx context.Context) error {
				node, permit, err := g.Pick(ctx, all, tried)
				if err != nil {
					return err
				}
				tried = append(tried, node)
				return permit.Do(ctx, func(ctx context.Context) error {
					if node == "n1" {
						return w.outage(ctx)
					}
					return nil
				})
			})
		}}
	}, p, 15*time.Second)
	r.check(t, "", nil, []expression{
		never(p.sum(), p.sum(), "SteadyBreakerNotClosed"),
		{
			Expr: `sum by (alertname) (` + firing + `)`, At: seconds(p.before + p.failing),
			Samples: []sample{{Labels: `{alertname="SteadyBreakerNotClosed"}`, Value: 1}},
		},
		{
			Expr: `steady:breakers:sum`, At: seconds(p.before + p.failing), // five in two instances; the group itself is none
			Samples: []sample{{Labels: `steady:breakers:sum{job="shop", steady_name="nodes"}`, Value: 10}},
		},
		{
			Expr: `steady:operation_errors:ratio_rate30m`, At: seconds(p.before + p.failing),
			Samples: []sample{{Labels: `steady:operation_errors:ratio_rate30m{job="shop", steady_name="checkout"}`}},
		},
	})
}

// The README shows this file.
func TestAnOperationMayHaveAnObjectiveOfItsOwn(t *testing.T) {
	t.Parallel()
	own := readmeBlock(t, "steady:operation_objective:own")
	p := phases{before: time.Hour, failing: time.Hour, after: time.Minute}
	r := live(t, func(w *world) system {
		search := operation.MustNew(operation.Config{Name: "search", Hook: w.hook})
		checkout := operation.MustNew(operation.Config{Name: "checkout", Hook: w.hook})
		call := w.steadily(0, 20)
		return system{every: time.Second, call: func(ctx context.Context) error {
			err := call(ctx)
			same := func(context.Context) error { return err }
			_ = checkout.Do(ctx, same)
			return search.Do(ctx, same)
		}}
	}, p, time.Minute)
	at := seconds(p.before + p.failing)
	objective := func(name string, is float64) expression {
		return expression{
			Expr: fmt.Sprintf(`steady:operation_objective:ratio{steady_name=%q}`, name), At: at,
			Samples: []sample{{Labels: fmt.Sprintf(`steady:operation_objective:ratio{job="shop", steady_name=%q}`, name), Value: is}},
		}
	}
	fast := expression{
		Expr: `count by (steady_name) (ALERTS{alertstate="firing", alertname="SteadyOperationBurnsBudgetFast"})`, At: at,
		Samples: []sample{{Labels: `{steady_name="checkout"}`, Value: 1}},
	}
	r.check(t, own, nil, []expression{objective("search", 0.99), objective("checkout", 0.999), fast})

	t.Run("unless it is no share", func(t *testing.T) {
		r.check(t, `{groups: [{name: own, rules: [{record: "steady:operation_objective:own", expr: vector(99), labels: {steady_name: search}}]}]}`, nil,
			[]expression{objective("search", 0.999)})
	})
}

// Where nothing is called there is no share of it: no NaN, and no alert that goes on.
func TestAnOperationThatNobodyCallsIsNotBurning(t *testing.T) {
	t.Parallel()
	p := phases{before: time.Hour, failing: 20 * time.Minute, after: time.Hour}
	r := live(t, func(w *world) system {
		o := operation.MustNew(operation.Config{Name: "checkout", Hook: w.hook})
		return system{every: time.Second, call: func(ctx context.Context) error {
			if time.Since(w.began) > p.before+p.failing {
				return nil
			}
			return o.Do(ctx, w.steadily(0, 5))
		}}
	}, p, time.Minute)
	r.check(t, "", nil, []expression{
		{Expr: `steady:operation_errors:ratio_rate5m`, At: seconds(p.sum())},
		never(p.sum(), p.after-6*time.Minute, burns[1:]...),
		{
			Expr: `sum by (alertname) (ALERTS{alertstate="firing", alertname="SteadyOperationBurnsBudgetFast"})`, At: seconds(p.before + p.failing),
			Samples: []sample{{Labels: `{alertname="SteadyOperationBurnsBudgetFast"}`, Value: 1}},
		},
	})
}

// A caller that cancels is no failure, nor is one that had cancelled before it came: of six here two have, and two do. Of the
// other two one gets an error, which is half. And a bulkhead that they all ask has refused nobody for want of room.
//
// Planted: ignored calls count among all, and any reason among the refusals.
func TestCallersThatLeaveBurnNoBudget(t *testing.T) {
	t.Parallel()
	p := phases{before: 10 * time.Minute, failing: 10 * time.Minute, after: time.Minute}
	r := live(t, func(w *world) system {
		o := operation.MustNew(operation.Config{Name: "checkout", Hook: w.hook})
		b := bulkhead.MustNew(bulkhead.Config{Name: "db", Limit: 10, Hook: w.hook})
		return system{every: time.Second, call: func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			n := w.calls.Add(1) % 6
			if n < 2 {
				cancel()
			}
			_ = b.Do(ctx, func(context.Context) error { return nil })
			return o.Do(ctx, func(ctx context.Context) error {
				switch n {
				case 2, 3:
					cancel()
					return ctx.Err()
				case 4:
					return errBoom
				}
				return nil
			})
		}}
	}, p, time.Minute)
	require.NotEmpty(t, r.with("steady_call_rejections_total"), "some had gone")
	r.check(t, "", nil, []expression{
		{
			Expr: `steady:operation_errors:ratio_rate5m`, At: seconds(p.before + p.failing),
			Samples: []sample{{Labels: `steady:operation_errors:ratio_rate5m{job="shop", steady_name="checkout"}`, Value: 0.5}},
		},
		never(p.sum(), p.sum(), burns...),
	})
}
