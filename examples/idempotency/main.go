// Command idempotency puts one hypothesis to the test, with real processes and sockets:
//
//	however often the customer refreshes and the service is killed, each order is placed once
//
// An order service (shop.go) keeps its ledger in a bbolt file. Its customers (customers.go) press refresh: their connections are cut before the answer comes, they
// ask again with the same Idempotency-Key, and once more when they have the answer. Meanwhile the process of the service is killed by SIGKILL, at named points and
// at moments of chance, and started anew (supervisor.go).
//
// The same is done to three services: one that does not look at the key (naive.go), one that marks the key before it places the order (markfirst.go), and the one to
// copy, which is guarded (guarded.go). Nothing in the table is typed in: it is counted in the ledger when all is over (audit.go).
//
// It exits with 0 if the guarded service has placed each order once and the others have not, 1 if that is not so or something broke, 2 on a wrong flag.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// The exit codes.
const (
	exitMet    = 0
	exitNotMet = 1
	exitUsage  = 2
)

// A config is what is to be done to each service.
type config struct {
	orders int
	kills  int
	seed   uint64
}

func parseFlags(args []string, stderr io.Writer) (c config, err error) {
	flags := flag.NewFlagSet("idempotency", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&c.orders, "orders", 100, "how many orders there are, from 10 to 10000")
	flags.IntVar(&c.kills, "kills", 12, "how often the service is killed, from 4 to a fifth of the orders")
	flags.Uint64Var(&c.seed, "seed", 1, "of what is left to chance, but for what processes do at once")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		err = errors.Join(err, fmt.Errorf("there are no arguments beside flags, got %q", flags.Arg(0)))
	}
	if c.orders < 10 || c.orders > 10_000 {
		err = errors.Join(err, fmt.Errorf("-orders must be from 10 to 10000, got %d", c.orders))
	}
	if c.kills < 4 || c.kills > max(c.orders/5, 4) {
		err = errors.Join(err, fmt.Errorf("-kills must be from 4 to a fifth of -orders, got %d", c.kills))
	}
	return c, err
}

func main() {
	runAsShop() // does not return in a process that is one
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process around it, for the tests.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitMet
	case err != nil:
		fmt.Fprintf(stderr, "idempotency:\n%v\n", err)
		return exitUsage
	}
	fmt.Fprintf(stdout, "%d orders for each of three services, each of which is killed %d times.\n\n", c.orders, c.kills)
	var all []audit
	for _, kind := range kinds {
		a, err := trial(ctx, c, kind)
		if err != nil {
			fmt.Fprintf(stderr, "idempotency: the %s service: %v\n", kind, err)
			return exitNotMet
		}
		all = append(all, a)
	}
	printTable(stdout, all)
	if !verdict(stdout, all) {
		return exitNotMet
	}
	return exitMet
}

// trial has customers order from a service that is killed meanwhile, and looks into its ledger.
func trial(ctx context.Context, c config, kind string) (audit, error) {
	dir, err := os.MkdirTemp("", "steady-orders")
	if err != nil {
		return audit{}, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "shop.db")
	s, err := startSupervisor(ctx, c, kind, file)
	if err != nil {
		return audit{}, err
	}
	told, err := order(ctx, c, s)
	if err := errors.Join(err, s.stop()); err != nil {
		return audit{}, err
	}
	return inspect(c, kind, file, told, s.died)
}
