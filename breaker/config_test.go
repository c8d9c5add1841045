package breaker_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/breaker"
)

func TestConfigNamesEveryFaultAtOnce(t *testing.T) {
	b, err := breaker.New(breaker.Config{
		FailureRatio:        1.5,
		MinCalls:            -1,
		Window:              -time.Second,
		ConsecutiveFailures: -2,
		SlowAfter:           -time.Second,
		SlowRatio:           2,
		HangAfter:           -time.Second,
		OpenFor:             -time.Second,
		MaxOpenFor:          -2 * time.Second,
		Probes:              -3,
		Ramp:                -2,
	})
	require.Nil(t, b)
	require.EqualError(t, err, strings.Join([]string{
		"breaker: Config.FailureRatio must be above 0 and at most 1, or Off, got 1.5",
		"breaker: Config.MinCalls must be between 0 and 2147483647, got -1",
		"breaker: Config.Window must be between 1ms and 1h, or 0, got -1s",
		"breaker: Config.ConsecutiveFailures must be >= 0, or Off, got -2",
		"breaker: Config.SlowAfter must be >= 0, got -1s",
		"breaker: Config.SlowRatio must be above 0 and at most 1, or 0, got 2",
		"breaker: Config.HangAfter must be >= 0, got -1s",
		"breaker: Config.OpenFor must be between 1ms and 24h, or 0, got -1s",
		"breaker: Config.MaxOpenFor must be between OpenFor (-1s) and 24h, or 0, got -2s",
		"breaker: Config.Probes must be >= 0, got -3",
		"breaker: Config.Ramp must be >= 0, or Off, got -2ns",
	}, "\n"))
}

func TestConfigTakesTheEdges(t *testing.T) {
	for name, c := range map[string]breaker.Config{
		"zero":                   {},
		"largest":                {FailureRatio: 1, MinCalls: 1, Window: time.Millisecond, Probes: 1},
		"most calls":             {MinCalls: math.MaxInt32, Window: time.Hour},
		"longest":                {OpenFor: 24 * time.Hour, MaxOpenFor: 24 * time.Hour, HangAfter: math.MaxInt64, Ramp: math.MaxInt64},
		"shortest":               {OpenFor: time.Millisecond, MaxOpenFor: time.Millisecond, HangAfter: 1, Ramp: 1},
		"all slow":               {SlowAfter: 1, SlowRatio: 1},
		"ratio off":              {FailureRatio: breaker.Off, ConsecutiveFailures: 1},
		"row off":                {ConsecutiveFailures: breaker.Off},
		"only slow calls":        {FailureRatio: breaker.Off, SlowAfter: time.Second},
		"open longer than a min": {OpenFor: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := breaker.New(c)
			require.NoError(t, err)
		})
	}
}

func TestGroupConfigNamesEveryFaultAtOnce(t *testing.T) {
	g, err := breaker.NewGroup(breaker.GroupConfig{
		Config:  breaker.Config{Probes: -1},
		MaxKeys: -1,
		Peers:   &breaker.Peers{MinSuccess: -0.1, MaxOpenShare: 1.1, ShedAbove: 1},
	})
	require.Nil(t, g)
	require.EqualError(t, err, strings.Join([]string{
		"breaker: GroupConfig.Probes must be >= 0, got -1",
		"breaker: GroupConfig.MaxKeys must be >= 0, got -1",
		"breaker: GroupConfig.Peers.MinSuccess must be above 0 and at most 1, got -0.1",
		"breaker: GroupConfig.Peers.MaxOpenShare must be above 0 and at most 1, got 1.1",
		"breaker: GroupConfig.Peers.ShedAbove must be above 0 and below 1, or Off, got 1",
	}, "\n"))
	require.Panics(t, func() { breaker.MustNewGroup(breaker.GroupConfig{MaxKeys: -1}) })
	_, err = breaker.NewGroup(breaker.GroupConfig{MaxKeys: 2, Peers: &breaker.Peers{MinSuccess: 1, MaxOpenShare: 1}})
	require.NoError(t, err)
	_, err = breaker.NewGroup(breaker.GroupConfig{MaxKeys: 1, Peers: &breaker.Peers{}})
	require.EqualError(t, err, "breaker: GroupConfig.MaxKeys must be above 1 with Peers, got 1")
}
