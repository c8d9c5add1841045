package chaos_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/chaos"
)

func TestNewNamesEveryFault(t *testing.T) {
	b := breaker.MustNew(breaker.Config{Name: "db"})
	b.ForceOpen()
	rejection := b.Do(t.Context(), fixed)
	latency := func(d chaos.Distribution) chaos.Effect { return chaos.Latency(d) }
	ok := chaos.Error(nil)
	for _, c := range []struct {
		fault chaos.Fault
		want  string // after "chaos: Config.Faults[0]."
	}{
		{chaos.Fault{Effect: ok}, `Name must be set, got ""`},
		{chaos.Fault{Name: "x"}, "Effect must be given, got none"},
		{chaos.Fault{Name: "x", Effect: ok, Rate: math.NaN()}, "Rate must be between 0 and 1, got NaN"},
		{chaos.Fault{Name: "x", Effect: ok, Rate: -0.1}, "Rate must be between 0 and 1, got -0.1"},
		{chaos.Fault{Name: "x", Effect: ok, Rate: 1.1}, "Rate must be between 0 and 1, got 1.1"},
		{chaos.Fault{Name: "x", Effect: ok, Rate: math.Inf(1)}, "Rate must be between 0 and 1, got +Inf"},
		{chaos.Fault{Name: "x", Effect: ok, From: -1}, "From must be >= 0, got -1ns"},
		{chaos.Fault{Name: "x", Effect: ok, From: 2, Until: 2}, "Until must be 0 or above From, 2ns, got 2ns"},
		{chaos.Fault{Name: "x", Effect: ok, Until: -1}, "Until must be 0 or above From, 0s, got -1ns"},
		{chaos.Fault{Name: "x", Effect: ok, From: 1, Until: 3, Every: 1}, "Every must be 0 or at least Until - From, 2ns, got 1ns"},
		{chaos.Fault{Name: "x", Effect: ok, Until: 3, Every: -4}, "Every must be 0 or at least Until - From, 3ns, got -4ns"},
		{chaos.Fault{Name: "x", Effect: ok, Every: 1}, "Every must be 0 without Until, got 1ns"},
		{chaos.Fault{Name: "x", Effect: ok, Ramp: -1}, "Ramp must be >= 0, got -1ns"},
		{chaos.Fault{Name: "x", Effect: ok, From: 1, Until: 3, Ramp: 3}, "Ramp must be between 0 and Until - From, 2ns, got 3ns"},
		{chaos.Fault{Name: "x", Effect: ok, Until: 3, Ramp: -1}, "Ramp must be between 0 and Until - From, 3ns, got -1ns"},
		{chaos.Fault{Name: "x", Effect: ok, Max: -1}, "Max must be >= 0, got -1"},
		{chaos.Fault{Name: "x", Effect: chaos.Panic(nil)}, "Effect must panic with a value, got nil"},
		{chaos.Fault{Name: "x", Effect: chaos.LoseReply(rejection)}, "Effect must not lose a reply to a rejection, got " + rejection.Error()},
		{chaos.Fault{Name: "x", Effect: chaos.SlowBody(0)}, "Effect must have bytes per second > 0, got 0"},
		{chaos.Fault{Name: "x", Effect: chaos.Bandwidth(-1)}, "Effect must have bytes per second > 0, got -1"},
		{chaos.Fault{Name: "x", Effect: chaos.CutBody(0)}, "Effect must have bytes > 0, got 0"},
		{chaos.Fault{Name: "x", Effect: chaos.Reset(-1)}, "Effect must have bytes > 0, got -1"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.Distribution{})}, "Effect must have a distribution, got none"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.Constant(0))}, "Effect must have a delay > 0, got Constant(0s)"},
		{chaos.Fault{Name: "x", Effect: chaos.ErrorAfter(chaos.Constant(-1), nil)}, "Effect must have a delay > 0, got Constant(-1ns)"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.Uniform(2, 1))}, "Effect must have 0 <= lo < hi, got Uniform(2ns, 1ns)"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.Uniform(-1, 1))}, "Effect must have 0 <= lo < hi, got Uniform(-1ns, 1ns)"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.LogNormal(0, 1))}, "Effect must have mean > 0 and a finite sigma > 0, got LogNormal(0s, 1)"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.LogNormal(1, math.NaN()))}, "Effect must have mean > 0 and a finite sigma > 0, got LogNormal(1ns, NaN)"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.LogNormal(1, math.Inf(1)))}, "Effect must have mean > 0 and a finite sigma > 0, got LogNormal(1ns, +Inf)"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.Pareto(0, 1))}, "Effect must have least > 0 and a finite alpha > 0, got Pareto(0s, 1)"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.Pareto(1, 0))}, "Effect must have least > 0 and a finite alpha > 0, got Pareto(1ns, 0)"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.Quantiles(nil))}, "Effect must have a quantile, got Quantiles of none"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.Quantiles(map[float64]time.Duration{1.5: 1}))}, "Effect must have quantiles between 0 and 1, got 1.5 in Quantiles"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.Quantiles(map[float64]time.Duration{math.NaN(): 1}))}, "Effect must have quantiles between 0 and 1, got NaN in Quantiles"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.Quantiles(map[float64]time.Duration{0.5: 2, 0.9: 1}))}, "Effect must have delays >= 0 that nowhere fall, got 1ns at 0.9 in Quantiles"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.Quantiles(map[float64]time.Duration{0.5: -1}))}, "Effect must have delays >= 0 that nowhere fall, got -1ns at 0.5 in Quantiles"},
		{chaos.Fault{Name: "x", Effect: latency(chaos.Quantiles(map[float64]time.Duration{0.5: 0}))}, "Effect must have a delay > 0, got Quantiles of 0 alone"},
	} {
		i, err := chaos.New(chaos.Config{Faults: []chaos.Fault{c.fault}})
		require.EqualError(t, err, "chaos: Config.Faults[0]."+c.want)
		require.Nil(t, i)
	}
}

