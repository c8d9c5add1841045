package lab_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// inBubble runs e in virtual time.
func inBubble(t *testing.T, e lab.Experiment) (r lab.Report, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { r, err = e.Run(t.Context()) })
	return r, err
}

// tally returns what was counted in a phase.
func tally(t *testing.T, a lab.Arm, phase lab.Phase) lab.Tally {
	t.Helper()
	for _, p := range a.Phases {
		if p.Phase == phase {
			return p
		}
	}
	require.Fail(t, "no such phase", "%s", phase)
	return lab.Tally{}
}

// marks returns what was done, with the times.
func marks(a lab.Arm) []string {
	var out []string
	for _, m := range a.Marks {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%v %s %s %s", m.At, m.What, m.Name, m.Err)))
	}
	return out
}

func TestMet(t *testing.T) {
	e := model()
	e.Steady = append(e.Steady, lab.Latency(0.99, 30*time.Millisecond), lab.Throughput(199), lab.Amplification(1.5), lab.RecoversWithin(0))
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Met, r.Verdict, r.Reasons)
	require.True(t, r.Virtual)
	require.Equal(t, []uint64{0}, r.Seeds)
	require.Equal(t, lab.Plan{Warmup: 2 * time.Second, Baseline: 5 * time.Second, Fault: 20 * time.Second, Recovery: 10 * time.Second}, r.Plan)
	require.Equal(t, lab.Lag{}, r.Lag)
	require.Nil(t, r.Control)
	require.Nil(t, r.System.Worst)
	require.Equal(t, lab.Recovery{Runs: 1}, r.System.Recovery)
	for phase, offered := range map[lab.Phase]int{lab.PhaseBaseline: 1000, lab.PhaseFault: 4000, lab.PhaseRecovery: 2000} {
		n := tally(t, r.System, phase)
		require.Equal(t, []int{offered, offered, 0, 0, offered}, []int{n.Offered, n.OK, n.Failed, n.Overflow, n.Attempts}, phase)
		for _, d := range []time.Duration{n.P50, n.P99, n.P999, n.Max} {
			require.Equal(t, 25*time.Millisecond, d)
		}
		require.InDelta(t, 1, n.Amplification, 0)
	}
	require.Len(t, r.System.Phases, 3)
	require.Len(t, r.System.Seconds, 37)
	for i, s := range r.System.Seconds {
		require.Equal(t, lab.Second{Offered: 200, OK: 200, P50: 25 * time.Millisecond, P99: 25 * time.Millisecond, Attempts: 200}, s, "second %d", i)
	}
	require.Equal(t, []string{"7s fault", "27s disarm"}, marks(r.System))
}

func TestPhasesMayLastAnyTime(t *testing.T) {
	e := model()
	e.Load = lab.Constant(1000)
	e.Warmup, e.Baseline, e.Fault, e.Recovery = 33*time.Millisecond, 1234*time.Millisecond, 3210*time.Millisecond, 5600*time.Millisecond
	e.Faults = fails(1)
	e.Steady = []lab.Probe{lab.Availability(0.99).In(lab.PhaseBaseline), lab.RecoversWithin(600 * time.Millisecond)}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Met, r.Verdict, r.Reasons)
	require.Equal(t, []string{"1.267s fault fails", "4.477s disarm"}, marks(r.System))
	for phase, offered := range map[lab.Phase]int{lab.PhaseBaseline: 1234, lab.PhaseFault: 3210, lab.PhaseRecovery: 5600} {
		require.Equal(t, offered, tally(t, r.System, phase).Offered)
		require.Equal(t, time.Duration(offered)*time.Millisecond, tally(t, r.System, phase).Lasted)
	}
	// Calls of the last 25 ms of the baseline were begun before it was broken.
	require.Equal(t, 3210, tally(t, r.System, lab.PhaseFault).Failed)
	require.Len(t, r.System.Seconds, 11)
	require.Equal(t, 77, r.System.Seconds[10].Offered)
}

