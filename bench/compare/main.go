// Command compare sets this library beside others, in speed and in size, and
// writes what it finds to RESULTS.md.
//
//	make compare                             from the root of the repository
//	go run ./compare -passes 2 -each 2ms     a quick look, from the folder bench
//
// It compiles the benchmarks of ../speed once. In each pass it runs those of one
// library after the other, each in a process of its own, because the speed of a
// shared machine drifts: what is compared lies close together. The exit code is 1 if
// a claim does not hold.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/steady-go/steady/bench/traps"
)

var errAbove = errors.New("compare: a claim does not hold, see the file")

func main() {
	traps.ServeCell() // the cells of the matrix run in processes of their own
	passes := flag.Int("passes", 20, "interleaved passes")
	each := flag.Duration("each", 10*time.Millisecond, "time for each measurement")
	out := flag.String("out", "RESULTS.md", "file to write")
	flag.Parse()
	if *passes < 1 || *each <= 0 || flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "compare: -passes must be >= 1, got %d; -each must be > 0, got %v; there must be no arguments, got %q\n",
			*passes, *each, flag.Args())
		os.Exit(2)
	}
	if err := run(*passes, *each, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(passes int, each time.Duration, out string) error {
	if _, err := os.Stat("speed/speed.go"); err != nil {
		return fmt.Errorf("compare: must be run in the folder bench: %w", err)
	}
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	r := report{Passes: passes, Each: each, Machine: machine(), Modules: modules()}
	if r.Sizes, err = sizes(dir); err != nil {
		return err
	}
	r.Memory = measureMemory()
	r.Hits = measureHits()
	load := newLoad()
	if r.Times, err = measureAll(dir, passes, each); err != nil {
		return err
	}
	r.Machine = append(r.Machine, load.told()...)
	matrix, err := traps.Run(context.Background())
	if err != nil {
		return err
	}
	r.Traps = matrix.Markdown()
	if err := os.WriteFile(out, r.render(), 0o666); err != nil {
		return err
	}
	if !r.ok() {
		return errAbove
	}
	return nil
}
