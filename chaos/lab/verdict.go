package lab

import (
	"errors"
	"fmt"
	"math"
)

// judge says what p shows in a phase. A probe that is itself at fault has the verdict
// Error.
func (p Probe) judge(s *sample, phase Phase) Check {
	v, err := p.value(s)
	c := p.newCheck(phase, p.bound, v)
	if !c.decide(p, p.bound, v, err) {
		return c
	}
	if p.kind == recovers && s.never > 0 {
		c.Verdict, c.Why = Deviated, fmt.Sprintf("%d of %d runs did not recover", s.never, len(s.recovered))
	}
	if c.Verdict != Met {
		return c
	}
	if few := p.tooFew(s, phase); few != "" {
		c.Verdict, c.Why = Inconclusive, few
		return c
	}
	left, all := p.room(s, v, p.bound)
	c.Nearly = left < all/10
	return c
}

// judgeWorst says what p shows of the run that does worst in it, of several.
func (p Probe) judgeWorst(runs []*sample, phase Phase) Check {
	worst := math.Inf(1)
	if !p.atLeast {
		worst = math.Inf(-1)
	}
	var none error
	for _, s := range runs {
		v, err := p.value(s)
		if err != nil {
			none = err
			continue
		}
		if p.atLeast {
			worst = min(worst, v)
		} else {
			worst = max(worst, v)
		}
	}
	if math.IsInf(worst, 0) {
		worst = 0
	} else if p.keeps(worst, *p.worst) && none != nil {
		none = fmt.Errorf("a run shows nothing: %w", none)
	} else {
		none = nil
	}
	c := p.newCheck(phase, *p.worst, worst)
	c.Name += ", worst run"
	c.WorstRun = true
	c.decide(p, *p.worst, worst, none)
	return c
}

func (p Probe) newCheck(phase Phase, bound, v float64) Check {
	return Check{
		Name: p.title(bound), Phase: phase, Bound: p.boundText(bound),
		Value: p.text(v), Number: v, Verdict: Met,
	}
}

// decide sets the verdict by the bound alone. It reports false if there is no value.
func (c *Check) decide(p Probe, bound, v float64, err error) bool {
	var fault *probeError
	switch {
	case errors.As(err, &fault):
		c.Value, c.Verdict, c.Why = "none", Error, err.Error()
		return false
	case err != nil:
		c.Value, c.Verdict, c.Why = "none", Inconclusive, err.Error()
		return false
	case !p.keeps(v, bound):
		c.Verdict, c.Why = Deviated, "it was "+p.text(v)
	}
	return true
}

// tooFew returns why p's bound, which was kept, cannot be claimed, or "".
func (p Probe) tooFew(s *sample, phase Phase) string {
	if phase == PhaseBaseline {
		return ""
	}
	switch n := s.tally.Offered; p.kind {
	case availability:
		if claims(s.tally.OK, n, p.bound) {
			return ""
		}
		low := lower(s.tally.OK, n, 0.05)
		return fmt.Sprintf("too few requests to claim it: %d failed of %d, which shows %s at 95 %% confidence; without a failure it takes %d",
			s.tally.Failed, n, percent(low), needed(p.bound))
	case latency:
		if n := len(s.latencies); n < needed(p.q) {
			return fmt.Sprintf("too few answers to claim it: %d, and it takes %d", n, needed(p.q))
		}
	}
	return ""
}

// reason says in one line what a check found.
func (c Check) reason() string {
	return fmt.Sprintf("%s: %s: %s", c.Phase, c.Name, c.Why)
}

// verdict returns the verdict of checks together.
func verdict(checks []Check) Verdict {
	v := Met
	for _, c := range checks {
		if c.Verdict.graver(v) {
			v = c.Verdict
		}
	}
	return v
}

// graver reports whether v decides over o.
func (v Verdict) graver(o Verdict) bool { return v.gravity() > o.gravity() }

func (v Verdict) gravity() int {
	switch v {
	case Met:
		return 0
	case Inconclusive:
		return 1
	case Deviated:
		return 2
	case Aborted:
		return 3
	}
	return 4
}
