package steady_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/retry"
)

var errBoom = errors.New("boom")

// named is a policy from elsewhere that writes down when it is entered and left.
type named struct {
	name string
	log  *[]string
}

func (n named) Do(ctx context.Context, call func(context.Context) error) error {
	*n.log = append(*n.log, n.name+"(")
	defer func() { *n.log = append(*n.log, ")"+n.name) }()
	return call(ctx)
}

func TestChainRunsTheFirstPolicyOutermost(t *testing.T) {
	var log []string
	a, b, c := named{"a", &log}, named{"b", &log}, named{"c", &log}
	call := func(context.Context) error { log = append(log, "call"); return errBoom }

	nested := steady.Chain(a, steady.Chain(b, steady.Chain()), c)
	require.ErrorIs(t, nested.Do(t.Context(), call), errBoom)
	require.Equal(t, []string{"a(", "b(", "c(", "call", ")c", ")b", ")a"}, log)

	log = nil
	wrapped := steady.Wrap(call, a, steady.Chain(b, c))
	for range 2 {
		require.ErrorIs(t, wrapped(t.Context()), errBoom)
	}
	require.Equal(t, []string{"a(", "b(", "c(", "call", ")c", ")b", ")a", "a(", "b(", "c(", "call", ")c", ")b", ")a"}, log)
}

func TestEmptyChainJustMakesTheCall(t *testing.T) {
	require.ErrorIs(t, steady.Chain().Do(t.Context(), func(context.Context) error { return errBoom }), errBoom)
}

func TestMissingPolicyPanicsWhenComposed(t *testing.T) {
	call := func(context.Context) error { return nil }
	require.PanicsWithValue(t, "steady: Chain: policy 2 of 2 is nil", func() { steady.Chain(named{}, nil) })
	require.PanicsWithValue(t, "steady: Wrap: policy 1 of 1 is nil", func() { steady.Wrap(call, nil) })
	require.PanicsWithValue(t, "steady: Chain: policy 1 of 1 is nil", func() { steady.Chain((*retry.Retry)(nil)) })
	require.PanicsWithValue(t, "steady: Chain: policy 1 of 1 is nil", func() { steady.Chain(policyFunc(nil)) })
	require.NotPanics(t, func() { steady.Chain(steady.Chain()) }, "an empty chain is one")
	require.PanicsWithValue(t, "steady: Wrap: call is nil", func() { steady.Wrap(nil) })
}

// embeds is a policy of a user that adds something to one of ours.
type embeds struct {
	*retry.Retry
	ran *int
}

func (e embeds) Do(ctx context.Context, call func(context.Context) error) error {
	*e.ran++
	return e.Retry.Do(ctx, call)
}

func TestChainRunsTheDoOfAPolicyThatEmbedsAnother(t *testing.T) {
	ran := 0
	p := embeds{retry.MustNew(retry.Config{}), &ran}
	call := func(context.Context) error { return nil }
	require.NoError(t, steady.Chain(p).Do(t.Context(), call))
	require.NoError(t, steady.Chain(&p).Do(t.Context(), call))
	require.NoError(t, steady.Wrap(call, p)(t.Context()))
	require.Equal(t, 3, ran)
}

func TestChainMixesOwnAndForeignPolicies(t *testing.T) {
	var log []string
	attempts := 0
	chain := steady.Chain(
		named{"outer", &log},
		retry.MustNew(retry.Config{Delay: retry.NoDelay}),
		named{"inner", &log},
	)
	err := chain.Do(t.Context(), func(context.Context) error {
		if attempts++; attempts == 2 {
			return nil
		}
		return errBoom
	})
	require.NoError(t, err)
	require.Equal(t, []string{"outer(", "inner(", ")inner", "inner(", ")inner", ")outer"}, log)
}

// policyFunc is a policy from elsewhere.
type policyFunc func(ctx context.Context, call func(context.Context) error) error

