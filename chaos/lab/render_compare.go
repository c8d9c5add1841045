package lab

import (
	"fmt"
	"math"
	"time"
)

// What matters when two reports are compared.
const (
	matterLatency = 0.1              // of the earlier latency
	matterSpan    = time.Millisecond // of latency, however short it was
	matterRatio   = 0.05             // attempts a request
	matterBack    = time.Second      // of recovery, which is measured in seconds
)

// Compare says in sentences what has changed since an earlier report of the same
// experiment, the system first. It is empty if nothing has that matters, which is:
//
//   - another verdict of the experiment, of its control or of a check;
//   - another availability in a phase: the two 95 % intervals have nothing in common, so
//     chance does not explain it;
//   - p50, p99 or p99.9 more than a tenth apart, and more than 1 ms;
//   - 0.05 attempts a request more or less;
//   - a recovery that takes a second more or less, in the median or at most, or is never
//     over in more or fewer runs;
//   - a phase that was not reached in one of the two;
//   - of the control, the availability alone: it tells whether the faults still bite as
//     they did;
//   - another clock: latencies in real time are also those of the machine.
//
// Reports of experiments with another name, load or other phases are not compared: the
// only sentence says so. The seeds may differ.
func (r Report) Compare(earlier Report) []string {
	if why := r.incomparable(earlier); why != "" {
		return []string{"not compared: " + why}
	}
	var c comparison
	c.verdicts("the verdict", earlier.Verdict, r.Verdict)
	c.recovery(earlier.System.Recovery, r.System.Recovery)
	c.phases("", earlier.System.Phases, r.System.Phases, c.tallies)
	c.checks(earlier.System.Checks, r.System.Checks)
	switch before, now := earlier.Control, r.Control; {
	case before == nil && now == nil:
	case before == nil:
		c.say("there is a control now")
	case now == nil:
		c.say("there is no control any more")
	default:
		c.verdicts("the control's verdict", before.Verdict, now.Verdict)
		c.phases("control: ", before.Phases, now.Phases, func(string, Tally, Tally) {})
	}
	if r.Virtual != earlier.Virtual {
		c.say("the clock is now %s, and was %s", clock(r.Virtual), clock(earlier.Virtual))
	}
	return c.said
}

func (r Report) incomparable(earlier Report) string {
	switch {
	case r.Name != earlier.Name:
		return fmt.Sprintf("this is the experiment %q, and the earlier report is of %q", plain(r.Name), plain(earlier.Name))
	case r.Load != earlier.Load:
		return fmt.Sprintf("the load is %s, and was %s", plain(r.Load), plain(earlier.Load))
	case r.Plan != earlier.Plan:
		return fmt.Sprintf("the phases are %s, and were %s", r.Plan.text(), earlier.Plan.text())
	}
	return ""
}

func clock(virtual bool) string {
	if virtual {
		return "virtual time"
	}
	return "real time"
}

// A comparison gathers sentences.
type comparison struct{ said []string }

func (c *comparison) say(format string, args ...any) {
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

func (c *comparison) verdicts(of string, before, now Verdict) {
	if before != now {
		c.say("%s is %s, and was %s", of, now, before)
	}
}

// phases compares each phase that one of the two has reached.
func (c *comparison) phases(of string, before, now []Tally, rest func(in string, before, now Tally)) {
	for _, phase := range []Phase{PhaseBaseline, PhaseFault, PhaseRecovery} {
		a, was := tallyOf(before, phase)
		b, is := tallyOf(now, phase)
		in := " during the " + string(phase)
		switch {
		case was && !is:
			c.say("%sthe %s was not reached, and was before", of, phase)
		case !was && is:
			c.say("%sthe %s was reached, and was not before", of, phase)
		case was && is:
			if a.Low > b.High || b.Low > a.High {
				c.say("%savailability%s %s → %s", of, in, shareText(a.Availability), shareText(b.Availability))
			}
			rest(in, a, b)
		}
	}
}

func (c *comparison) tallies(in string, a, b Tally) {
	for _, q := range []struct {
		name        string
		before, now time.Duration
	}{{"p50", a.P50, b.P50}, {"p99", a.P99, b.P99}, {"p99.9", a.P999, b.P999}} {
		apart := (q.now - q.before).Abs()
		if a.OK > 0 && b.OK > 0 && apart > matterSpan && float64(apart) > matterLatency*float64(q.before) {
			c.say("%s%s %s → %s", q.name, in, spanText(q.before), spanText(q.now))
		}
	}
	if math.Abs(a.Amplification-b.Amplification) >= matterRatio {
		c.say("attempts a request%s %s → %s", in, ratioText(a.Amplification), ratioText(b.Amplification))
	}
}

func (c *comparison) recovery(before, now Recovery) {
	if before.Runs == 0 || now.Runs == 0 {
		return
	}
	never, nowNever := before.Never == before.Runs, now.Never == now.Runs
	switch {
	case never && nowNever:
	case nowNever:
		c.say("does not recover any more; it did %s before", before.short())
	case never:
		c.say("recovers %s; it did not before", now.short())
	default:
		c.later("recovers %s %s than before: %s → %s", before.Median, now.Median)
		if before.Runs > 1 || now.Runs > 1 {
			c.later("the slowest run recovers %s %s than before: %s → %s", before.Max, now.Max)
		}
		if before.Never != now.Never {
			c.say("%d of %s did not recover; before, %d of %s did not", now.Never, counted(now.Runs, "run"), before.Never, counted(before.Runs, "run"))
		}
	}
}

func (c *comparison) later(format string, before, now time.Duration) {
	by, how := now-before, "later"
	if by < 0 {
		by, how = -by, "sooner"
	}
	if by >= matterBack {
		c.say(format, spanText(by), how, spanText(before), spanText(now))
	}
}

func (c *comparison) checks(before, now []Check) {
	type key struct {
		phase Phase
		name  string
	}
	was := map[key]Check{}
	for _, check := range before {
		was[key{check.Phase, check.Name}] = check
	}
	for _, check := range now {
		if old, ok := was[key{check.Phase, check.Name}]; ok && old.Verdict != check.Verdict {
			c.say("%s: %s is %s, and was %s: %s → %s", check.Phase, plain(check.Name), check.Verdict, old.Verdict, plain(old.Value), plain(check.Value))
		}
	}
}