func TestDeviated(t *testing.T) {
	e := model()
	e.Faults = fails(0.2)
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Deviated, r.Verdict)
	n := tally(t, r.System, lab.PhaseFault)
	require.InDelta(t, 0.8, n.Availability, 0.02)
	require.Equal(t, n.Failed, n.Injected["fails"])
	require.Len(t, n.Errors, 1)
	require.Equal(t, []string{fmt.Sprintf("fault: availability ≥ 99.9 %%: it was %s", r.System.Checks[1].Value)}, r.Reasons)
	require.Equal(t, 2000, tally(t, r.System, lab.PhaseRecovery).OK)
}

func TestEachProbeDeviates(t *testing.T) {
	for name, c := range map[string]struct {
		probe lab.Probe
		fault chaos.Fault
		why   string
	}{
		"availability": {lab.Availability(0.99), chaos.Fault{Effect: chaos.Error(errBoom), Rate: 1}, "fault: availability ≥ 99 %: it was 0 %"},
		"latency": {lab.Latency(0.5, 30*time.Millisecond), chaos.Fault{Effect: chaos.Latency(chaos.Constant(time.Second)), Rate: 1},
			"fault: p50 ≤ 30ms: it was 1.03s"},
		"throughput": {lab.Throughput(150), chaos.Fault{Effect: chaos.Error(errBoom), Rate: 1}, "fault: throughput ≥ 150/s: it was 0/s"},
		"recovery": {lab.RecoversWithin(time.Second), chaos.Fault{Effect: chaos.Error(errBoom), Rate: 1},
			"recovery: recovers within 1s: 1 of 1 runs did not recover"},
		"gauge": {lab.Gauge("level", lab.AtMost(10)), chaos.Fault{Effect: chaos.Error(errBoom), Rate: 1}, "fault: level ≤ 10: it was 20"},
		"func": {lab.Func("failed", func(n lab.Tally) float64 { return float64(n.Failed) }, lab.AtMost(10)),
			chaos.Fault{Effect: chaos.Error(errBoom), Rate: 1}, "fault: failed ≤ 10: it was 4000"},
	} {
		t.Run(name, func(t *testing.T) {
			e := model()
			e.Steady = []lab.Probe{c.probe}
			c.fault.Name = "fault"
			e.Faults = []chaos.Fault{c.fault}
			e.System = func(w *lab.World) (lab.Call, error) {
				w.Gauge("level", func() float64 { // 20 s into the fault it is 20
					return max(0, time.Since(time.Date(2000, 1, 1, 0, 0, 7, 0, time.UTC)).Seconds())
				})
				call, err := work(w)
				var dead atomic.Bool
				w.Rollback("none", func(context.Context) error { dead.Store(true); return nil })
				return func(ctx context.Context, r lab.Request) error {
					if name == "recovery" && dead.Load() {
						return errBoom
					}
					return call(ctx, r)
				}, err
			}
			r, err := inBubble(t, e)
			require.NoError(t, err)
			require.Equal(t, lab.Deviated, r.Verdict, r.Reasons)
			require.Equal(t, []string{c.why}, r.Reasons)
		})
	}
}

func TestAmplificationCountsWhatReachesTheChaosPolicy(t *testing.T) {
	e := model()
	e.Faults = fails(0.5)
	e.Steady = []lab.Probe{lab.Amplification(1.2)}
	e.System = func(w *lab.World) (lab.Call, error) {
		again := steady.Chain(retry.MustNew(retry.Config{Attempts: 2, Delay: time.Millisecond, Budget: retry.NoBudget}), w.Chaos())
		return func(ctx context.Context, _ lab.Request) error {
			return again.Do(ctx, func(context.Context) error { return nil })
		}, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Deviated, r.Verdict, r.Reasons)
	n := tally(t, r.System, lab.PhaseFault)
	require.InDelta(t, 1.5, n.Amplification, 0.05)
	require.InDelta(t, n.Amplification, float64(n.Attempts)/4000, 1e-9)
	require.InDelta(t, 0.75, n.Availability, 0.03)
	before := tally(t, r.System, lab.PhaseBaseline)
	require.Equal(t, before.Offered, before.Attempts, "counted while nothing is armed too")
}

