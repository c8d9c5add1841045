package traps_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/bench/traps"
)

func TestMain(m *testing.M) {
	traps.ServeCell()
	os.Exit(m.Run())
}

func TestEveryPromiseIsKeptHereAndBrokenElsewhere(t *testing.T) {
	m, err := traps.Run(t.Context())
	require.NoError(t, err)
	table := m.Markdown()
	t.Log("\n" + table)
	for _, s := range traps.Scenarios {
		t.Run(s.ID, func(t *testing.T) {
			require.Contains(t, table, s.Promise)
			ours := m.Results[s.ID][traps.Ours]
			require.Equal(t, traps.Pass, ours.Verdict, "%s %s", s.Promise, ours.Reason)
			require.NotEmpty(t, m.Failing(s.ID), "no rival falls into this trap, so the scenario proves nothing")
			if s.Broken != nil {
				r := m.Results[s.ID][traps.Broken]
				require.True(t, r.Verdict.Failed(), "the policy that is broken on purpose passes: %s", r.Reason)
			}
		})
	}
}

func TestScenariosHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range traps.Scenarios {
		require.False(t, seen[s.ID], "there are two scenarios %s", s.ID)
		require.NotEmpty(t, s.Name)
		require.NotEmpty(t, s.Promise)
		seen[s.ID] = true
	}
}
