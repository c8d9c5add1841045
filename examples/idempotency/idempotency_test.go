package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	runAsShop()
	os.Exit(m.Run())
}

// The zeros of the guarded service count, and that the others have none: the faults must bite.
func TestEachOrderIsPlacedOnceHoweverOftenTheServiceIsKilled(t *testing.T) {
	for _, seed := range []string{"1", "2", "3"} {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"-orders", "150", "-kills", "26", "-seed", seed}, &out, &errs)
		require.Equal(t, exitMet, code, "%s%s", &out, &errs)
		require.Contains(t, out.String(), "MET")
		t.Log(out.String())
	}
}

func TestKills(t *testing.T) {
	a, err := trial(t.Context(), config{orders: 150, kills: 26, seed: 4}, guarded)
	require.NoError(t, err)
	require.Equal(t, 26, a.kills)
	for _, where := range []string{beforeEffect, afterEffect, beforeAnswer, byChance} {
		require.GreaterOrEqual(t, a.died[where], 6, where)
	}
	require.Equal(t, 150, a.inLedger)
	require.Greater(t, a.requests, int64(3*150))
	require.Positive(t, a.cut)
	require.Positive(t, a.failed)
}

func TestTheVerdict(t *testing.T) {
	good := func() []audit {
		return []audit{
			{kind: naive, orders: 10, inLedger: 12, duplicated: 2},
			{kind: markFirst, orders: 10, inLedger: 9, lost: 1},
			{kind: guarded, orders: 10, inLedger: 10},
		}
	}
	require.True(t, verdict(io.Discard, good()))
	for want, spoil := range map[string]func([]audit){
		"was killed 0 times of 1":                     func(a []audit) { a[1].wanted = 1 },
		"the naive service has placed no order twice": func(a []audit) { a[0].duplicated = 0 },
		"the mark-first service has lost no order":    func(a []audit) { a[1].lost = 0 },
		"1 orders were placed more than once":         func(a []audit) { a[2].duplicated = 1 },
		"1 orders were lost":                          func(a []audit) { a[2].lost = 1 },
		"9 entries in the ledger for 10 orders":       func(a []audit) { a[2].inLedger = 9 },
		"1 orders were answered differently":          func(a []audit) { a[2].changed = 1 },
	} {
		all := good()
		spoil(all)
		var out strings.Builder
		require.False(t, verdict(&out, all))
		require.Contains(t, out.String(), want)
	}
}

func TestWrongFlagsAreToldAllAtOnce(t *testing.T) {
	var out, errs bytes.Buffer
	require.Equal(t, exitUsage, run(t.Context(), []string{"-orders", "1", "-kills", "99", "more"}, &out, &errs))
	require.Equal(t, "idempotency:\nthere are no arguments beside flags, got \"more\"\n-orders must be from 10 to 10000, got 1\n-kills must be from 4 to a fifth of -orders, got 99\n", errs.String())
	require.Equal(t, exitMet, run(t.Context(), []string{"-h"}, &out, &errs))
}
