package speed_test

import (
	"context"
	"os"
	"regexp"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/bench/speed"
)

// Each case must do in each library what it says, or a ratio means nothing.

func TestEveryCaseIsBenchmarked(t *testing.T) {
	source, err := os.ReadFile("bench_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(speed.Cases(), speed.Floors()) {
		if !regexp.MustCompile(`(?m)^func Benchmark` + c.Name + `\(.*"` + c.Name + `"`).Match(source) {
			t.Errorf("there is no benchmark of %s", c.Name)
		}
	}
}

func TestEveryCaseNamesItsFloorAndThisLibrary(t *testing.T) {
	for _, c := range speed.Cases() {
		seen := map[string]bool{}
		for _, v := range c.Variants {
			if seen[v.Lib] {
				t.Errorf("%s: there are two variants of %s", c.Name, v.Lib)
			}
			seen[v.Lib] = true
		}
		if !seen[speed.Steady] || !seen[c.Floor] {
			t.Errorf("%s: wants %s and the floor %q", c.Name, speed.Steady, c.Floor)
		}
	}
}

func TestEveryCaseRuns(t *testing.T) {
	for _, c := range append(speed.Cases(), speed.Floors()) {
		for _, v := range c.Variants {
			t.Run(c.Name+"/"+v.Lib, func(t *testing.T) {
				ctx, cancel := c.Caller.Context()
				defer cancel()
				do, call := v.New(), c.Call()
				for range 3 {
					_ = do(ctx, call)
				}
			})
		}
	}
}

// libraries runs test for each library in the case, floors not included.
func libraries(t *testing.T, name string, test func(t *testing.T, v speed.Variant)) {
	for _, v := range find(t, name).Variants {
		if !v.Floor {
			t.Run(name+"/"+v.Lib, func(t *testing.T) { test(t, v) })
		}
	}
}

// made makes n calls and returns how many were started and how many returned nil.
func made(do measure.Do, n int, call func(context.Context) error) (started, succeeded int) {
	for range n {
		err := do(context.Background(), func(ctx context.Context) error {
			started++
			return call(ctx)
		})
		if err == nil {
			succeeded++
		}
	}
	return started, succeeded
}

func TestClosedBreakerLetsCallsThrough(t *testing.T) {
	for _, name := range []string{"BreakerClosed", "BreakerClosedDeadline", "BreakerFailing1", "BreakerFailing50", "BreakerCountWindow", "BreakerSlowCalls"} {
		libraries(t, name, func(t *testing.T, v speed.Variant) {
			failures := map[string]int{"BreakerFailing1": 5, "BreakerFailing50": 250}[name]
			started, succeeded := made(v.New(), 500, find(t, name).Call())
			if started != 500 || succeeded != 500-failures {
				t.Errorf("of 500 calls %d were started and %d succeeded, want %d", started, succeeded, 500-failures)
			}
		})
	}
}

// A breaker that never opens would be cheap.
func TestClosedBreakerOpens(t *testing.T) {
	for _, name := range []string{"BreakerClosed", "BreakerCountWindow", "BreakerSlowCalls"} {
		libraries(t, name, func(t *testing.T, v speed.Variant) {
			do := v.New()
			for range 100 {
				if started, _ := made(do, 100, measure.Fails); started < 100 {
					return
				}
				time.Sleep(time.Millisecond) // hystrix-go counts on a goroutine
			}
			t.Error("does not open although all calls fail")
		})
	}
}

func TestOpenBreakerRefuses(t *testing.T) {
	libraries(t, "BreakerOpen", func(t *testing.T, v speed.Variant) {
		if started, succeeded := made(v.New(), 100, measure.Ignores); started != 0 || succeeded != 0 {
			t.Errorf("%d of 100 calls were started, %d succeeded", started, succeeded)
		}
	})
}

func TestFreeBulkheadLetsCallsThrough(t *testing.T) {
	libraries(t, "BulkheadFree", func(t *testing.T, v speed.Variant) {
		do := v.New()
		if started, succeeded := made(do, 100, measure.Ignores); started != 100 || succeeded != 100 {
			t.Errorf("of 100 calls %d were started and %d succeeded", started, succeeded)
		}
	})
}

func TestFullBulkheadRefuses(t *testing.T) {
	libraries(t, "BulkheadFull", func(t *testing.T, v speed.Variant) {
		if started, succeeded := made(v.New(), 100, measure.Ignores); started != 0 || succeeded != 0 {
			t.Errorf("%d of 100 calls were started, %d succeeded", started, succeeded)
		}
	})
}

