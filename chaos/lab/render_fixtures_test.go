package lab_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/steady-go/steady/chaos/lab"
)

// A fake makes up the report of an experiment, second by second.
type fake struct {
	plan lab.Plan
	rps  int
	runs int
	rand *rand.Rand
}

// A behaviour returns the share that fails, the typical latency, the attempts a request
// and the injections a request of a second.
type behaviour func(phase lab.Phase, since time.Duration) (fails float64, p50, p99 time.Duration, attempts, injected float64)

func newFake(plan lab.Plan, rps, runs int) *fake {
	return &fake{plan, rps, runs, rand.New(rand.NewPCG(1, 2))}
}

func (f *fake) phase(at time.Duration) (lab.Phase, time.Duration) {
	for _, p := range []struct {
		phase lab.Phase
		d     time.Duration
	}{{lab.PhaseWarmup, f.plan.Warmup}, {lab.PhaseBaseline, f.plan.Baseline}, {lab.PhaseFault, f.plan.Fault}} {
		if at < p.d {
			return p.phase, at
		}
		at -= p.d
	}
	return lab.PhaseRecovery, at
}

// arm returns an arm of a run that lasted for so long.
func (f *fake) arm(lasted time.Duration, b behaviour) lab.Arm {
	a := lab.Arm{Verdict: lab.Met}
	phases := map[lab.Phase]*lab.Tally{}
	var order []lab.Phase
	for at := time.Duration(0); at < lasted; at += time.Second {
		phase, since := f.phase(at)
		fails, p50, p99, attempts, injected := b(phase, since)
		due := rand.New(rand.NewPCG(3, uint64(at))) // the same for both arms
		s := lab.Second{Offered: f.rps + due.IntN(f.rps/5+1) - f.rps/10}
		for range s.Offered {
			if f.rand.Float64() >= fails {
				s.OK++
			}
		}
		if s.OK > 0 {
			wobble := 1 + f.rand.NormFloat64()*0.06
			s.P50, s.P99 = time.Duration(float64(p50)*wobble), time.Duration(float64(p99)*wobble*(1+f.rand.Float64()*0.1))
		}
		s.Attempts, s.Injected = int(float64(s.Offered)*attempts), int(float64(s.Offered)*injected)
		s.Rejected = s.Attempts / 50
		a.Seconds = append(a.Seconds, s)
		if phase == lab.PhaseWarmup {
			continue
		}
		t := phases[phase]
		if t == nil {
			t = &lab.Tally{Phase: phase, Injected: map[string]int{}, Errors: map[string]int{}}
			phases[phase], order = t, append(order, phase)
		}
		t.Lasted += time.Duration(f.runs) * time.Second
		t.Offered += s.Offered * f.runs
		t.OK += s.OK * f.runs
		t.Attempts += s.Attempts * f.runs
		t.Rejected += s.Rejected * f.runs
		t.P50, t.P99, t.P999 = max(t.P50, s.P50), max(t.P99, s.P99), max(t.P999, s.P99*13/10)
		t.Max = t.P999 * 2
		if s.Injected > 0 {
			t.Injected["node 0 hangs"] += s.Injected * f.runs / 2
			t.Injected["node 1 hangs"] += (s.Injected - s.Injected/2) * f.runs
		}
	}
	for _, phase := range order {
		t := phases[phase]
		t.Failed = t.Offered - t.OK
		n := float64(t.Offered)
		t.Availability = float64(t.OK) / n
		t.Amplification = float64(t.Attempts) / n
		half := 1.96 * math.Sqrt(t.Availability*(1-t.Availability)/n)
		t.Low, t.High = max(t.Availability-max(half, 3/n), 0), min(t.Availability+half, 1)
		if t.Failed > 0 {
			t.Errors["timeout: limit of 250ms exceeded"] = t.Failed - t.Failed/4
			t.Errors["retry: budget is empty: breaker: open"] = t.Failed / 4
			maps.DeleteFunc(t.Errors, func(_ string, n int) bool { return n == 0 })
		}
		a.Phases = append(a.Phases, *t)
	}
	return a
}

var day = lab.Plan{Warmup: 5 * time.Second, Baseline: 10 * time.Second, Fault: 30 * time.Second, Recovery: 30 * time.Second}

const ms = time.Millisecond

func unprotected(phase lab.Phase, since time.Duration) (float64, time.Duration, time.Duration, float64, float64) {
	if phase == lab.PhaseFault {
		return 0.2, 25 * ms, 2 * time.Second, 1, 0.2
	}
	if phase == lab.PhaseRecovery && since < 4*time.Second {
		return 0.08, 25 * ms, 900 * ms, 1, 0
	}
	return 0, 24 * ms, 58 * ms, 1, 0
}

