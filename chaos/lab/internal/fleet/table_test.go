package fleet_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/steady-go/steady/chaos/lab"
)

// TestMain prints the table of all that was measured, after the tests. go test shows it
// when it tests the package in the present folder, or with -v:
//
//	go test -lab.seeds 500 -fleet.long -timeout 0
func TestMain(m *testing.M) {
	code := m.Run()
	results.print()
	os.Exit(code)
}

// A table is the rows of all experiments that were run.
type table struct {
	mu   sync.Mutex
	rows []row
}

var results table

// A row is one number with its bound, and what was measured: in all runs together, and
// in the worst one where that has a bound of its own.
type row struct {
	experiment, what    string
	pooled, bound       string
	worst, boundOfWorst string
	verdict             string
}

const (
	ok    = "ok"
	above = "ABOVE"
)

// report adds what r says about the system in the fault and after it.
func (t *table) report(r lab.Report) {
	for _, c := range r.System.Checks {
		if c.Phase == lab.PhaseBaseline {
			continue
		}
		what, _, _ := strings.Cut(c.Name, " ")
		verdict := ok
		switch c.Verdict {
		case lab.Met:
		case lab.Deviated:
			verdict = above
		default:
			verdict = string(c.Verdict)
		}
		t.mu.Lock()
		if last := len(t.rows) - 1; c.WorstRun && last >= 0 {
			t.rows[last].worst, t.rows[last].boundOfWorst = c.Value, c.Bound
			if t.rows[last].verdict == ok {
				t.rows[last].verdict = verdict
			}
		} else {
			if what == "recovers" && len(r.Seeds) > 1 {
				what = "recovers, median"
			}
			t.rows = append(t.rows, row{experiment: r.Name, what: what, pooled: c.Value, bound: c.Bound, verdict: verdict})
		}
		t.mu.Unlock()
	}
}

// add adds a number that a test has measured itself, and fails the test if it is not
// within its bound.
func (t *table) add(test *testing.T, experiment, what, pooled, bound string, within bool) {
	test.Helper()
	r := row{experiment: experiment, what: what, pooled: pooled, bound: bound, verdict: ok}
	if !within {
		r.verdict = above
		test.Errorf("%s: %s: %s, not %s", experiment, what, pooled, bound)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

func (t *table) print() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nexperiment\tmeasured\tall runs\tbound\tworst run\tbound\t")
	before := ""
	for _, r := range t.rows {
		name := r.experiment
		if name == before {
			name = ""
		}
		before = r.experiment
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, r.what, r.pooled, r.bound, r.worst, r.boundOfWorst, r.verdict)
	}
	w.Flush()
	fmt.Println()
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }
