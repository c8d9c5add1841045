package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/steady-go/steady/chaos/lab"
)

// inVirtualTime runs the experiments that were asked for by go test: a bubble of
// testing/synctest, in which time is virtual, can only be had in a test.
func (a app) inVirtualTime(ctx context.Context, c config) ([]lab.Report, error) {
	out, err := filepath.Abs(c.out)
	if err != nil {
		return nil, err
	}
	names := namesOf(c.exhibits)
	for _, name := range names {
		// What is there when all is done is of this run.
		if err := os.Remove(filepath.Join(out, name+".json")); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	args := []string{"test", "-count=1", "-run", "^TestGallery$/^(" + strings.Join(names, "|") + ")$", ".", "-lab.out=" + out}
	seeds := fmt.Sprintf("%d seeds each", c.seeds)
	if c.seedSet {
		args, seeds = append(args, fmt.Sprintf("-lab.seed=%d", c.seed)), fmt.Sprintf("seed %d", c.seed)
	} else {
		args = append(args, fmt.Sprintf("-lab.seeds=%d", c.seeds))
	}
	fmt.Fprintf(a.stdout, "In virtual time, %s: %s\n\n", seeds, strings.Join(names, ", "))
	said, testErr := a.goTest(ctx, args...)

	var reports []lab.Report
	for _, name := range names {
		r, err := readReport(out, name)
		if err != nil {
			return reports, errors.Join(fmt.Errorf("there is no report of %s: %w", name, err), testErr, errors.New(said))
		}
		fmt.Fprintln(a.stdout, a.text(c, r))
		reports = append(reports, r)
	}
	if testErr != nil && exitCode(reports) == exitMet { // else it is by the verdicts that the test failed
		return reports, fmt.Errorf("go test: %w\n%s", testErr, said)
	}
	return reports, nil
}

// goTest runs go test in the folder of this file.
func goTest(ctx context.Context, args ...string) (string, error) {
	dir, err := source()
	if err != nil {
		return "", err
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("virtual time needs a test, and so the go tool: %w", err)
	}
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err = cmd.Run()
	return said.String(), err
}

// source returns the folder that this command was built from, if it is still there.
func source() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Dir(file)
	if _, err := os.Stat(filepath.Join(dir, "gameday_test.go")); err != nil {
		return "", fmt.Errorf("virtual time needs a test, and so the source of this command, which is not where it was built from: %w; "+
			"in a checkout, use go run ./examples/gameday, or go test ./examples/gameday", err)
	}
	return dir, nil
}
