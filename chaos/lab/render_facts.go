package lab

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// name returns r's name as a person reads it.
func (r Report) name() string { return cmp.Or(plain(r.Name), "an experiment without a name") }

// verdict returns r's verdict as a person reads it.
func (r Report) verdict() string { return cmp.Or(plain(string(r.Verdict)), "no verdict") }

// A fact is a line about the whole.
type fact struct{ Name, Text string }

// facts says how the experiment was run, and what was amiss with that.
func (r Report) facts() []fact {
	facts := []fact{{"load", cmp.Or(plain(r.Load), "none")}, {"phases", r.Plan.text()}, {"seeds", r.seedsText()}}
	if r.Lag.Late > 0 {
		facts = append(facts, fact{"late", fmt.Sprintf("%s started more than %s late, at most %s", counted(r.Lag.Late, "request"), spanText(tooLate), spanText(r.Lag.Max))})
	}
	for _, a := range r.arms() {
		if a.Left > 0 {
			facts = append(facts, fact{"left", fmt.Sprintf("%s of the %s still running after the end", thousands(a.Left), a.name)})
		}
	}
	return facts
}

// text says how long an arm took to recover, or "" if that is not known.
func (r Recovery) text() string {
	after := "at once"
	if r.Median > 0 {
		after = "after " + spanText(r.Median)
	}
	switch {
	case r.Runs == 0:
		return ""
	case r.Never == r.Runs && r.Runs == 1:
		return "never"
	case r.Never == r.Runs:
		return fmt.Sprintf("never, in %d runs", r.Runs)
	case r.Runs == 1:
		return after
	case r.Median == r.Max:
		return fmt.Sprintf("%s in each of %d runs", after, r.Runs)
	case r.Never > 0:
		return fmt.Sprintf("%s in the median of %d runs; %d never did", after, r.Runs, r.Never)
	}
	return fmt.Sprintf("%s in the median of %d runs, after %s at most", after, r.Runs, spanText(r.Max))
}

// short says how long an arm took to recover, in a word or two.
func (r Recovery) short() string {
	switch {
	case r.Runs == 0:
		return dash
	case r.Never == r.Runs:
		return "never"
	case r.Median == 0:
		return "at once"
	}
	return "after " + spanText(r.Median)
}

// text says how long the phases were to last.
func (p Plan) text() string {
	var parts []string
	for _, phase := range []struct {
		name string
		d    time.Duration
	}{{"warm-up", p.Warmup}, {"baseline", p.Baseline}, {"fault", p.Fault}, {"recovery", p.Recovery}} {
		if phase.d > 0 {
			parts = append(parts, spanText(phase.d)+" "+phase.name)
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// seedsText names the seeds, and the clock.
func (r Report) seedsText() string {
	n := len(r.Seeds)
	if n == 0 {
		return "none"
	}
	list, row := "", true
	for i, seed := range r.Seeds {
		row = row && seed == r.Seeds[0]+uint64(i)
		if i < 10 {
			list += fmt.Sprintf(", %d", seed)
		}
	}
	list = list[2:]
	switch {
	case n > 2 && row:
		list = fmt.Sprintf("%d to %d", r.Seeds[0], r.Seeds[n-1])
	case n > 10:
		list += ", …"
	}
	if n > 1 {
		list = fmt.Sprintf("%d (%s)", n, list)
	}
	return list + ", in " + clock(r.Virtual)
}

// replay says which seed is worth another look, why, and how to get it.
func (r Report) replay() (seed, how string) {
	if len(r.Seeds) == 0 {
		return "", ""
	}
	n := r.Seeds[0]
	seed = fmt.Sprintf("%d, the only one", n)
	if w := r.System.Worst; w != nil {
		n = w.Seed
		seed = fmt.Sprintf("%d, with an availability of %s during the fault", n, shareText(w.Availability))
	}
	if r.Virtual {
		return seed, fmt.Sprintf("go test -run '^YourTest$' -lab.seed=%d -cpu 1", n)
	}
	return seed, fmt.Sprintf("Experiment.Seeded(%d).Run, which makes the same draws at other moments", n)
}