func TestRejectionsAreCounted(t *testing.T) {
	e := model()
	e.Faults = []chaos.Fault{{Name: "slow", Effect: chaos.Latency(chaos.Constant(time.Second)), Rate: 1, Until: 10 * time.Second}}
	e.System = func(w *lab.World) (lab.Call, error) {
		few := steady.Chain(bulkhead.MustNew(bulkhead.Config{Limit: 10, Hook: w.Hook()}), w.Chaos())
		return func(ctx context.Context, _ lab.Request) error {
			return few.Do(ctx, func(context.Context) error { time.Sleep(25 * time.Millisecond); return nil })
		}, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	n := tally(t, r.System, lab.PhaseFault)
	require.Greater(t, n.Rejected, 1500)
	require.Equal(t, n.Failed, n.Rejected)
	require.Equal(t, n.OK, n.Attempts)
	require.Equal(t, map[string]int{"bulkhead: full": n.Rejected}, n.Errors)
	var bySecond int
	for _, s := range r.System.Seconds {
		bySecond += s.Rejected
	}
	require.Equal(t, n.Rejected, bySecond)
}

// A call on a context that is done was not refused by the policy.
func TestCallsOnADoneContextAreNoRejections(t *testing.T) {
	e := model()
	e.System = func(w *lab.World) (lab.Call, error) {
		few := bulkhead.MustNew(bulkhead.Config{Limit: 10, Hook: w.Hook()})
		return func(ctx context.Context, _ lab.Request) error {
			done, cancel := context.WithCancel(ctx)
			cancel()
			require.Error(t, few.Do(done, func(context.Context) error { return nil }))
			return nil
		}, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Zero(t, tally(t, r.System, lab.PhaseFault).Rejected)
}

// What is heard of a request counts in the phase in which it was due, and in the
// second in which it happened.
func TestAttemptsCountWhereTheirRequestDoes(t *testing.T) {
	e := model()
	e.System = func(w *lab.World) (lab.Call, error) {
		return func(ctx context.Context, r lab.Request) error {
			if r.Phase == lab.PhaseFault {
				time.Sleep(4 * time.Second)
				return w.Chaos().Do(ctx, func(context.Context) error { return nil })
			}
			return nil
		}, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, 4000, tally(t, r.System, lab.PhaseFault).Attempts)
	require.Zero(t, tally(t, r.System, lab.PhaseRecovery).Attempts)
	require.Zero(t, r.System.Seconds[10].Attempts)
	require.Equal(t, 200, r.System.Seconds[11].Attempts)
	require.Equal(t, 200, r.System.Seconds[30].Attempts)
	require.Zero(t, r.System.Seconds[31].Attempts)
}

func TestInconclusive(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*lab.Experiment)
		why    string
		unhurt bool // nothing was broken
	}{
		"too few requests": {
			change: func(e *lab.Experiment) { e.Load = lab.Constant(100) },
			why:    "fault: availability ≥ 99.9 %: too few requests to claim it: 0 failed of 2000, which shows 99.8503 % at 95 % confidence; without a failure it takes 2995",
		},
		"too few answers": {
			change: func(e *lab.Experiment) {
				e.Load, e.Steady = lab.Constant(10), []lab.Probe{lab.Latency(0.99, time.Second)}
			},
			why: "fault: p99 ≤ 1s: too few answers to claim it: 200, and it takes 299",
		},
		"no requests": {
			change: func(e *lab.Experiment) {
				e.Load = lab.Steps(lab.Step{For: 7 * time.Second, RPS: 200})
			},
			why: "fault: availability ≥ 99.9 %: no requests",
		},
		"no readings": {
			change: func(e *lab.Experiment) { e.Steady = []lab.Probe{lab.Gauge("g", lab.AtMost(1)).In(lab.PhaseFault)} },
			why:    "fault: g ≤ 1: no readings",
		},
		"not a number": {
			change: func(e *lab.Experiment) {
				e.Steady = []lab.Probe{lab.Func("f", func(lab.Tally) float64 { return math.NaN() }, lab.AtMost(1)).In(lab.PhaseFault)}
			},
			why: "fault: f ≤ 1: it is NaN",
		},
		"not steady in the baseline": {
			change: func(e *lab.Experiment) {
				e.System = func(*lab.World) (lab.Call, error) {
					return func(context.Context, lab.Request) error { return errBoom }, nil
				}
			},
			why:    "not steady in the baseline, so nothing was broken: baseline: availability ≥ 99.9 %: it was 0 %",
			unhurt: true,
		},
		"a hang in the baseline": {
			change: func(e *lab.Experiment) {
				e.System = func(w *lab.World) (lab.Call, error) {
					return func(ctx context.Context, r lab.Request) error {
						if r.N%10 == 0 {
							<-ctx.Done()
						}
						return ctx.Err()
					}, nil
				}
			},
			why:    "not steady in the baseline, so nothing was broken: baseline: availability ≥ 99.9 %: it was 91.8367 %",
			unhurt: true,
		},
		"chaos is off": {
			change: func(e *lab.Experiment) {
				e.System = func(w *lab.World) (lab.Call, error) {
					w.Go(func() { time.Sleep(3 * time.Second); chaos.Kill() })
					return work(w)
				}
			},
			why:    "chaos is switched off, so nothing was broken",
			unhurt: true,
		},
		"the control held": {
			change: func(e *lab.Experiment) { e.Control = work },
			why:    "the control did not miss the hypothesis, so it was not put to the test",
		},
		"the control was never well": {
			change: func(e *lab.Experiment) {
				e.Faults = fails(0)
				e.Control = func(*lab.World) (lab.Call, error) {
					return func(context.Context, lab.Request) error { return errBoom }, nil
				}
			},
			why: "the control was not steady in the baseline: baseline: availability ≥ 99.9 %: it was 0 %",
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer chaos.Revive()
			e := model()
			e.Faults = []chaos.Fault{{Name: "none", Effect: chaos.Error(errBoom), Rate: 0}}
			c.change(&e)
			r, err := inBubble(t, e)
			require.NoError(t, err)
			require.Equal(t, lab.Inconclusive, r.Verdict, r.Reasons)
			require.Equal(t, []string{c.why}, r.Reasons)
			if c.unhurt {
				require.Empty(t, marks(r.System))
				require.Len(t, r.System.Phases, 1)
				require.Len(t, r.System.Seconds, 7)
			}
		})
	}
}

