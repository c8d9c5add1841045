// Command steadystate puts one hypothesis to the test on real sockets:
//
//	99.9 % availability at 200 requests a second while 20 % of the nodes fail
//
// Ten HTTP servers run on loopback, and a load arrives whose requests do not wait
// for each other. After a while in steady state, two of the ten nodes refuse and
// reset connections, later they hang, later still they answer slowly with errors;
// after each they recover. A client that is guarded by this library (guarded.go)
// lives through that at the same time as a bare one (bare.go) with a twin set of
// nodes of its own.
//
// It exits with 0 if the hypothesis is met, 1 if it is not or something broke, 2
// on a wrong flag, and 3 if the run was inconclusive.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

const (
	// target is the availability that the hypothesis claims.
	target = 0.999

	// enough is how many requests must have met a failing fleet before the hypothesis
	// may be called met. With fewer, the few that a breaker takes to learn that a node
	// is down, or a single unlucky one, would make the verdict.
	enough = 4800

	// lagLimit is how late a request may start before the run says more about the
	// machine that it runs on than about the clients.
	lagLimit = 50 * time.Millisecond
)

// The exit codes.
const (
	exitMet          = 0
	exitNotMet       = 1
	exitUsage        = 2
	exitInconclusive = 3
)

func main() {
	// Both clients and all nodes share this process with the clock of the load. A
	// collection now and then instead of many a second keeps that clock precise.
	debug.SetGCPercent(800)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], lagLimit, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process around it, for the tests.
func run(ctx context.Context, args []string, lagLimit time.Duration, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitMet
	case err != nil:
		fmt.Fprintf(stderr, "steadystate:\n%v\n", err)
		return exitUsage
	}
	cfg.lagLimit = lagLimit
	text := stdout
	if cfg.JSON == "-" {
		text = stderr // JSON has standard output for itself
	}

	fmt.Fprintf(text, "Hypothesis: %s.\n", cfg.hypothesis())
	fmt.Fprintf(text, "Nodes that fail: %d of %d. Seed: %d. It takes %v.\n\n", cfg.failing(), cfg.Nodes, cfg.Seed, cfg.Duration)

	runs := 1
	result, err := experiment(ctx, cfg, stderr)
	if err == nil && result.late() {
		// A generator that cannot keep its own schedule measures the machine, and its
		// good figures are worth as little as its bad ones. One repeat is fair: two of
		// them mean that this is no machine to measure on.
		fmt.Fprintf(text, "INCONCLUSIVE: %s. Repeating the run, once.\n\n", result.lateness())
		pause(ctx, 2*time.Second) // for what kept the machine busy to pass
		runs++
		result, err = experiment(ctx, cfg, stderr)
	}
	if err != nil {
		fmt.Fprintln(text, "steadystate:", err)
		return exitNotMet
	}

	rep := newReport(cfg, result, runs)
	rep.writeTable(text)
	if err := errors.Join(rep.saveSVG(cfg.SVG, text), rep.saveJSON(cfg.JSON, stdout)); err != nil {
		fmt.Fprintln(text, "steadystate:", err)
		return exitNotMet
	}
	switch rep.Verdict {
	case met:
		return exitMet
	case notMet:
		return exitNotMet
	}
	return exitInconclusive
}
