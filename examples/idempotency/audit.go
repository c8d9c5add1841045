package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"go.etcd.io/bbolt"
)

// An audit is what became of the orders of one service.
type audit struct {
	kind                          string
	orders                        int
	requests, cut, failed, refuse int64
	died                          map[string]int
	kills, wanted                 int

	inLedger   int
	duplicated int // orders that are in the ledger more than once
	lost       int // that are not in it, though the customer was told that they are placed
	changed    int // that were answered with different numbers, or one under which there is something else
}

// inspect looks into the ledger of a service that has ended.
func inspect(c config, kind, file string, told *story, died map[string]int) (a audit, err error) {
	a = audit{
		kind: kind, orders: c.orders, wanted: c.kills, died: died,
		requests: told.requests.Load(), cut: told.cut.Load(), failed: told.failed.Load(), refuse: told.refused.Load(),
	}
	for _, n := range died {
		a.kills += n
	}
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	numbers := map[string][]string{} // by order
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(ledger).ForEach(func(number, what []byte) error {
			a.inLedger++
			numbers[string(what)] = append(numbers[string(what)], string(number))
			return nil
		})
	})
	if err != nil {
		return a, err
	}
	for n := range c.orders {
		what := fmt.Sprintf("order %d", n+1)
		answers := slices.Compact(slices.Sorted(slices.Values(told.numbers[what])))
		if len(numbers[what]) > 1 {
			a.duplicated++
		}
		if len(numbers[what]) == 0 && len(answers) > 0 {
			a.lost++
		}
		if len(answers) != 1 || !slices.Contains(numbers[what], answers[0]) {
			a.changed++
		}
	}
	return a, nil
}

func printTable(w io.Writer, all []audit) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, value func(audit) any) {
		fmt.Fprint(t, name, "\t")
		for _, a := range all {
			fmt.Fprint(t, value(a), "\t")
		}
		fmt.Fprintln(t)
	}
	row("", func(a audit) any { return a.kind })
	row("orders", func(a audit) any { return a.orders })
	row("requests", func(a audit) any { return a.requests })
	row("cut off by the customer", func(a audit) any { return a.cut })
	row("without an answer, the service being dead", func(a audit) any { return a.failed })
	row("refused", func(a audit) any { return a.refuse })
	row("times the service was killed", func(a audit) any { return a.kills })
	row("entries in the ledger", func(a audit) any { return a.inLedger })
	row("orders placed more than once", func(a audit) any { return a.duplicated })
	row("orders lost", func(a audit) any { return a.lost })
	row("orders whose answers differ", func(a audit) any { return a.changed })
	_ = t.Flush()
	for _, a := range all {
		var where []string
		for _, point := range slices.Sorted(maps.Keys(a.died)) {
			where = append(where, fmt.Sprintf("%d %s", a.died[point], point))
		}
		fmt.Fprintf(w, "\nThe %s service was killed %s.", a.kind, strings.Join(where, ", "))
	}
	fmt.Fprintln(w)
}

// verdict says whether the hypothesis is met, and why not. The faults must have hurt those that are not guarded: else they were none.
func verdict(w io.Writer, all []audit) bool {
	var faults []string
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	for _, a := range all {
		expect(a.kills == a.wanted, "the %s service was killed %d times of %d, before the orders were placed", a.kind, a.kills, a.wanted)
		switch a.kind {
		case naive:
			expect(a.duplicated > 0, "the naive service has placed no order twice: the faults were none")
		case markFirst:
			expect(a.lost > 0, "the mark-first service has lost no order: the faults were none")
		case guarded:
			expect(a.duplicated == 0, "%d orders were placed more than once", a.duplicated)
			expect(a.lost == 0, "%d orders were lost", a.lost)
			expect(a.inLedger == a.orders, "there are %d entries in the ledger for %d orders", a.inLedger, a.orders)
			expect(a.changed == 0, "%d orders were answered differently", a.changed)
		}
	}
	if len(faults) > 0 {
		fmt.Fprintf(w, "\nNOT MET: %s.\n", strings.Join(faults, "; "))
		return false
	}
	fmt.Fprintln(w, "\nMET: however often the customers refreshed and the service was killed, each order was placed once.")
	return true
}
