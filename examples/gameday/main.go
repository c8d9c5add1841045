// Command gameday is a gallery of failures that have taken services down, and of what
// this library does about each. Every exhibit is one experiment of package chaos/lab, in a
// file of its own that can be read from top to bottom: hang.go, graynode.go, retrystorm.go,
// herd.go, coldcache.go, tenant.go, shard.go, lostreply.go, clockstep.go. Each breaks two
// small models in the same way at the same time: a system with policies, and its control
// without.
//
//	go run ./examples/gameday                      lists them
//	go run ./examples/gameday -run hang            runs one, in real time
//	go run ./examples/gameday -run all -virtual    runs all, 20 seeds each, in virtual time
//
// It exits with 0 if all hypotheses are met, 1 if one is not or something broke, 2 on a
// wrong flag, and 3 if a run was inconclusive.
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
	"strings"
	"syscall"

	"github.com/steady-go/steady/chaos/lab"
)

// The exit codes.
const (
	exitMet          = 0
	exitNotMet       = 1
	exitUsage        = 2
	exitInconclusive = 3
)

func main() {
	// Both models share this process with the clock of the load. A collection now and then
	// instead of many a second keeps that clock precise.
	debug.SetGCPercent(800)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C does not wait for anything
	a := app{gallery: gallery, stdout: os.Stdout, stderr: os.Stderr, goTest: goTest}
	os.Exit(a.run(ctx, os.Args[1:]))
}

// An app is the command without the process around it, for the tests.
type app struct {
	gallery        []exhibit
	stdout, stderr io.Writer

	// goTest runs go test with these arguments, and returns what it says.
	goTest func(ctx context.Context, args ...string) (output string, err error)
}

func (a app) run(ctx context.Context, args []string) int {
	c, err := parseFlags(args, a.gallery, a.stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitMet
	case err != nil:
		fmt.Fprintf(a.stderr, "gameday:\n%v\n", err)
		return exitUsage
	case len(c.exhibits) == 0:
		a.list()
		return exitMet
	}
	if err := c.makeFolder(); err != nil {
		return a.broken(err)
	}
	in := a.inRealTime
	if c.virtual {
		in = a.inVirtualTime
	}
	reports, err := in(ctx, c)
	if len(reports) > 0 {
		if err := a.show(c, reports); err != nil {
			return a.broken(err)
		}
	}
	if err != nil {
		return a.broken(err)
	}
	return exitCode(reports)
}

// broken says what broke.
func (a app) broken(err error) int {
	fmt.Fprintln(a.stderr, "gameday:", err)
	return exitNotMet
}

// list lists the gallery.
func (a app) list() {
	fmt.Fprint(a.stdout, "What can break, and be seen to break:\n\n")
	for _, x := range a.gallery {
		fmt.Fprintf(a.stdout, "  %-12s%s\n", x.name, x.about)
	}
	fmt.Fprint(a.stdout, `
Each is run with the policies of this library and, at the same time, without.

  go run ./examples/gameday -run hang            one of them, in real time, up to 30 s
  go run ./examples/gameday -run hang,shard      some of them
  go run ./examples/gameday -run all             all of them, in some 4 minutes
  go run ./examples/gameday -run all -virtual    the same in virtual time, 20 seeds of each

The reports go to the folder gameday-report, or to that of -out.
`)
}

// inRealTime runs the experiments that were asked for, one after the other.
func (a app) inRealTime(ctx context.Context, c config) (reports []lab.Report, err error) {
	for i, x := range c.exhibits {
		e := x.experiment().Seeded(c.seed)
		total := e.Warmup + e.Baseline + e.Fault + e.Recovery
		fmt.Fprintf(a.stdout, "== %s: %s. It takes %v.\n%s\n\n", x.name, x.about, total, e.Hypothesis)
		r, _ := watched(e, a.stdout).Run(ctx) // the error is among the report's reasons
		fmt.Fprintf(a.stdout, "\n%s\n", a.text(c, r))
		if err := r.WriteFiles(c.out); err != nil {
			return reports, err
		}
		reports = append(reports, r)
		if r.Verdict == lab.Inconclusive && r.Lag.Spoiled {
			fmt.Fprint(a.stdout, "This machine has too much else to do for real time. -virtual does not depend on it.\n\n")
		}
		if left := c.exhibits[i+1:]; ctx.Err() != nil && len(left) > 0 {
			fmt.Fprintf(a.stdout, "Not run: %s\n\n", strings.Join(namesOf(left), ", "))
			break
		}
	}
	return reports, nil
}

// text returns what is to be said of a run: all of it if it is the only one.
func (a app) text(c config, r lab.Report) string {
	if len(c.exhibits) == 1 {
		return r.Text()
	}
	lines := append([]string{strings.ToUpper(string(r.Verdict)) + "  " + r.Name}, r.Reasons...)
	for _, what := range missed(r) {
		lines = append(lines, "the control missed: "+what)
	}
	return strings.Join(lines, "\n    ") + "\n"
}

// show shows all reports together.
func (a app) show(c config, reports []lab.Report) error {
	if len(reports) > 1 {
		fmt.Fprintln(a.stdout, summary(reports))
	}
	index, err := writeIndex(c.out, a.gallery)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "The reports are in %s.\n", index)
	return nil
}

// exitCode returns the code of the worst of the verdicts.
func exitCode(reports []lab.Report) int {
	code := exitMet
	for _, r := range reports {
		switch {
		case r.Verdict == lab.Met:
		case r.Verdict == lab.Inconclusive:
			code = max(code, exitInconclusive)
		default:
			return exitNotMet
		}
	}
	return code
}
