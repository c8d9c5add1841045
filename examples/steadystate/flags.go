package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// config is what the flags say.
type config struct {
	Rate     float64       // requests a second, to each of the two clients
	Nodes    int           // of each of the two fleets
	Failing  float64       // share of the nodes that fail
	Duration time.Duration // of the whole run
	Seed     uint64
	SVG      string
	JSON     string

	lagLimit time.Duration // not a flag: a run that may be late proves nothing
}

// failing is how many nodes fail.
func (c config) failing() int { return int(math.Round(c.Failing * float64(c.Nodes))) }

func (c config) hypothesis() string {
	return fmt.Sprintf("%.4g %% availability at %.4g requests a second while %.4g %% of the nodes fail",
		100*target, c.Rate, 100*c.Failing)
}

// parseFlags returns the configuration, or an error that names every wrong flag
// and what it holds: who has three of them wrong should not need three tries.
func parseFlags(args []string, out io.Writer) (config, error) {
	c := config{Rate: 200, Nodes: 10, Failing: 0.2, Duration: 38 * time.Second, Seed: 1, SVG: "steadystate.svg"}
	f := flags{set: flag.NewFlagSet("steadystate", flag.ContinueOnError)}
	f.set.SetOutput(out)

	define(&f, &c.Rate, "rate", "requests a `second`", "above 0 and at most 2000",
		func(s string) (float64, error) { return strconv.ParseFloat(s, 64) },
		func(v float64) bool { return v > 0 && v <= 2000 })
	define(&f, &c.Nodes, "nodes", "`number` of nodes", "from 2 to 200", strconv.Atoi,
		func(v int) bool { return v >= 2 && v <= 200 })
	define(&f, &c.Failing, "failing", "`share` of the nodes that fail", "above 0 and at most 1",
		func(s string) (float64, error) { return strconv.ParseFloat(s, 64) },
		func(v float64) bool { return v > 0 && v <= 1 })
	define(&f, &c.Duration, "duration", "`time` that the run takes, in which the phases keep their shares", "from 1s to 10m",
		time.ParseDuration, func(v time.Duration) bool { return v >= time.Second && v <= 10*time.Minute })
	define(&f, &c.Seed, "seed", "`number` from which arrivals, service times and the bare client's choices are drawn", "a whole number >= 0",
		func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) },
		func(uint64) bool { return true })
	f.set.StringVar(&c.SVG, "svg", c.SVG, "`file` for the timeline; empty for none")
	f.set.StringVar(&c.JSON, "json", c.JSON, "`file` for all the numbers; - for standard output, where the text then gives way")

	if err := f.set.Parse(args); errors.Is(err, flag.ErrHelp) {
		return c, err
	} else if err != nil {
		f.faults = append(f.faults, err)
	}
	if f.set.NArg() > 0 {
		f.faults = append(f.faults, fmt.Errorf("unexpected arguments: %q", f.set.Args()))
	}
	if c.failing() == 0 {
		f.faults = append(f.faults, fmt.Errorf("-failing %v of -nodes %v is not even one node", c.Failing, c.Nodes))
	}
	return c, errors.Join(f.faults...)
}

type flags struct {
	set    *flag.FlagSet
	faults []error
}

// define adds a flag whose faults are collected. The flag package by itself stops
// at the first.
func define[T any](f *flags, to *T, name, about, rule string, parse func(string) (T, error), ok func(T) bool) {
	usage := fmt.Sprintf("%s, %s (default %v)", about, rule, *to)
	f.set.Func(name, usage, func(s string) error {
		v, err := parse(s)
		if err != nil || !ok(v) {
			f.faults = append(f.faults, fmt.Errorf("-%s must be %s, got %q", name, rule, s))
			return nil
		}
		*to = v
		return nil
	})
}
