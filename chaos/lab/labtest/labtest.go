// Package labtest runs the experiments of package lab as tests, in virtual time.
//
// It is a package of its own so that services which run experiments do not link
// package testing.
//
// Three flags belong to it, in every test binary that imports it:
//
//	-lab.seed N    run seed N alone, to replay it
//	-lab.seeds N   run N seeds
//	-lab.out DIR   write the reports into that folder, seen from the package's
//
// go test hands flags to all packages that it tests, so name the package that has the
// experiment.
package labtest

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/steady-go/steady/chaos/lab"
)

const (
	flagSeed  = "lab.seed"
	flagSeeds = "lab.seeds"
	flagOut   = "lab.out"
)

// init leaves flags alone that are already there, of another version of this package.
func init() {
	for name, usage := range map[string]string{
		flagSeed:  "run the experiments of package lab with this seed alone",
		flagSeeds: "run the experiments of package lab with so many seeds",
		flagOut:   "write the reports of the experiments of package lab into this folder",
	} {
		if flag.Lookup(name) == nil {
			flag.String(name, "", usage)
		}
	}
}

// flagged returns a flag's value, "" if it was not set.
func flagged(name string) string { return flag.Lookup(name).Value.String() }

// defaultSeeds is how many seeds are run: 20 of one minute at 200 requests a second
// are enough to claim 99.99 %, and show what happens to one run in ten.
const defaultSeeds = 20

// An Option changes how an experiment is run.
type Option func(*options)

type options struct {
	seeds int
	dir   string
}

// Seeds runs n seeds, from the experiment's own on, in place of 20. The flag
// -lab.seeds beats it.
func Seeds(n int) Option { return func(o *options) { o.seeds = n } }

// Files writes the report into dir, in all its forms. The flag -lab.out beats it.
func Files(dir string) Option { return func(o *options) { o.dir = dir } }

// Test runs e with 20 seeds, each in a synctest bubble of its own, logs the report of
// all of them pooled, and fails t unless the verdict is Met. It returns that report.
//
// The runs are parallel subtests of t, named by their seeds, so the Builds of e must
// share nothing that may not be used by several goroutines at once, and no channel,
// timer or WaitGroup. For a run that is byte for byte the same each time, use
// -cpu 1.
func Test(t *testing.T, e lab.Experiment, opts ...Option) lab.Report {
	t.Helper()
	r := Run(t, e, opts...)
	if r.Verdict != lab.Met {
		t.Errorf("%s: %s: %s", e.Name, r.Verdict, strings.Join(r.Reasons, "\n\t"))
	}
	return r
}

// Run is [Test] but does not fail t for the verdict, only if e could not be run.
func Run(t *testing.T, e lab.Experiment, opts ...Option) lab.Report {
	t.Helper()
	o := options{seeds: defaultSeeds}
	for _, opt := range opts {
		opt(&o)
	}
	if err := o.flags(&e); err != nil {
		t.Fatal(err)
	}
	if err := e.Check(); err != nil {
		t.Fatal(err)
	}
	reports := run(t, e, o.seeds)
	if len(reports) == 0 {
		t.Fatalf("%s: no seed was run to its end", e.Name)
	}
	r, err := lab.Pool(reports...)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + r.Text())
	t.Log(replay(t, r))
	if o.dir != "" {
		if err := r.WriteFiles(o.dir); err != nil {
			t.Error(err)
		}
	}
	return r
}

// flags applies the flags.
func (o *options) flags(e *lab.Experiment) error {
	if v := flagged(flagSeeds); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("labtest: -%s: %w", flagSeeds, err)
		}
		o.seeds = n
	}
	if v := flagged(flagSeed); v != "" {
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return fmt.Errorf("labtest: -%s: %w", flagSeed, err)
		}
		e.Seed, o.seeds = seed, 1
	}
	if v := flagged(flagOut); v != "" {
		o.dir = v
	}
	if o.seeds < 1 {
		return fmt.Errorf("labtest: the number of seeds must be > 0, got %d", o.seeds)
	}
	return nil
}

// run runs the seeds and returns their reports in order, without those of subtests
// that did not end or were not asked for (by -run).
func run(t *testing.T, e lab.Experiment, seeds int) []lab.Report {
	var mu sync.Mutex
	byOrder := make([]*lab.Report, seeds)
	t.Run("seeds", func(t *testing.T) {
		for i := range seeds {
			e := e.Seeded(e.Seed + uint64(i))
			t.Run(strconv.FormatUint(e.Seed, 10), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					// The error is among the report's reasons.
					r, _ := e.Run(t.Context())
					mu.Lock()
					defer mu.Unlock()
					byOrder[i] = &r
				})
			})
		}
	})
	var reports []lab.Report
	for _, r := range byOrder {
		if r != nil {
			reports = append(reports, *r)
		}
	}
	return reports
}

// replay tells how to run again the seed that did worst.
func replay(t *testing.T, r lab.Report) string {
	seed := r.Seeds[0]
	if r.System.Worst != nil {
		seed = r.System.Worst.Seed
	}
	return fmt.Sprintf("to replay the worst seed: go test -run '^%s$' -%s=%d -cpu 1", strings.ReplaceAll(t.Name(), "/", "$/^"), flagSeed, seed)
}