func TestNewNamesAllFaultsAtOnce(t *testing.T) {
	_, err := chaos.New(chaos.Config{Faults: []chaos.Fault{
		{Name: "a", Effect: chaos.Error(nil), Rate: 2, Max: -1},
		{Name: "b", Effect: chaos.SlowBody(0), Rate: 1},
		{Name: "a", Rate: 1},
	}})
	require.EqualError(t, err, strings.Join([]string{
		`chaos: Config.Faults[0].Rate must be between 0 and 1, got 2`,
		`chaos: Config.Faults[0].Max must be >= 0, got -1`,
		`chaos: Config.Faults[1].Effect must have bytes per second > 0, got 0`,
		`chaos: Config.Faults[2].Effect must be given, got none`,
		`chaos: Config.Faults[2].Name must differ from that of Faults[0], got "a"`,
	}, "\n"))
	require.Panics(t, func() { chaos.MustNew(chaos.Config{Faults: []chaos.Fault{{}}}) })
}

func TestNewTakesEveryEffect(t *testing.T) {
	var faults []chaos.Fault
	for n, e := range []chaos.Effect{
		chaos.Latency(chaos.Constant(1)), chaos.Latency(chaos.Uniform(0, 1)), chaos.Latency(chaos.LogNormal(1, 1)),
		chaos.Latency(chaos.Pareto(1, 1)), chaos.Latency(chaos.Quantiles(map[float64]time.Duration{0: 0, 1: 1})),
		chaos.Error(nil), chaos.Error(errDown), chaos.ErrorAfter(chaos.Constant(1), nil), chaos.Panic("boom"), chaos.Goexit(),
		chaos.Hang(), chaos.HangIgnoringContext(), chaos.LoseReply(nil), chaos.Corrupt(), chaos.SlowBody(1), chaos.CutBody(1),
		chaos.Refuse(), chaos.Reset(1), chaos.Stall(), chaos.Bandwidth(1),
	} {
		faults = append(faults, chaos.Fault{Name: fmt.Sprint(n), Effect: e, Rate: 0.5, From: 1, Until: 5, Every: 4, Ramp: 4})
	}
	_, err := chaos.New(chaos.Config{Faults: faults})
	require.NoError(t, err)
	_, err = chaos.New(chaos.Config{})
	require.NoError(t, err)
}

// A fault behind one that ends all calls would never be injected, and nobody would know.
func TestNewRefusesAFaultThatNothingReaches(t *testing.T) {
	always := func(e chaos.Effect) chaos.Fault { return chaos.Fault{Name: "always", Effect: e, Rate: 1} }
	later := func(e chaos.Effect) chaos.Fault { return chaos.Fault{Name: "later", Effect: e, Rate: 0.1} }
	const want = `chaos: Config.Faults[1].Effect must be in reach: Faults[0], "always", ends every call before it, got %s`
	for _, c := range []struct {
		first, second chaos.Effect
		hidden        string // the name of the second if nothing reaches it
	}{
		{chaos.Error(nil), chaos.Corrupt(), "corrupt"},
		{chaos.Error(nil), chaos.SlowBody(1), "slow body"},
		{chaos.Hang(), chaos.Latency(chaos.Constant(1)), "latency"},
		{chaos.LoseReply(nil), chaos.Corrupt(), "corrupt"},
		{chaos.Stall(), chaos.Reset(1), "reset"},
		{chaos.Error(nil), chaos.Stall(), ""},                    // other places
		{chaos.Corrupt(), chaos.Error(nil), ""},                  // not all calls have a value
		{chaos.Latency(chaos.Constant(1)), chaos.Error(nil), ""}, // goes on
	} {
		_, err := chaos.New(chaos.Config{Faults: []chaos.Fault{always(c.first), later(c.second)}})
		if c.hidden == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, fmt.Sprintf(want, c.hidden))
		}
	}
	for name, first := range map[string]chaos.Fault{
		"rate":  {Rate: 0.99},
		"keys":  {Rate: 1, Keys: []string{"a"}},
		"when":  {Rate: 1, When: func(context.Context) bool { return true }},
		"from":  {Rate: 1, From: 1},
		"until": {Rate: 1, Until: 1},
		"ramp":  {Rate: 1, Ramp: 1},
		"max":   {Rate: 1, Max: 1},
	} {
		first.Name, first.Effect = name, chaos.Error(nil)
		_, err := chaos.New(chaos.Config{Faults: []chaos.Fault{first, later(chaos.Corrupt())}})
		require.NoError(t, err, name)
	}
}

func TestTheInjectorKeepsItsOwnKeys(t *testing.T) {
	keys := []string{"a"}
	i := injector(t, chaos.Fault{Name: "down", Effect: chaos.Error(nil), Rate: 1, Keys: keys})
	keys[0] = "b"
	require.True(t, hit(t, i.At("a")))
	require.False(t, hit(t, i.At("b")))
}