func guarded(phase lab.Phase, since time.Duration) (float64, time.Duration, time.Duration, float64, float64) {
	switch {
	case phase == lab.PhaseFault && since < 2*time.Second:
		return 0.006, 26 * ms, 300 * ms, 1.2, 0.15
	case phase == lab.PhaseFault && since%(5*time.Second) < time.Second:
		return 0.0005, 25 * ms, 290 * ms, 1.06, 0.03
	case phase == lab.PhaseFault:
		return 0.0001, 24 * ms, 64 * ms, 1.01, 0.004
	}
	return 0, 24 * ms, 57 * ms, 1, 0
}

func inPercent(share float64) string { return fmt.Sprintf("%.6g %%", 100*share) }

func seeds(n int) []uint64 {
	var s []uint64
	for i := range n {
		s = append(s, uint64(i+1))
	}
	return s
}

func doneAt(what, name string, at ...time.Duration) []lab.Mark {
	var marks []lab.Mark
	for _, t := range at {
		marks = append(marks, lab.Mark{At: t, What: what, Name: name})
	}
	return marks
}

// metReport is that of twenty pooled runs, with one check nearly missed.
func metReport() lab.Report {
	f := newFake(day, 200, 20)
	control := f.arm(75*time.Second, unprotected)
	r := lab.Report{
		Name: "two of ten nodes hang", Hypothesis: "99.9 % of the requests are answered at 200 requests a second while 20 % of the nodes hang.",
		Load: "Poisson, 200/s", Seeds: seeds(20), Virtual: true, Verdict: lab.Met,
		Reasons: []string{"nearly missed: fault: p99 ≤ 320ms: it was 318ms"},
		Plan:    day, System: f.arm(75*time.Second, guarded), Control: &control,
	}
	system, unguarded := &r.System.Phases[1], control.Phases[1]
	system.P99 = 318 * ms
	r.System.Worst = &lab.Worst{Seed: 7, Availability: 0.99917}
	r.System.Recovery = lab.Recovery{Median: 0, Max: time.Second, Runs: 20}
	r.Control.Worst = &lab.Worst{Seed: 3, Availability: 0.791}
	r.Control.Recovery = lab.Recovery{Median: 4 * time.Second, Max: 6 * time.Second, Runs: 20}
	r.Control.Verdict = lab.Deviated
	r.System.Checks = []lab.Check{
		{Name: "availability ≥ 99.9 %", Phase: lab.PhaseBaseline, Bound: "≥ 99.9 %", Value: "100 %", Number: 1, Verdict: lab.Met},
		{Name: "availability ≥ 99.9 %", Phase: lab.PhaseFault, Bound: "≥ 99.9 %", Value: inPercent(system.Availability), Number: system.Availability, Verdict: lab.Met},
		{Name: "availability ≥ 99.8 %, worst run", Phase: lab.PhaseFault, Bound: "≥ 99.8 %", Value: "99.917 %", Number: 0.99917, Verdict: lab.Met, WorstRun: true},
		{Name: "p99 ≤ 320ms", Phase: lab.PhaseBaseline, Bound: "≤ 320ms", Value: "57.8ms", Number: 0.0578, Verdict: lab.Met},
		{Name: "p99 ≤ 320ms", Phase: lab.PhaseFault, Bound: "≤ 320ms", Value: "318ms", Number: 0.318, Verdict: lab.Met, Nearly: true},
		{Name: "amplification ≤ 1.1", Phase: lab.PhaseFault, Bound: "≤ 1.1", Value: fmt.Sprintf("%.4f", system.Amplification), Number: system.Amplification, Verdict: lab.Met},
		{Name: "recovers within 16s", Phase: lab.PhaseRecovery, Bound: "≤ 16s", Value: "1s", Number: 1, Verdict: lab.Met},
	}
	r.Control.Checks = slices.Clone(r.System.Checks)
	for i, value := range map[int]string{1: inPercent(unguarded.Availability), 2: "79.1 %", 4: unguarded.P99.Round(10 * ms).String()} {
		r.Control.Checks[i].Value, r.Control.Checks[i].Verdict, r.Control.Checks[i].Nearly = value, lab.Deviated, false
		r.Control.Checks[i].Why = "it was " + value
	}
	r.Control.Checks[5].Value, r.Control.Checks[6].Value = "1", "6s"
	r.System.Marks = slices.Concat(doneAt("fault", "node 0 hangs, node 1 hangs", 15*time.Second),
		doneAt("step", "kill the process of node 0", 15*time.Second), doneAt("step", "fill the queue of node 1", 25*time.Second),
		doneAt("disarm", "", 45*time.Second), doneAt("rollback", "drain the queue of node 1", 45*time.Second+3*ms),
		doneAt("rollback", "restart the process of node 0", 45*time.Second+40*ms))
	r.Control.Marks = slices.Clone(r.System.Marks)
	return r
}

