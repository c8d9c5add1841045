package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// The verdicts on the hypothesis.
const (
	met          = "met"
	notMet       = "not met"
	inconclusive = "inconclusive"
)

// A report is all that is told about a run, as a table, a picture and JSON.
type report struct {
	Hypothesis string    `json:"hypothesis"`
	Verdict    string    `json:"verdict"`
	Reason     string    `json:"reason"`
	Rate       float64   `json:"rate_per_second"`
	Nodes      int       `json:"nodes"`
	Failing    float64   `json:"failing_share"`
	Duration   float64   `json:"duration_s"`
	Seed       uint64    `json:"seed"`
	Run        int       `json:"run"` // 2 if the first was inconclusive
	MaxLag     float64   `json:"max_lag_ms"`
	Phases     []span    `json:"phases"`
	Rows       []row     `json:"rows"`
	Total      []row     `json:"failing_phases_together"` // by lane
	Failures   []failure `json:"first_guarded_failures,omitempty"`
	Timeline   []second  `json:"timeline"`
	Breakers   []step    `json:"breakers"`
	Probes     []float64 `json:"breaker_probes_s"`
}

// A span is a phase in seconds.
type span struct {
	Name    string  `json:"name"`
	Start   float64 `json:"start_s"`
	End     float64 `json:"end_s"`
	Failing bool    `json:"nodes_fail"`
}

// A row is what one client achieved in one phase, or in several together.
type row struct {
	Phase        string  `json:"phase"`
	Client       string  `json:"client"`
	Requests     int     `json:"requests"`
	Succeeded    int     `json:"succeeded"`
	Availability float64 `json:"availability"`
	Low          float64 `json:"availability_95_low"`
	High         float64 `json:"availability_95_high"`
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
	Attempts     float64 `json:"attempts_per_request"`
	Rejections   int     `json:"rejections"`
	Breakers     string  `json:"breakers_at_end,omitempty"`
}

// A failure is a request of the guarded client that failed.
type failure struct {
	Due      float64 `json:"due_s"`
	Latency  float64 `json:"latency_ms"`
	Attempts int     `json:"attempts"`
	Error    string  `json:"error"`
}

// A second is one of the timeline, for both clients.
type second struct {
	At      int `json:"second"`
	Bare    row `json:"bare"`
	Guarded row `json:"guarded"`
}

func newReport(cfg config, o *outcome, run int) *report {
	r := &report{
		Hypothesis: cfg.hypothesis(),
		Rate:       cfg.Rate, Nodes: cfg.Nodes, Failing: cfg.Failing, Duration: cfg.Duration.Seconds(), Seed: cfg.Seed,
		Run: run, MaxLag: ms(o.lag),
	}
	for _, p := range o.phases {
		r.Phases = append(r.Phases, span{p.name, p.start.Seconds(), p.end.Seconds(), p.fault != none})
		for i := range o.lanes {
			r.Rows = append(r.Rows, o.row(p.name, i, cfg.Nodes, p))
		}
	}
	failing := slices.DeleteFunc(slices.Clone(o.phases), func(p phase) bool { return p.fault == none })
	for i := range o.lanes {
		r.Total = append(r.Total, o.row("failing phases together", i, cfg.Nodes, failing...))
	}
	for at := time.Duration(0); at < cfg.Duration; at += time.Second {
		p := phase{start: at, end: at + time.Second}
		r.Timeline = append(r.Timeline, second{
			At:      int(at.Seconds()),
			Bare:    o.row(phaseAt(o.phases, at).name, laneBare, cfg.Nodes, p),
			Guarded: o.row(phaseAt(o.phases, at).name, laneGuarded, cfg.Nodes, p),
		})
	}
	for _, s := range o.dueIn(laneGuarded, phase{end: cfg.Duration}) {
		if s.err != nil && len(r.Failures) < 5 {
			r.Failures = append(r.Failures, failure{s.due.Seconds(), ms(s.latency), s.attempts, s.err.Error()})
		}
	}
	r.Breakers, r.Probes = o.watch.steps()
	r.Verdict, r.Reason = r.judge(o)
	return r
}