func TestContendedBulkheadLetsOneInAtATime(t *testing.T) {
	libraries(t, "BulkheadContended", func(t *testing.T, v speed.Variant) {
		do := v.New()
		inside, calls := 0, 0 // guarded by the bulkhead
		done := make(chan error)
		for range 8 {
			go func() {
				var failed error
				for range 50 {
					err := do(context.Background(), func(ctx context.Context) error {
						if inside++; inside > 1 {
							t.Error("two calls at once")
						}
						err := measure.Yields(ctx)
						inside--
						calls++
						return err
					})
					if err != nil {
						failed = err
					}
				}
				done <- failed
			}()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if calls != 400 {
			t.Errorf("%d of 400 calls were made", calls)
		}
	})
}

func TestRetryMakesAsManyAttemptsAsNeeded(t *testing.T) {
	for name, want := range map[string]int{"RetryFirst": 1, "RetryTwoFailures": 3} {
		libraries(t, name, func(t *testing.T, v speed.Variant) {
			if started, succeeded := made(v.New(), 1, find(t, name).Call()); started != want || succeeded != 1 {
				t.Errorf("%d attempts, %d calls succeeded; want %d attempts", started, succeeded, want)
			}
		})
	}
}

func TestRetryGivesUpAfterThreeAttempts(t *testing.T) {
	for _, name := range []string{"RetryFirst", "RetryTwoFailures"} {
		libraries(t, name, func(t *testing.T, v speed.Variant) {
			synctest.Test(t, func(t *testing.T) {
				if started, succeeded := made(v.New(), 1, measure.Fails); started != 3 || succeeded != 0 {
					t.Errorf("%d attempts, %d calls succeeded; want 3 attempts", started, succeeded)
				}
			})
		})
	}
}

func TestTimeoutGivesTheCallADeadline(t *testing.T) {
	for _, name := range []string{"TimeoutIgnored", "TimeoutWaited", "PipelineIgnored", "PipelineWaited", "PipelineShownIgnored", "PipelineShownWaited"} {
		libraries(t, name, func(t *testing.T, v speed.Variant) {
			var limited bool
			err := v.New()(context.Background(), func(ctx context.Context) error {
				_, limited = ctx.Deadline()
				if v.Lib == "failsafe-go" {
					limited = ctx.Done() != nil // its timer is not the context's
				}
				return nil
			})
			if want := v.Lacks == ""; err != nil || limited != want {
				t.Errorf("limited: %t, want %t; error %v", limited, want, err)
			}
		})
	}
}

// The limit must end a call that waits for it.
func TestTimeoutEndsTheCall(t *testing.T) {
	for _, name := range []string{"TimeoutWaited", "PipelineWaited", "PipelineShownWaited"} {
		libraries(t, name, func(t *testing.T, v speed.Variant) {
			if v.Lacks != "" {
				t.Skip(v.Lacks)
			}
			synctest.Test(t, func(t *testing.T) {
				err := v.New()(context.Background(), func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				})
				if err == nil {
					t.Error("no error")
				}
			})
		})
	}
}

func TestCacheHasTheKey(t *testing.T) {
	libraries(t, "CacheHit", func(t *testing.T, v speed.Variant) {
		started, succeeded := made(v.New(), 100, measure.Ignores)
		if started != 0 || succeeded != 100 {
			t.Errorf("of 100 Gets %d got the value; the call was made %d times", succeeded, started)
		}
	})
}

func TestAKeyIsTakenAndItsOutcomeStored(t *testing.T) {
	libraries(t, "IdempotencyKey", func(t *testing.T, v speed.Variant) {
		started, succeeded := made(v.New(), 200_000, measure.Ignores) // the keys come several times
		if started != 200_000 || succeeded != 200_000 {
			t.Errorf("of 200,000 keys %d were taken and %d stored", started, succeeded)
		}
	})
}

func TestPipelineHasAllFourPolicies(t *testing.T) {
	for _, name := range []string{"PipelineIgnored", "PipelineWaited", "PipelineShownIgnored", "PipelineShownWaited"} {
		libraries(t, name, func(t *testing.T, v speed.Variant) {
			synctest.Test(t, func(t *testing.T) {
				do := v.New()
				if started, _ := made(do, 1, measure.Fails); started != 3 {
					t.Errorf("retry: %d attempts, want 3", started)
				}
				if started, _ := made(do, 100, measure.Fails); started >= 100 {
					t.Error("breaker: does not open although all calls fail")
				}
				time.Sleep(24 * time.Hour) // go-resiliency sleeps while it is open
			})
			synctest.Test(t, func(t *testing.T) {
				do := v.New()
				var started atomic.Int64
				end, ended := make(chan struct{}), make(chan struct{})
				for range 20 {
					go func() {
						_ = do(context.Background(), func(context.Context) error {
							started.Add(1)
							<-end
							return nil
						})
						ended <- struct{}{}
					}()
					synctest.Wait()
				}
				if n := started.Load(); n != 10 {
					t.Errorf("bulkhead: %d calls at once, want 10", n)
				}
				close(end)
				for range 20 {
					<-ended
				}
			})
		})
	}
}