// deviatedReport is that of one run, in which retries keep the system down.
func deviatedReport() lab.Report {
	plan := lab.Plan{Warmup: 5 * time.Second, Baseline: 15 * time.Second, Fault: 30 * time.Second, Recovery: 2 * time.Minute}
	f := newFake(plan, 200, 1)
	storm := func(phase lab.Phase, since time.Duration) (float64, time.Duration, time.Duration, float64, float64) {
		switch phase {
		case lab.PhaseFault:
			return min(0.9, since.Seconds()/12), 300 * ms, 1500 * ms, 1 + min(3, since.Seconds()/4), 0.3
		case lab.PhaseRecovery:
			return 0.97, 480 * ms, 1900 * ms, 3.96, 0
		}
		return 0, 70 * ms, 190 * ms, 1, 0
	}
	shed := func(phase lab.Phase, since time.Duration) (float64, time.Duration, time.Duration, float64, float64) {
		switch {
		case phase == lab.PhaseFault:
			return min(0.35, since.Seconds()/20), 250 * ms, 490 * ms, 1.3, 0.3
		case phase == lab.PhaseRecovery && since < 14*time.Second:
			return 0.5 - since.Seconds()/30, 200 * ms, 480 * ms, 1.2, 0
		}
		return 0.001, 70 * ms, 190 * ms, 1, 0
	}
	control := f.arm(170*time.Second, storm)
	r := lab.Report{
		Name: "retry storm", Hypothesis: "After an overload of 30 s the service recovers by itself within ten seconds.",
		Load: "200/s, doubled in the fault", Seeds: []uint64{42}, Virtual: true, Verdict: lab.Deviated,
		Reasons: []string{"recovery: recovers within 10s: it was 14s"},
		Plan:    plan, System: f.arm(170*time.Second, shed), Control: &control,
	}
	system, unguarded := r.System.Phases[1], control.Phases[1]
	r.System.Verdict, r.Control.Verdict = lab.Deviated, lab.Deviated
	r.System.Recovery = lab.Recovery{Median: 14 * time.Second, Max: 14 * time.Second, Runs: 1}
	r.Control.Recovery = lab.Recovery{Median: 2 * time.Minute, Max: 2 * time.Minute, Never: 1, Runs: 1}
	r.System.Checks = []lab.Check{
		{Name: "availability ≥ 60 %", Phase: lab.PhaseFault, Bound: "≥ 60 %", Value: inPercent(system.Availability), Number: system.Availability, Verdict: lab.Met},
		{Name: "recovers within 10s", Phase: lab.PhaseRecovery, Bound: "≤ 10s", Value: "14s", Number: 14, Verdict: lab.Deviated, Why: "it was 14s"},
	}
	r.Control.Checks = []lab.Check{
		{Name: "availability ≥ 60 %", Phase: lab.PhaseFault, Bound: "≥ 60 %", Value: inPercent(unguarded.Availability), Number: unguarded.Availability, Verdict: lab.Deviated, Why: "it was " + inPercent(unguarded.Availability)},
		{Name: "recovers within 10s", Phase: lab.PhaseRecovery, Bound: "≤ 10s", Value: "2m0s", Number: 120, Verdict: lab.Deviated, Why: "1 of 1 runs did not recover"},
	}
	r.System.Marks = slices.Concat(doneAt("fault", "surge", 20*time.Second), doneAt("disarm", "", 50*time.Second))
	r.Control.Marks = slices.Clone(r.System.Marks)
	return r
}

