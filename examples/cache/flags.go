package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/steady-go/steady/chaos/lab"
)

// config is what the flags say.
type config struct {
	rate         float64       // requests a second, to each of the two clients
	duration     time.Duration // of the whole run
	staleIfError time.Duration
	seed         uint64
	svg, out     string
}

// parseFlags returns the configuration, or an error that names every flag that is
// out of its range: who has three of them wrong should not need three tries.
func parseFlags(args []string, out io.Writer) (c config, err error) {
	f := flag.NewFlagSet("cache", flag.ContinueOnError)
	f.SetOutput(out)
	f.Float64Var(&c.rate, "rate", 400, "requests a `second`, to each of the two clients")
	f.DurationVar(&c.duration, "duration", sum*time.Second, "`time` that the run takes, of which the stages keep their shares")
	f.DurationVar(&c.staleIfError, "stale-if-error", staleIfError, "`time` after Fresh for which an entry may stand in for a load that failed; 0 for none")
	f.Uint64Var(&c.seed, "seed", 1, "`number` from which arrivals, keys and service times are drawn")
	f.StringVar(&c.svg, "svg", "cache.svg", "`file` for the timeline; empty for none")
	f.StringVar(&c.out, "out", "", "`folder` for the report as page, picture, text and JSON")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	var faults []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	require(c.rate > 0 && c.rate <= 2000, "-rate must be above 0 and at most 2000, got %v", c.rate)
	require(c.duration >= time.Second && c.duration <= 10*time.Minute, "-duration must be from 1s to 10m, got %v", c.duration)
	require(c.staleIfError == 0 || c.staleIfError > staleWhileRevalidate && c.staleIfError <= time.Hour,
		"-stale-if-error must be 0, or above %v and at most 1h, got %v", staleWhileRevalidate, c.staleIfError)
	require(f.NArg() == 0, "unexpected arguments: %q", f.Args())
	return c, errors.Join(faults...)
}

// save writes the files that the flags ask for.
func (c config) save(r lab.Report, stdout io.Writer) error {
	if c.out != "" {
		if err := r.WriteFiles(c.out); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "The report is in %s.\n", c.out)
	}
	if c.svg != "" {
		if err := os.WriteFile(c.svg, r.SVG(), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "The timeline is in %s.\n", c.svg)
	}
	return nil
}
