package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/chaos/lab"
)

const (
	guardedClient = iota
	bareClient
	clients
)

var clientNames = [clients]string{"guarded", "bare"}

// A score counts requests by the stage in which they were due, which the lab, whose
// phases are coarser, does not.
type score struct {
	config config
	out    io.Writer
	counts [clients][]count
}

type count struct{ ended, ok atomic.Int64 }

func newScore(c config, out io.Writer) *score {
	s := &score{config: c, out: out}
	s.reset()
	return s
}

// reset begins to count anew, for another run.
func (s *score) reset() {
	for i := range s.counts {
		s.counts[i] = make([]count, len(stages))
	}
}

// counted returns how the lab makes a request to a client.
func (s *score) counted(client int, get func(context.Context) error) lab.Call {
	return func(ctx context.Context, r lab.Request) error {
		err := get(ctx)
		c := &s.counts[client][s.config.stageAt(r.Due)]
		c.ended.Add(1)
		if err == nil {
			c.ok.Add(1)
		}
		return err
	}
}

// sum returns how many requests ended, and how many of them well, in the stages for
// which it holds.
func (s *score) sum(client int, in func(stage) bool) (ended, ok int64) {
	for i := range stages {
		if c := &s.counts[client][i]; in(stages[i]) {
			ended += c.ended.Load()
			ok += c.ok.Load()
		}
	}
	return ended, ok
}

func anyStage(stage) bool  { return true }
func failing(s stage) bool { return s.fault != none }

// metFailing returns how many requests met a failing fleet.
func (s *score) metFailing(client int) int64 {
	ended, _ := s.sum(client, failing)
	return ended
}

// show writes one line a second about what has ended in it, until ctx does.
func (s *score) show(ctx context.Context, breakers func() map[breaker.State]int) {
	var ended, ok [clients]int64
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for second := 1; ; second++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		at := time.Duration(second-1) * time.Second
		line := fmt.Sprintf("%3d s  %-10s", second, stages[s.config.stageAt(at)].name)
		for i, name := range clientNames {
			e, o := s.sum(i, anyStage)
			line += fmt.Sprintf("  %s %3d/%-3d", name, o-ok[i], e-ended[i])
			ended[i], ok[i] = e, o
		}
		line += "  breakers:"
		count := breakers()
		for _, state := range []breaker.State{breaker.Closed, breaker.HalfOpen, breaker.Open} {
			if n := count[state]; n > 0 {
				line += fmt.Sprintf(" %d %s", n, state)
			}
		}
		fmt.Fprintln(s.out, line)
	}
}

// String returns the table of all stages.
func (s *score) String() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "stage\t\tguarded\t\tbare\t")
	row := func(name string, in func(stage) bool) {
		fmt.Fprintf(t, "%s\t", name)
		for i := range clientNames {
			ended, ok := s.sum(i, in)
			fmt.Fprintf(t, "%d of %d\t%s\t", ok, ended, percent(ok, ended))
		}
		fmt.Fprintln(t)
	}
	for _, one := range stages {
		row(one.name, func(s stage) bool { return s == one })
	}
	row("while nodes failed", failing)
	_ = t.Flush() // a Builder takes everything
	return b.String()
}

// percent rounds down: 99.8996 % must not look like the 99.900 % that it missed.
func percent(ok, ended int64) string {
	if ended == 0 {
		return "-"
	}
	thousandths := ok * 100_000 / ended
	return fmt.Sprintf("%d.%03d %%", thousandths/1000, thousandths%1000)
}