// abortedReport is that of a run in real time, without a control.
func abortedReport() lab.Report {
	plan := lab.Plan{Warmup: 10 * time.Second, Baseline: 30 * time.Second, Fault: time.Minute, Recovery: 30 * time.Second}
	f := newFake(plan, 40, 1)
	f.plan.Fault = 12250 * ms
	r := lab.Report{
		Name: "game day: the cache is gone", Hypothesis: "Without the cache the shop answers 99.5 % within a second.",
		Load: "40/s", Seeds: []uint64{20261126}, Verdict: lab.Aborted,
		Reasons: []string{"aborted by probe: availability ≥ 99 %: it was 97.5 %", "fault: availability ≥ 99.5 %: it was less"},
		Plan:    plan, Lag: lab.Lag{Late: 3, Max: 31250 * time.Microsecond},
		System: f.arm(82*time.Second, func(phase lab.Phase, since time.Duration) (float64, time.Duration, time.Duration, float64, float64) {
			if phase == lab.PhaseFault {
				return since.Seconds() / 300, 120 * ms, 800*ms + time.Duration(since.Seconds()*float64(100*ms)), 1.1, 1
			}
			return 0, 15 * ms, 80 * ms, 1, 0
		}),
	}
	r.System.Verdict = lab.Deviated
	r.System.Recovery = lab.Recovery{Runs: 1}
	fault := r.System.Phases[1].Availability
	r.System.Checks = []lab.Check{
		{Name: "availability ≥ 99.5 %", Phase: lab.PhaseBaseline, Bound: "≥ 99.5 %", Value: "100 %", Number: 1, Verdict: lab.Met},
		{Name: "availability ≥ 99.5 %", Phase: lab.PhaseFault, Bound: "≥ 99.5 %", Value: inPercent(fault), Number: fault, Verdict: lab.Deviated, Why: "it was " + inPercent(fault)},
	}
	r.System.Marks = slices.Concat(doneAt("fault", "cache refuses", 40*time.Second),
		doneAt("abort", "probe: availability ≥ 99 %: it was 97.5 %", 52250*ms), doneAt("disarm", "", 52250*ms),
		[]lab.Mark{{At: 52310 * ms, What: "rollback", Name: "route traffic back", Err: "dial tcp 127.0.0.1:6379: connect: connection refused"}})
	return r
}

// hostileReport has strings that would like to be something else.
func hostileReport() lab.Report {
	f := newFake(lab.Plan{Baseline: 5 * time.Second, Fault: 5 * time.Second}, 20, 1)
	r := lab.Report{
		Name:       `<script>alert("x")</script>&amp;]]> 故障注入 'q' ` + "\x1b[31mred\x00\u202egnp",
		Hypothesis: `</title></style><img src=x onerror=alert(1)> {{.Name}} ` + "one\ntwo\tthree \xff\xfe",
		Load:       "<b>20/s</b>", Seeds: []uint64{1 << 63}, Virtual: true, Verdict: lab.Inconclusive,
		Reasons: []string{"fault: <i>too few</i> requests\nto claim it", strings.Repeat("verylongword", 20)},
		Plan:    lab.Plan{Baseline: 5 * time.Second, Fault: 5 * time.Second},
		System:  f.arm(10*time.Second, guarded),
	}
	r.System.Verdict = lab.Inconclusive
	r.System.Checks = []lab.Check{{Name: `"<b>" & queue ≤ 3` + "\x07", Phase: lab.PhaseFault, Bound: "≤ 3", Value: "<u>2</u>", Verdict: lab.Inconclusive, Why: "<s>too few</s>"}}
	r.System.Phases[1].Injected = map[string]int{`<a href="javascript:x">`: 3, "": 1, strings.Repeat("long ", 30): 2}
	r.System.Phases[1].Errors = map[string]int{"<p>\nboom\r\nbang\x1b[2J": 4, "数据库连接超时": 2, "other": 1, "\u202e\u2066evil": 1}
	r.System.Marks = []lab.Mark{{At: 5 * time.Second, What: "step", Name: "</text></svg><script>1</script>", Err: "]]>\x00"}}
	return r
}

// hourReport has 3,600 seconds, and many marks.
func hourReport() lab.Report {
	plan := lab.Plan{Warmup: 10 * time.Second, Baseline: 5 * time.Minute, Fault: 50*time.Minute - 10*time.Second, Recovery: 5 * time.Minute}
	f := newFake(plan, 200, 1)
	control := f.arm(time.Hour, unprotected)
	r := lab.Report{
		Name: "an hour of rolling restarts", Hypothesis: "Restarting a node a minute costs nobody a request.",
		Load: "Poisson, 200/s", Seeds: []uint64{5}, Virtual: true, Verdict: lab.Met,
		Plan: plan, System: f.arm(time.Hour, guarded), Control: &control,
	}
	r.System.Verdict, r.Control.Verdict = lab.Met, lab.Deviated
	r.System.Recovery = lab.Recovery{Runs: 1}
	r.System.Marks = doneAt("fault", "restarts", 310*time.Second)
	for i := range 45 {
		r.System.Marks = append(r.System.Marks, doneAt("step", "restart a node", time.Duration(320+i*60)*time.Second)...)
	}
	r.Control.Marks = slices.Clone(r.System.Marks)
	return r
}
