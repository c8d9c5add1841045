package inventory_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/internal/inventory"
	"github.com/steady-go/steady/retry"
)

// feed is a hook that adds to an inventory.
func feed(v *inventory.Inventory) steady.Hook {
	return steady.HookFunc(func(_ context.Context, e steady.Event) {
		if e.Kind == steady.KindNew {
			v.Heard(e.Of)
		}
	})
}

func names(v *inventory.Inventory) []string {
	var all []string
	statuses, err := v.Statuses()
	if err != nil {
		all = append(all, err.Error())
	}
	for _, s := range statuses {
		all = append(all, s.Policy+" "+s.Name+" "+s.Key)
	}
	return all
}

func TestEachPolicyIsShownOnceHoweverItCame(t *testing.T) {
	var v inventory.Inventory
	g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", Hook: feed(&v)}})
	g.Get("n1")
	g.Get("")
	r := retry.MustNew(retry.Config{Name: "calls"})
	chain := steady.Chain(r, g.By(func(context.Context) string { return "n1" }))
	require.NoError(t, v.Register("x", []any{g, r, chain, r}))
	require.Equal(t, []string{"breaker nodes ", "breaker nodes ", "breaker nodes n1", "retry calls "}, names(&v))
	runtime.KeepAlive(g)
}

// A policy from elsewhere has no ID, and may not even be comparable.
type foreign struct{ statuses []steady.Status }

func (f foreign) Inspect() []steady.Status { return f.statuses }

func TestPoliciesFromElsewhereAreShownToo(t *testing.T) {
	var v inventory.Inventory
	f := foreign{[]steady.Status{{Policy: "mine", Name: "a"}, {Policy: "mine", Name: "b"}}}
	v.Heard(f)
	v.Heard(nil)
	require.NoError(t, v.Register("x", []any{f}))
	require.Equal(t, []string{"mine a ", "mine b ", "mine a ", "mine b "}, names(&v))
}

func TestWhatCannotBeInspectedIsNamed(t *testing.T) {
	var v inventory.Inventory
	var none *breaker.Breaker
	r := retry.MustNew(retry.Config{})
	err := v.Register("steadyotel: Register", []any{42, r, none, nil, inspectorFunc(nil)})
	require.EqualError(t, err, `steadyotel: Register: policy 1 of 5 must be a steady.Inspector, got 42 of type int
steadyotel: Register: policy 3 of 5 must be a steady.Inspector, got (*breaker.Breaker)(nil) of type *breaker.Breaker
steadyotel: Register: policy 4 of 5 must be a steady.Inspector, got <nil> of type <nil>
steadyotel: Register: policy 5 of 5 must be a steady.Inspector, got (inventory_test.inspectorFunc)(nil) of type inventory_test.inspectorFunc`)
	require.Equal(t, []string{"retry  "}, names(&v), "the others are not lost")
}

type inspectorFunc func() []steady.Status

func (f inspectorFunc) Inspect() []steady.Status { return f() }

// Whoever asks is a metrics reader, on a goroutine on which nobody recovers.
// Planted: inspect does not recover → the test process ends.
func TestAPolicyThatPanicsHidesNoOther(t *testing.T) {
	var v inventory.Inventory
	v.Heard(inspectorFunc(nil))
	v.Heard((*breaker.Breaker)(nil))
	v.Heard(inspectorFunc(func() []steady.Status { panic("bad") }))
	r := retry.MustNew(retry.Config{Name: "calls", Hook: feed(&v)})
	require.Equal(t, []string{"a policy of type inventory_test.inspectorFunc panicked when it was looked into: bad", "retry calls "}, names(&v))
	runtime.KeepAlive(r)
}

// A registry that makes policies on demand does so under its lock, which its own Inspect wants too.
// Planted: Heard looks into the policies to find the collected ones → the 65th policy waits for ever.
func TestToHearOfAPolicyLooksIntoNone(t *testing.T) {
	var v inventory.Inventory
	var mu sync.Mutex
	require.NoError(t, v.Register("x", []any{inspectorFunc(func() []steady.Status { mu.Lock(); defer mu.Unlock(); return nil })}))
	mu.Lock()
	defer mu.Unlock()
	for range 1000 {
		retry.MustNew(retry.Config{Hook: feed(&v)})
	}
}

// A program that makes a policy for each request must not fill the memory of a hook that
// nobody asks.
// Planted: Heard does not look for those that were collected → 100,000 of them are held.
func TestCollectedPoliciesAreForgottenAlsoWhenNobodyLooks(t *testing.T) {
	var v inventory.Inventory
	hook := feed(&v)
	kept := retry.MustNew(retry.Config{Name: "kept", Hook: hook})
	for n := range 100_000 {
		retry.MustNew(retry.Config{Name: fmt.Sprint(n), Hook: hook})
		if n%1000 == 0 {
			runtime.GC()
		}
	}
	require.Less(t, inventory.Held(&v), 20_000)
	runtime.GC()
	require.Equal(t, []string{"retry kept "}, names(&v))
	require.Equal(t, 1, inventory.Held(&v))
	runtime.KeepAlive(kept)
}
