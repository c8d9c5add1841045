package lab

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/steady-go/steady/chaos"
)

// A result is what became of one arm in one run.
type result struct {
	samples []*sample // of the phases that were begun, from the baseline on
	seconds []Second
	marks   []Mark
	left    int
}

// An outcome is one run, as it is kept in its report to be pooled with others.
type outcome struct {
	e        Experiment
	virtual  bool
	errs     []error
	aborted  string
	killed   bool     // that was by the kill switch
	unbroken []string // why nothing was broken
	late     []string // why the load was not what it should be
	lag      Lag
	arms     []*result // the system, and its control if there is one
}

// errPool is the beginning of Pool's errors.
var errPool = errors.New("lab: Pool")

// Pool returns one report of several runs of an experiment that differ in nothing but
// their seeds. Requests are counted together, quantiles are those of all latencies, and
// the verdict is that of the whole: a run that would have deviated by itself may be
// one of many that meet the hypothesis, unless a probe has a bound for the worst one.
// A single run that was aborted, failed, or was not steady before anything was broken
// decides for all.
//
// The reports must come from Run or Pool in this process: one that was read from a file
// has no more than what it shows. Pool returns an error if one does not, if they are of
// different experiments, or if two are of the same seed.
func Pool(reports ...Report) (Report, error) {
	if len(reports) == 0 {
		return Report{}, fmt.Errorf("%w: there are no reports", errPool)
	}
	var runs []*outcome
	for i, r := range reports {
		if len(r.runs) == 0 {
			return Report{}, fmt.Errorf("%w: report %d holds no run", errPool, i+1)
		}
		runs = append(runs, r.runs...)
	}
	seeds := map[uint64]bool{}
	for i, o := range runs {
		a, b := runs[0].e, o.e
		if a.Name != b.Name || a.Hypothesis != b.Hypothesis || a.plan() != b.plan() ||
			!slices.EqualFunc(a.Steady, b.Steady, Probe.same) || !slices.EqualFunc(a.Faults, b.Faults, func(f, g chaos.Fault) bool { return f.Name == g.Name && f.Rate == g.Rate }) || a.Load.String() != b.Load.String() || (a.Control == nil) != (b.Control == nil) {
			return Report{}, fmt.Errorf("%w: run %d is of another experiment", errPool, i+1)
		}
		if seeds[b.Seed] {
			return Report{}, fmt.Errorf("%w: two runs have the seed %d", errPool, b.Seed)
		}
		seeds[b.Seed] = true
	}
	return newReport(runs), nil
}

// report returns the report of the run, which is over, and its error.
func (r *run) report() (Report, error) {
	r.mu.Lock()
	o := &outcome{e: r.e, virtual: r.virtual, errs: slices.Clone(r.errs), aborted: r.aborted, killed: r.killed, unbroken: r.unbroken}
	r.mu.Unlock()
	for _, a := range r.arms {
		res := a.result()
		o.arms = append(o.arms, res)
		late, latest := int(a.late.Load()), a.latest.Load()
		o.lag.Late += late
		o.lag.Max = max(o.lag.Max, time.Duration(latest))
		offered := 0
		for _, s := range res.samples {
			offered += s.tally.Offered
		}
		if float64(late) > lateShare*float64(offered) {
			o.late = append(o.late, fmt.Sprintf("the load was late: %d of the %d requests of the %s were started more than %v after they were due", late, offered, a.name, tooLate))
		}
	}
	rep := newReport([]*outcome{o})
	if rep.Verdict == Error && len(o.errs) == 0 { // a probe is at fault
		return rep, errors.New(rep.Reasons[0])
	}
	return rep, errors.Join(o.errs...)
}

// newReport returns the report of runs of one experiment.
func newReport(runs []*outcome) Report {
	first := runs[0]
	rep := Report{
		Name: first.e.Name, Hypothesis: first.e.Hypothesis, Load: first.e.Load.String(),
		Virtual: first.virtual, Plan: first.e.plan(), Reasons: []string{}, runs: runs,
	}
	for _, o := range runs {
		rep.Seeds = append(rep.Seeds, o.e.Seed)
		rep.Lag.Late += o.lag.Late
		rep.Lag.Max = max(rep.Lag.Max, o.lag.Max)
		rep.Lag.Spoiled = rep.Lag.Spoiled || len(o.late) > 0
	}
	rep.System = newArmReport(runs, 0)
	if first.e.Control != nil {
		control := newArmReport(runs, 1)
		rep.Control = &control
	}
	rep.judge()
	return rep
}