func TestTheControlMustMiss(t *testing.T) {
	e := model()
	e.Faults = fails(0.2)
	e.Control = work
	e.System = func(w *lab.World) (lab.Call, error) {
		again := steady.Chain(retry.MustNew(retry.Config{Attempts: 10, Delay: time.Millisecond, Budget: retry.NoBudget}), w.Chaos())
		return func(ctx context.Context, _ lab.Request) error {
			return again.Do(ctx, func(context.Context) error { return nil })
		}, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Met, r.Verdict, r.Reasons)
	require.Empty(t, r.Reasons)
	require.Equal(t, lab.Deviated, r.Control.Verdict)
}

// A first attempt meets the same fault with the policies and without.
func TestTheSystemAndItsControlDrawTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := model()
		e.Faults = fails(0.3)
		var mu sync.Mutex
		drawn := map[string][]string{}
		failed := map[string]map[uint64]bool{"system": {}, "control": {}}
		see := func(name string, pause time.Duration) lab.Build {
			return func(w *lab.World) (lab.Call, error) {
				return func(ctx context.Context, r lab.Request) error {
					time.Sleep(pause * time.Duration(w.Random("pause", r.N)*1000))
					err := w.Chaos().Do(ctx, func(context.Context) error { return nil })
					mu.Lock()
					defer mu.Unlock()
					failed[name][r.N] = err != nil
					if r.N < 10 {
						drawn[name] = append(drawn[name], fmt.Sprint(r.N, w.Random("k", r.N), steady.Random(ctx, "k", 1)))
					}
					return nil
				}, nil
			}
		}
		e.System, e.Control = see("system", 0), see("control", time.Microsecond)
		_, err := e.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, failed["system"], failed["control"])
		require.ElementsMatch(t, drawn["system"], drawn["control"])
		draws := map[string]bool{}
		for _, d := range drawn["system"] {
			draws[d[2:]] = true
		}
		require.Len(t, draws, 10, "each request draws its own")
	})
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*lab.Experiment)
		why    string
	}{
		"build fails": {
			change: func(e *lab.Experiment) { e.System = func(*lab.World) (lab.Call, error) { return nil, errBoom } },
			why:    "lab: building the system: boom",
		},
		"build panics": {
			change: func(e *lab.Experiment) { e.Control = func(*lab.World) (lab.Call, error) { panic("oh") } },
			why:    "lab: building the control: steady: the call panicked: oh",
		},
		"no call": {
			change: func(e *lab.Experiment) { e.System = func(*lab.World) (lab.Call, error) { return nil, nil } },
			why:    "lab: building the system: there is no call",
		},
		"a step fails": {
			change: func(e *lab.Experiment) {
				e.System = func(w *lab.World) (lab.Call, error) {
					w.Step(time.Second, "kill", func(context.Context) error { return errBoom })
					return work(w)
				}
			},
			why: `lab: step "kill" of the system: boom`,
		},
		"a step panics": {
			change: func(e *lab.Experiment) {
				e.System = func(w *lab.World) (lab.Call, error) {
					w.Step(time.Second, "kill", func(context.Context) error { panic("oh") })
					return work(w)
				}
			},
			why: `lab: step "kill" of the system: steady: the call panicked: oh`,
		},
		"a step ends its goroutine": {
			change: func(e *lab.Experiment) {
				e.System = func(w *lab.World) (lab.Call, error) {
					w.Step(time.Second, "kill", func(context.Context) error { runtime.Goexit(); return nil })
					return work(w)
				}
			},
			why: `lab: step "kill" of the system: steady: the call ended its goroutine`,
		},
		"a goroutine panics": {
			change: func(e *lab.Experiment) {
				e.System = func(w *lab.World) (lab.Call, error) {
					w.Go(func() { time.Sleep(10 * time.Second); panic("oh") })
					return work(w)
				}
			},
			why: "lab: a goroutine of the system's world: steady: the call panicked: oh",
		},
		"a gauge panics": {
			change: func(e *lab.Experiment) {
				e.System = func(w *lab.World) (lab.Call, error) {
					w.Gauge("g", func() float64 {
						if time.Now().Second() == 9 {
							panic("oh")
						}
						return 1
					})
					return work(w)
				}
			},
			why: `lab: gauge "g" of the system panicked: oh`,
		},
		"a probe panics": {
			change: func(e *lab.Experiment) {
				e.Steady = []lab.Probe{lab.Func("f", func(lab.Tally) float64 { panic("oh") }, lab.AtMost(1))}
			},
			why: `lab: probe "f" panicked: oh`,
		},
		"a probe panics in the fault phase": {
			change: func(e *lab.Experiment) {
				e.Steady = []lab.Probe{lab.Func("f", func(lab.Tally) float64 { panic("oh") }, lab.AtMost(1)).In(lab.PhaseFault)}
			},
			why: `lab: probe "f" panicked: oh`,
		},
		"an abort probe panics": {
			change: func(e *lab.Experiment) {
				e.Abort = []lab.Probe{lab.Func("f", func(lab.Tally) float64 { panic("oh") }, lab.AtMost(1))}
			},
			why: `lab: probe "f" panicked: oh`,
		},
		"a world that is misused": {
			change: func(e *lab.Experiment) {
				e.System = func(w *lab.World) (lab.Call, error) {
					w.Step(20*time.Second, "late", func(context.Context) error { return nil })
					return work(w)
				}
			},
			why: `lab: building the system: lab: the system's world: step "late" must be within Fault, got 20s`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := model()
			c.change(&e)
			system, undone := e.System, 0
			e.System = func(w *lab.World) (lab.Call, error) {
				w.Rollback("undo", func(context.Context) error { undone++; return nil })
				return system(w)
			}
			r, err := inBubble(t, e)
			require.ErrorContains(t, err, c.why)
			require.Equal(t, lab.Error, r.Verdict)
			require.Contains(t, r.Reasons, c.why)
			require.Equal(t, 1, undone, "rolled back")
		})
	}
}

