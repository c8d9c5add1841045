package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/steady-go/steady/chaos/lab"
)

// config is what the flags say.
type config struct {
	rate     float64       // requests a second, to each of the two clients
	nodes    int           // of each of the two fleets
	failing  float64       // share of the nodes that fail
	duration time.Duration // of the whole run
	seed     uint64
	svg, out string
	listen   string
	control  bool
}

// failingNodes is how many nodes fail.
func (c config) failingNodes() int { return int(math.Round(c.failing * float64(c.nodes))) }

// parseFlags returns the configuration, or an error that names every flag that is
// out of its range: who has three of them wrong should not need three tries.
func parseFlags(args []string, out io.Writer) (c config, err error) {
	f := flag.NewFlagSet("steadystate", flag.ContinueOnError)
	f.SetOutput(out)
	f.Float64Var(&c.rate, "rate", 200, "requests a `second`, to each of the two clients")
	f.IntVar(&c.nodes, "nodes", 10, "`number` of nodes of each client")
	f.Float64Var(&c.failing, "failing", 0.2, "`share` of the nodes that fail")
	f.DurationVar(&c.duration, "duration", sum*time.Second, "`time` that the run takes, of which the stages keep their shares")
	f.Uint64Var(&c.seed, "seed", 1, "`number` from which arrivals, service times and choices are drawn")
	f.StringVar(&c.svg, "svg", "steadystate.svg", "`file` for the timeline; empty for none")
	f.StringVar(&c.listen, "listen", "", "`address` at which to show metrics and status, such as 127.0.0.1:9300; empty for none")
	f.BoolVar(&c.control, "control", false, "let whoever sees the status throw switches")
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
	require(c.nodes >= 2 && c.nodes <= 200, "-nodes must be from 2 to 200, got %v", c.nodes)
	require(c.failing > 0 && c.failing <= 1, "-failing must be above 0 and at most 1, got %v", c.failing)
	require(c.failingNodes() > 0, "-failing %v of -nodes %v is not even one node", c.failing, c.nodes)
	require(c.duration >= time.Second && c.duration <= 10*time.Minute, "-duration must be from 1s to 10m, got %v", c.duration)
	require(!c.control || c.listen != "", "-control is of no use without -listen")
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