// newArmReport returns what became of one of the two arms in all runs.
func newArmReport(runs []*outcome, which int) Arm {
	e := runs[0].e
	arm := Arm{Checks: []Check{}, Phases: []Tally{}, Seconds: []Second{}, Marks: []Mark{}}
	var each [phases][]*sample // by phase and run
	worst := Worst{Availability: 2}
	for i, o := range runs {
		if which >= len(o.arms) {
			continue
		}
		res := o.arms[which]
		arm.Left += res.left
		if i == 0 {
			arm.Seconds, arm.Marks = append(arm.Seconds, res.seconds...), append(arm.Marks, res.marks...)
		}
		for j, s := range res.samples {
			phase := inBaseline + j
			each[phase] = append(each[phase], s)
			if phase == inFault && s.tally.Offered > 0 && s.tally.Availability < worst.Availability {
				worst = Worst{Seed: o.e.Seed, Availability: s.tally.Availability}
			}
		}
	}
	if len(runs) > 1 && worst.Availability <= 1 {
		arm.Worst = &worst
	}
	var pooled [phases]*sample
	for phase, samples := range each {
		if len(samples) == 0 {
			continue
		}
		pooled[phase] = samples[0]
		if len(samples) > 1 {
			pooled[phase] = newSample()
			for _, s := range samples {
				pooled[phase].merge(s)
			}
			pooled[phase].complete()
		}
		arm.Phases = append(arm.Phases, pooled[phase].tally)
	}
	if s := pooled[inRecovery]; s != nil && len(s.recovered) > 0 {
		arm.Recovery = Recovery{Median: median(s.recovered), Max: slices.Max(s.recovered), Never: s.never, Runs: len(s.recovered)}
	}
	for _, p := range e.Steady {
		for phase := inBaseline; phase < phases; phase++ {
			if s := pooled[phase]; s != nil && slices.Contains(p.in(), phaseNames[phase]) {
				arm.Checks = append(arm.Checks, p.judge(s, phaseNames[phase]))
				if p.worst != nil && len(runs) > 1 {
					arm.Checks = append(arm.Checks, p.judgeWorst(each[phase], phaseNames[phase]))
				}
			}
		}
	}
	arm.Verdict = verdict(arm.Checks)
	return arm
}

// judge sets the verdict and says why.
func (r *Report) judge() {
	r.Verdict = Met
	say := func(v Verdict, why string) {
		if v.graver(r.Verdict) {
			r.Verdict = v
		}
		r.Reasons = append(r.Reasons, why)
	}
	of := func(o *outcome, why string) string {
		if len(r.runs) == 1 {
			return why
		}
		return fmt.Sprintf("seed %d: %s", o.e.Seed, why)
	}
	broken, late := true, false
	for _, o := range r.runs {
		for _, err := range o.errs {
			say(Error, of(o, err.Error()))
		}
		if o.aborted != "" {
			say(Aborted, of(o, "aborted by "+o.aborted))
		}
		for _, why := range o.unbroken {
			say(Inconclusive, of(o, why))
			broken = false
		}
		for _, why := range o.late {
			say(Inconclusive, of(o, why))
			late = true
		}
	}
	for _, c := range r.System.Checks {
		switch {
		case c.Verdict == Error:
			say(Error, "lab: "+c.Why)
		case c.Phase == PhaseBaseline && c.Verdict != Met:
			if broken {
				say(Inconclusive, "not steady in the baseline: "+c.reason())
			}
			broken = false
		case c.Verdict != Met:
			say(c.Verdict, c.reason())
		case c.Nearly:
			say(Met, fmt.Sprintf("nearly missed: %s: %s: it was %s", c.Phase, c.Name, c.Value))
		}
	}
	if r.Control == nil && broken && r.Verdict == Met && r.untouched() {
		say(Inconclusive, "no fault was ever injected, so it was not put to the test")
	}
	if c := r.Control; c != nil && broken && (r.Verdict == Met || r.Verdict == Inconclusive) {
		r.judgeControl(say)
	}
	// What the machine or the time before the faults was like says that nothing can be
	// said, whatever the bounds say.
	if r.Verdict == Deviated && (late || !broken) {
		r.Verdict = Inconclusive
	}
}

// untouched reports whether there were faults to inject, and nothing else to be done,
// and none was injected.
func (r *Report) untouched() bool {
	e := r.runs[0].e
	if len(e.Faults) == 0 || e.Load.surges > 0 {
		return false
	}
	for _, m := range r.System.Marks {
		if m.What == "step" {
			return false
		}
	}
	for _, t := range r.System.Phases {
		if len(t.Injected) > 0 {
			return false
		}
	}
	return slices.ContainsFunc(e.Faults, func(f chaos.Fault) bool { return f.Rate > 0 })
}

// judgeControl says whether the control shows that the faults bite.
func (r *Report) judgeControl(say func(Verdict, string)) {
	missed := false
	for _, c := range r.Control.Checks {
		switch {
		case c.Verdict == Error:
			say(Error, "lab: the control: "+c.Why)
		case c.Verdict != Deviated:
		case c.Phase == PhaseBaseline:
			say(Inconclusive, "the control was not steady in the baseline: "+c.reason())
		default:
			missed = true
		}
	}
	if !missed {
		say(Inconclusive, "the control did not miss the hypothesis, so it was not put to the test")
	}
}