func TestACallThatPanicsHasFailed(t *testing.T) {
	e := model()
	e.System = func(*lab.World) (lab.Call, error) {
		return func(_ context.Context, r lab.Request) error {
			switch {
			case r.Phase != lab.PhaseFault:
			case r.N%4 == 0:
				panic("oh")
			case r.N%4 == 1:
				runtime.Goexit()
			}
			return nil
		}, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Deviated, r.Verdict)
	require.Equal(t, map[string]int{"panic: oh": 1000, "steady: the call did not return": 1000}, tally(t, r.System, lab.PhaseFault).Errors)
}

func TestErrorsOfManyKindsAreSummedUp(t *testing.T) {
	e := model()
	e.System = func(*lab.World) (lab.Call, error) {
		return func(_ context.Context, r lab.Request) error {
			if r.Phase == lab.PhaseFault && r.N%2 == 0 {
				return fmt.Errorf("kind %02d", r.N/2%40)
			}
			return nil
		}, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	kinds := tally(t, r.System, lab.PhaseFault).Errors
	require.Len(t, kinds, 11)
	require.Equal(t, 50, kinds["kind 00"])
	require.Equal(t, 1500, kinds["other"])
}

func TestOverflowIsCountedAndNotWaitedFor(t *testing.T) {
	e := model()
	e.MaxInFlight = 50
	e.Faults = []chaos.Fault{{Name: "hang", Effect: chaos.HangIgnoringContext(), Rate: 1, Until: 10 * time.Second}}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	n := tally(t, r.System, lab.PhaseFault)
	require.Equal(t, 4000, n.Offered)
	// Those that hang do so to the end of the fault phase and hold all places.
	require.Equal(t, 4000-50, n.Overflow)
	require.Equal(t, 50, n.Attempts)
	require.InDelta(t, 1, n.Amplification, 0)
	require.Equal(t, 3950, n.Errors["lab: too many requests under way"])
	require.Equal(t, 2000, tally(t, r.System, lab.PhaseRecovery).OK, "hangs are released with the faults")
}

func TestRequestsThatRunOnCountAsFailedAndAreCancelled(t *testing.T) {
	e := model()
	var ended atomic.Int64
	e.System = func(w *lab.World) (lab.Call, error) {
		return func(ctx context.Context, r lab.Request) error {
			if r.Phase == lab.PhaseRecovery && r.N%2 == 0 {
				<-ctx.Done()
				ended.Add(1)
			}
			return nil
		}, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, int64(1000), ended.Load())
	n := tally(t, r.System, lab.PhaseRecovery)
	require.Equal(t, []int{2000, 1000, 1000}, []int{n.Offered, n.OK, n.Failed})
	require.Equal(t, map[string]int{"lab: not answered before the end of the run": 1000}, n.Errors)
	require.Equal(t, lab.Recovery{Median: 10 * time.Second, Max: 10 * time.Second, Never: 1, Runs: 1}, r.System.Recovery)
}

func TestRequestsOfTheLastMomentMayEnd(t *testing.T) {
	e := model()
	e.Steady = append(e.Steady, lab.Availability(0.9).In(lab.PhaseRecovery))
	e.System = func(*lab.World) (lab.Call, error) {
		return func(context.Context, lab.Request) error { time.Sleep(4 * time.Second); return nil }, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Met, r.Verdict, r.Reasons)
	require.Equal(t, 2000, tally(t, r.System, lab.PhaseRecovery).OK)
}

func TestWhatIgnoresItsContextIsLeftAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := model()
		release := make(chan struct{})
		e.System = func(w *lab.World) (lab.Call, error) {
			w.Go(func() { <-release })
			return func(_ context.Context, r lab.Request) error {
				if r.N < 3 {
					<-release
				}
				return nil
			}, nil
		}
		begin := time.Now()
		r, err := e.Run(t.Context())
		require.EqualError(t, err, "lab: 4 requests and goroutines of the system were still running 10s after the end, and were left")
		require.Equal(t, lab.Error, r.Verdict)
		require.Equal(t, 4, r.System.Left)
		require.Equal(t, 37*time.Second+5*time.Second+10*time.Second, time.Since(begin))
		close(release)
	})
}