func (f policyFunc) Do(ctx context.Context, call func(context.Context) error) error {
	return f(ctx, call)
}

func value(v int, err error) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { return v, err }
}

func TestDoValueReturnsTheValue(t *testing.T) {
	v, err := steady.DoValue(t.Context(), steady.Chain(), value(7, nil))
	require.NoError(t, err)
	require.Equal(t, 7, v)
}

func TestDoValueReturnsNoValueWithAnError(t *testing.T) {
	v, err := steady.DoValue(t.Context(), steady.Chain(), value(7, errBoom))
	require.ErrorIs(t, err, errBoom)
	require.Zero(t, v)

	failsAfter := policyFunc(func(ctx context.Context, call func(context.Context) error) error {
		_ = call(ctx)
		return errBoom
	})
	v, err = steady.DoValue(t.Context(), failsAfter, value(7, nil))
	require.ErrorIs(t, err, errBoom)
	require.Zero(t, v)
}

func TestDoValueTellsWhenNoCallStoredAValue(t *testing.T) {
	swallows := policyFunc(func(ctx context.Context, call func(context.Context) error) error {
		_ = call(ctx)
		return nil
	})
	v, err := steady.DoValue(t.Context(), swallows, value(7, errBoom))
	require.ErrorIs(t, err, steady.ErrNoValue)
	require.Zero(t, v)

	skips := policyFunc(func(context.Context, func(context.Context) error) error { return nil })
	_, err = steady.DoValue(t.Context(), skips, value(7, nil))
	require.ErrorIs(t, err, steady.ErrNoValue)
}

// A call that a timeout gave up on ends late, after the attempt that followed it
// or before: either way its value must not be the result.
func TestDoValueIgnoresACallThatWasGivenUp(t *testing.T) {
	for _, order := range []string{"late call first", "late call last"} {
		t.Run(order, func(t *testing.T) {
			givesUp := policyFunc(func(ctx context.Context, call func(context.Context) error) error {
				done, cancel := context.WithCancel(ctx)
				cancel()
				if order == "late call first" {
					_ = call(done)
					return call(ctx)
				}
				err := call(ctx)
				_ = call(done)
				return err
			})
			v, err := steady.DoValue(t.Context(), givesUp, func(ctx context.Context) (string, error) {
				if ctx.Err() != nil {
					return "given up", nil
				}
				return "result", nil
			})
			require.NoError(t, err)
			require.Equal(t, "result", v)
		})
	}
}

func TestDoValueKeepsASuccessThatCameAfterTheCallerLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v, err := steady.DoValue(ctx, steady.Chain(), func(context.Context) (int, error) {
		cancel()
		return 7, nil
	})
	require.NoError(t, err)
	require.Equal(t, 7, v)
}

func TestDoValueDropsAValueThatComesAfterItHasReturned(t *testing.T) {
	release, ended := make(chan struct{}), make(chan struct{})
	leaves := policyFunc(func(ctx context.Context, call func(context.Context) error) error {
		go func() {
			defer close(ended)
			_ = call(ctx)
		}()
		runtime.Gosched()
		return errBoom
	})
	v, err := steady.DoValue(t.Context(), leaves, func(context.Context) (int, error) {
		<-release
		return 7, nil
	})
	close(release)
	<-ended
	require.ErrorIs(t, err, errBoom)
	require.Zero(t, v)
}

func TestDoValueIsSafeWhenTwoCallsRunAtOnce(t *testing.T) {
	hedges := policyFunc(func(ctx context.Context, call func(context.Context) error) error {
		ended := make(chan error, 2)
		for range 2 {
			go func() { ended <- call(ctx) }()
		}
		return <-ended // the other may still be storing its value
	})
	for range 1000 {
		v, err := steady.DoValue(t.Context(), hedges, value(7, nil))
		require.NoError(t, err)
		require.Equal(t, 7, v)
	}
}
