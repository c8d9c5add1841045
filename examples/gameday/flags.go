package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// defaultOut is where the reports go.
const defaultOut = "gameday-report"

// config is what the flags say.
type config struct {
	exhibits []exhibit // to run; none: list them
	virtual  bool
	out      string
	seed     uint64 // of the one run, in real time
	seeds    int    // how many, in virtual time
	seedSet  bool
}

// parseFlags returns the configuration, or an error that names every flag that is
// wrong.
func parseFlags(args []string, gallery []exhibit, out io.Writer) (c config, err error) {
	f := flag.NewFlagSet("gameday", flag.ContinueOnError)
	f.SetOutput(out)
	names := f.String("run", "", "`names` of the experiments to run, with commas between them, or all; none lists them")
	f.BoolVar(&c.virtual, "virtual", false, "run in virtual time, by go test, with 20 seeds")
	f.StringVar(&c.out, "out", defaultOut, "`folder` for the reports")
	f.Uint64Var(&c.seed, "seed", 1, "`number` from which arrivals and service times are drawn; with -virtual the only one that is run")
	f.IntVar(&c.seeds, "seeds", 20, "`number` of seeds, with -virtual")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	var faults []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	c.seedSet = set["seed"]
	c.exhibits, err = choose(*names, gallery)
	require(err == nil, "-run: %w", err)
	require(c.out != "", "-out must be a folder")
	require(c.seeds > 0, "-seeds must be above 0, got %d", c.seeds)
	require(!set["seeds"] || c.virtual, "-seeds is for -virtual: in real time one seed is run")
	require(!set["seeds"] || !set["seed"], "-seed and -seeds exclude each other")
	require(*names != "" || len(set) == 0, "nothing to run: say what by -run")
	require(f.NArg() == 0, "unexpected arguments: %q", f.Args())
	return c, errors.Join(faults...)
}

// choose returns the exhibits of these names, in the order of the gallery.
func choose(names string, gallery []exhibit) (chosen []exhibit, err error) {
	if names == "" {
		return nil, nil
	}
	if names == "all" {
		return gallery, nil
	}
	want := strings.Split(names, ",")
	for _, x := range gallery {
		if slices.Contains(want, x.name) {
			chosen = append(chosen, x)
		}
	}
	known := namesOf(gallery)
	for _, name := range want {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no experiment %q; there are: %s, all", name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// makeFolder makes the folder for the reports. The default one is in the way of nobody
// who commits all that there is.
func (c config) makeFolder() error {
	if err := os.MkdirAll(c.out, 0o755); err != nil {
		return err
	}
	if c.out != defaultOut {
		return nil
	}
	return os.WriteFile(filepath.Join(c.out, ".gitignore"), []byte("*\n"), 0o644)
}
