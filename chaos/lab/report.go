package lab

import "time"

// A Report is what an experiment showed: one run, or several runs of different
// seeds pooled. It is plain data: two runs of one seed in virtual time with
// GOMAXPROCS=1 have the same one, byte for byte as JSON. There, durations are in
// nanoseconds, and shares go from 0 to 1.
type Report struct {
	Name       string   `json:"name"`
	Hypothesis string   `json:"hypothesis"`
	Load       string   `json:"load"`
	Seeds      []uint64 `json:"seeds"`   // of the runs, in their order
	Virtual    bool     `json:"virtual"` // the clock was that of a synctest bubble
	Verdict    Verdict  `json:"verdict"`
	Reasons    []string `json:"reasons"` // why it is not Met, or what was nearly missed

	Plan    Plan `json:"plan"`
	System  Arm  `json:"system"`
	Control *Arm `json:"control,omitempty"` // nil without one
	Lag     Lag  `json:"lag"`

	runs []*outcome // what Pool needs of them; none if it was read from a file
}

// A Lag is how late the requests, but for those of the warm-up, were started. It is the
// machine's fault, not the system's, and always 0 in virtual time.
type Lag struct {
	Late int           `json:"late"` // requests that were started more than 20 ms after they were due
	Max  time.Duration `json:"max"`

	// Spoiled: more than 1 % of the requests of an arm in a run were, so that it measured
	// the machine, and nothing can be said.
	Spoiled bool `json:"spoiled,omitempty"`
}

// A Plan is how long each phase was to last. Each begins where the one before
// ended.
type Plan struct {
	Warmup   time.Duration `json:"warmup"`
	Baseline time.Duration `json:"baseline"`
	Fault    time.Duration `json:"fault"`
	Recovery time.Duration `json:"recovery"`
}

// An Arm is what happened to one of the two, the system or its control.
type Arm struct {
	Verdict  Verdict  `json:"verdict"` // of its own checks
	Checks   []Check  `json:"checks"`
	Phases   []Tally  `json:"phases"`   // baseline, fault, recovery
	Recovery Recovery `json:"recovery"` // of the pooled runs: the median and the worst
	Worst    *Worst   `json:"worst,omitempty"`

	// Seconds is the timeline of the run with the first seed, from the beginning of
	// the warm-up on.
	Seconds []Second `json:"seconds"`
	Marks   []Mark   `json:"marks"` // what was done when: steps, aborts, rollbacks

	Left int `json:"left"` // requests and goroutines still running ten seconds after the end, in all runs
}

// A Worst names the run that did worst in availability during the fault.
type Worst struct {
	Seed         uint64  `json:"seed"`
	Availability float64 `json:"availability"`
}

// A Recovery is how long after the end of the fault steady state was back:
// the time from the end of the fault to the beginning of the first five seconds in
// a row, in each of which at least 99 % of the requests due were answered. A run that
// never got there counts as its whole recovery phase, and in Never.
type Recovery struct {
	Median time.Duration `json:"median"`
	Max    time.Duration `json:"max"`
	Never  int           `json:"never"` // runs that did not recover
	Runs   int           `json:"runs"`
}

// A Tally is what was counted of the requests that were due in one phase.
type Tally struct {
	Phase        Phase         `json:"phase"`
	Lasted       time.Duration `json:"lasted"`   // the phase, of all runs together
	Offered      int           `json:"offered"`  // due
	OK           int           `json:"ok"`       // answered without an error
	Failed       int           `json:"failed"`   // answered with one, or not at all
	Overflow     int           `json:"overflow"` // of Failed: not even started, too many were under way
	Availability float64       `json:"availability"`
	Low          float64       `json:"low"`  // of the 95 % interval of Availability (Clopper and Pearson)
	High         float64       `json:"high"` //
	P50          time.Duration `json:"p50"`  // of the answered ones, from when each was due
	P99          time.Duration `json:"p99"`
	P999         time.Duration `json:"p999"`
	Max          time.Duration `json:"max"`

	Attempts      int            `json:"attempts"`      // calls that reached the world's chaos policy
	Amplification float64        `json:"amplification"` // Attempts ÷ requests started
	Rejected      int            `json:"rejected"`      // by policies with the world's hook
	Injected      map[string]int `json:"injected"`      // by the fault's name
	Errors        map[string]int `json:"errors"`        // by the error's text, at most ten kinds and "other"
}

// A Check is one probe with its bound and what it measured.
type Check struct {
	Name     string  `json:"name"`  // such as "availability ≥ 99.9 %"
	Phase    Phase   `json:"phase"` // in which it was measured
	Bound    string  `json:"bound"` // as a person reads it
	Value    string  `json:"value"`
	Number   float64 `json:"number"`
	Verdict  Verdict `json:"verdict"`
	Why      string  `json:"why,omitempty"`    // it is not Met
	Nearly   bool    `json:"nearly,omitempty"` // it is Met, by less than a tenth of the room that there was
	WorstRun bool    `json:"worst_run,omitempty"`
}

// A Second is what was counted of the requests that were due in one second.
type Second struct {
	Offered  int                `json:"offered"`
	OK       int                `json:"ok"`
	P50      time.Duration      `json:"p50"`
	P99      time.Duration      `json:"p99"`
	Attempts int                `json:"attempts"` // that began in it
	Injected int                `json:"injected"`
	Rejected int                `json:"rejected"`
	Gauges   map[string]float64 `json:"gauges,omitempty"` // at its end
}

// A Mark is something that was done, or that happened, in a run.
type Mark struct {
	At   time.Duration `json:"at"`   // since the beginning of the warm-up
	What string        `json:"what"` // "fault", "step", "step failed", "abort", "rollback", "disarm"
	Name string        `json:"name"`
	Err  string        `json:"err,omitempty"`
}

// A Verdict is what an experiment says about its hypothesis.
type Verdict string

const (
	// Met: steady state held, as the hypothesis says, in enough requests to claim it,
	// and the control shows that it was put to the test.
	Met Verdict = "met"
	// Deviated: the hypothesis is wrong.
	Deviated Verdict = "deviated"
	// Aborted: an abort probe ended the faults.
	Aborted Verdict = "aborted"
	// Inconclusive: the run cannot tell. There were too few requests, the system was
	// not steady before anything was broken, or the control held too.
	Inconclusive Verdict = "inconclusive"
	// Error: the experiment itself failed.
	Error Verdict = "error"
)

// A Phase is a part of a run.
type Phase string

const (
	PhaseWarmup   Phase = "warmup"   // not measured
	PhaseBaseline Phase = "baseline" // steady state, before anything is broken
	PhaseFault    Phase = "fault"    // things are broken
	PhaseRecovery Phase = "recovery" // they are whole again
)