func TestStepsAreDoneOnTime(t *testing.T) {
	e := model()
	var order []int
	e.System = func(w *lab.World) (lab.Call, error) {
		w.Step(10*time.Second, "later", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		for i := range 5 {
			w.Step(3*time.Second, fmt.Sprint(i), func(context.Context) error { order = append(order, i); return nil })
		}
		w.Step(0, "first", func(context.Context) error { return nil })
		return work(w)
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Met, r.Verdict, r.Reasons)
	require.Equal(t, []int{0, 1, 2, 3, 4}, order)
	require.Equal(t, []string{
		"7s fault", "7s step first", "10s step 0", "10.000000001s step 1", "10.000000002s step 2",
		"10.000000003s step 3", "10.000000004s step 4", "17s step later", "27s disarm",
	}, marks(r.System))
}

func TestGaugesAreReadEachSecond(t *testing.T) {
	e := model()
	e.System = func(w *lab.World) (lab.Call, error) {
		begin := time.Now()
		w.Gauge("clock", func() float64 { return time.Since(begin).Seconds() })
		w.Gauge("none", func() float64 { return math.Inf(1) })
		return work(w)
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	for i, s := range r.System.Seconds {
		require.Equal(t, map[string]float64{"clock": float64(i + 1)}, s.Gauges)
	}
}

func TestNearlyMissed(t *testing.T) {
	e := model()
	e.Steady = []lab.Probe{lab.Latency(0.5, 26*time.Millisecond).In(lab.PhaseFault), lab.Latency(0.9, 30*time.Millisecond)}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Met, r.Verdict)
	require.Equal(t, []string{"nearly missed: fault: p50 ≤ 26ms: it was 25ms"}, r.Reasons)
	require.True(t, r.System.Checks[0].Nearly)
	require.False(t, r.System.Checks[1].Nearly)
}

// One attempt a request is not near to a bound of 1.1: that leaves all the room there is.
func TestTheRoomOfAnAmplificationBeginsAtOne(t *testing.T) {
	e := model()
	e.Steady = []lab.Probe{lab.Amplification(1.1), lab.Amplification(1.0001).In(lab.PhaseFault)}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Empty(t, r.Reasons)
}

func TestABadSecondBeginsTheRecoveryAnew(t *testing.T) {
	e := model()
	e.Recovery = 20 * time.Second
	e.System = func(w *lab.World) (lab.Call, error) {
		return func(_ context.Context, r lab.Request) error {
			if at := r.Due - 27*time.Second; r.Phase == lab.PhaseRecovery && at > 4*time.Second && at < 4100*time.Millisecond {
				return errBoom
			}
			return nil
		}, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Recovery{Median: 5 * time.Second, Max: 5 * time.Second, Runs: 1}, r.System.Recovery)
}

func TestRecoveryIsMeasured(t *testing.T) {
	e := model()
	e.Recovery = 20 * time.Second
	e.Steady = append(e.Steady, lab.RecoversWithin(7*time.Second))
	e.System = func(w *lab.World) (lab.Call, error) {
		var well atomic.Int64
		w.Rollback("heals in 6.5 s", func(context.Context) error {
			well.Store(time.Now().Add(6500 * time.Millisecond).UnixNano())
			return nil
		})
		return func(ctx context.Context, r lab.Request) error {
			if r.Phase == lab.PhaseRecovery && time.Now().UnixNano() < well.Load() {
				return errBoom
			}
			return nil
		}, nil
	}
	r, err := inBubble(t, e)
	require.NoError(t, err)
	require.Equal(t, lab.Met, r.Verdict, r.Reasons)
	require.Equal(t, 7*time.Second, r.System.Recovery.Median)
}

func TestOneValueRunsAgainAndAtOnce(t *testing.T) {
	e := model()
	e.Faults = fails(0.3)
	var runs sync.WaitGroup
	reports := make([]lab.Report, 4)
	for i := range reports {
		runs.Go(func() {
			synctest.Test(t, func(t *testing.T) { reports[i], _ = e.Seeded(uint64(i/2 + 1)).Run(t.Context()) })
		})
	}
	runs.Wait()
	require.Equal(t, reports[0].System.Phases, reports[1].System.Phases)
	require.Equal(t, reports[2].System.Phases, reports[3].System.Phases)
	require.NotEqual(t, reports[0].System.Phases, reports[2].System.Phases)
}

func TestPoliciesInsideAndTheWorldsContextEndWithTheRun(t *testing.T) {
	e := model()
	var world context.Context
	e.System = func(w *lab.World) (lab.Call, error) {
		world = w.Context()
		w.Go(func() { <-world.Done() })
		short := steady.Chain(timeout.MustNew(timeout.Config{Limit: time.Second, Hook: w.Hook()}), w.Chaos())
		return func(ctx context.Context, _ lab.Request) error {
			return short.Do(ctx, func(context.Context) error { return nil })
		}, nil
	}
	synctest.Test(t, func(t *testing.T) {
		r, err := e.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, lab.Met, r.Verdict, r.Reasons)
		require.ErrorIs(t, world.Err(), context.Canceled)
	})
}