// row sums up the requests of one lane that were due in the given phases.
func (o *outcome) row(name string, i, nodes int, phases ...phase) row {
	r := row{Phase: name, Client: o.lanes[i].name}
	var latencies []time.Duration
	for _, p := range phases {
		for _, s := range o.dueIn(i, p) {
			r.Requests++
			r.Attempts += float64(s.attempts)
			if s.err == nil {
				r.Succeeded++
			}
			if !errors.Is(s.err, errOverflow) {
				latencies = append(latencies, s.latency)
			}
		}
		if i == laneGuarded {
			r.Rejections += o.watch.refused(p.start, p.end)
			r.Breakers = o.watch.states(p.end, nodes)
		}
	}
	if n := float64(r.Requests); n > 0 {
		r.Availability = float64(r.Succeeded) / n
		r.Attempts /= n
	}
	r.Low, r.High = wilson(r.Succeeded, r.Requests)
	slices.Sort(latencies)
	r.P50, r.P99 = ms(quantile(latencies, 0.5)), ms(quantile(latencies, 0.99))
	return r
}

// dueIn returns the requests of one lane that were due in a phase, without those
// that were cut off by the end of the run.
func (o *outcome) dueIn(i int, p phase) []sample {
	sent := o.lanes[i].samples[:o.sent]
	first := func(from time.Duration) int {
		n, _ := slices.BinarySearchFunc(sent, from, func(s sample, t time.Duration) int { return cmp.Compare(s.due, t) })
		return n
	}
	due := slices.Clone(sent[first(p.start):first(p.end)])
	return slices.DeleteFunc(due, func(s sample) bool { return s.cut })
}

// judge gives the verdict, and why.
func (r *report) judge(o *outcome) (verdict, reason string) {
	steady, bare, guarded := r.Rows[laneGuarded], r.Total[laneBare], r.Total[laneGuarded]
	switch {
	case o.late():
		return inconclusive, o.lateness()
	case o.cause != nil:
		return inconclusive, "the run was interrupted"
	case guarded.Requests < enough:
		return inconclusive, fmt.Sprintf("too few requests to tell: %d in the failing phases, and the claim takes %d", guarded.Requests, enough)
	case steady.High < target: // not for a single one: what is due at the end of the phase still meets the fault
		return inconclusive, fmt.Sprintf("there was no steady state before the faults: availability was %s", percent(steady.Availability, 3))
	case guarded.Availability < target:
		return notMet, fmt.Sprintf("the guarded client held %s through the failing phases", percent(guarded.Availability, 3))
	case bare.Availability >= target:
		return inconclusive, "the bare client held as well, so the faults were none"
	}
	return met, fmt.Sprintf("the guarded client held %s through the failing phases at %.3f attempts a request; the bare one had %s",
		percent(guarded.Availability, 3), guarded.Attempts, percent(bare.Availability, 3))
}

// writeTable writes the report for people to read.
func (r *report) writeTable(to io.Writer) {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\tclient\trequests\tavailability\tp50 ms\tp99 ms\tattempts/request\trejections\tbreakers at its end\t")
	for _, w := range withRequests(r.Rows) {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%.1f\t%.1f\t%.3f\t%d\t%s\t\n", w.Phase, w.Client, w.Requests,
			percent(w.Availability, 2), w.P50, w.P99, w.Attempts, w.Rejections, cmp.Or(w.Breakers, "-"))
	}
	_ = t.Flush() // like every write to the terminal here: there is nowhere to complain
	fmt.Fprintln(to)
	for _, w := range withRequests(r.Total) {
		fmt.Fprintf(to, "The failing phases together, %-8s %d of %d requests: %s (95 %% interval %s to %s), p99 %.0f ms, %.3f attempts a request\n",
			w.Client+":", w.Succeeded, w.Requests, percent(w.Availability, 3), percent(w.Low, 3), percent(w.High, 3), w.P99, w.Attempts)
	}
	for _, f := range r.Failures {
		fmt.Fprintf(to, "  among the first failures of the guarded client: due at %.3f s, %.0f ms, %d attempts: %s\n", f.Due, f.Latency, f.Attempts, f.Error)
	}
	fmt.Fprintf(to, "Latest start of a request: %.1f ms after it was due.\n", r.MaxLag)
	fmt.Fprintf(to, "\nHypothesis %s: %s.\n", r.Verdict, r.Reason)
}

// withRequests leaves out the rows of phases that a run did not come to.
func withRequests(rows []row) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(w row) bool { return w.Requests == 0 })
}

// saveJSON writes the report to a file, or to out if that is "-".
func (r *report) saveJSON(file string, out io.Writer) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if file == "-" {
		_, err = out.Write(text)
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
