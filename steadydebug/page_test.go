package steadydebug_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadydebug"
	"github.com/steady-go/steady/steadytest"
)

var errBoom = errors.New("boom")

func succeed(context.Context) error { return nil }
func fail(context.Context) error    { return errBoom }

// keep keeps policies from being collected before the end of the test: the page does not.
func keep(t *testing.T, policies ...any) {
	t.Cleanup(func() { runtime.KeepAlive(policies) })
}

// get asks h for a path and requires an answer that is good.
func get(t *testing.T, h http.Handler, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	require.Equal(t, http.StatusOK, w.Code, path)
	return w.Body.String()
}

// status returns what status.json says.
func status(t *testing.T, h http.Handler) steadydebug.Status {
	t.Helper()
	var s steadydebug.Status
	d := json.NewDecoder(strings.NewReader(get(t, h, "/debug/steady/status.json")))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&s))
	return s
}

// policy returns what is said of one policy.
func policy(t *testing.T, s steadydebug.Status, kind, name string) steadydebug.Policy {
	t.Helper()
	for _, p := range s.Policies {
		if p.Policy == kind && p.Name == name {
			return p
		}
	}
	require.Fail(t, "not shown", "%s %s in %+v", kind, name, s.Policies)
	panic("not reached")
}

func TestConformance(t *testing.T) {
	steadytest.TestHook(t, func(t *testing.T) steady.Hook {
		p := steadydebug.MustNew(steadydebug.Config{TraceID: func(context.Context) string { return "t" }})
		t.Cleanup(func() {
			get(t, p, "/")
			status(t, p)
		})
		return p
	})
}

func TestFaultsOfAConfigAreNamed(t *testing.T) {
	_, err := steadydebug.New(steadydebug.Config{Title: strings.Repeat("x", 256) + "\xff"})
	require.EqualError(t, err, "steadydebug: Config.Title must have at most 256 bytes, got 257\n"+
		"steadydebug: Config.Title must be UTF-8, got "+strings.Repeat("x", 256))
	require.Panics(t, func() { steadydebug.MustNew(steadydebug.Config{Title: "\xff"}) })
	require.EqualError(t, steadydebug.MustNew(steadydebug.Config{}).Register(42),
		"steadydebug: Register: policy 1 of 1 must be a steady.Inspector, got 42 of type int")
}

// Planted: gather starts from the tallies alone → the policy without calls is missing.
func TestWhatHasHadNoCallAndWhatCannotBeLookedIntoAreShownToo(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{Title: "orders"})
	require.Contains(t, get(t, p, "/"), "No policy has been heard of yet")
	silent := breaker.MustNew(breaker.Config{Name: "silent"})
	chained := steady.Chain(retry.MustNew(retry.Config{Name: "chained"}), silent)
	require.NoError(t, p.Register(chained, silent))
	p.On(t.Context(), steady.Event{Kind: steady.KindDone, Policy: "cache", Name: "elsewhere", Outcome: steady.Success})

	s := status(t, p)
	require.Len(t, s.Policies, 3)
	require.Equal(t, "orders", s.Title)
	require.Nil(t, policy(t, s, "breaker", "silent").Calls)
	require.Equal(t, "closed", policy(t, s, "breaker", "silent").Instances[0].State)
	require.Equal(t, 500.0, policy(t, s, "retry", "chained").Instances[0].Levels["tokens"])
	require.Empty(t, policy(t, s, "cache", "elsewhere").Instances)
	require.EqualValues(t, 1, policy(t, s, "cache", "elsewhere").Calls.Success.Total)
	page := get(t, p, "/")
	for _, name := range []string{"silent", "chained", "elsewhere"} {
		require.Contains(t, page, `data-name="`+name+`"`)
	}
	require.NotContains(t, page, "No policy has been heard of yet")
	require.Contains(t, page, "<title>orders – steady</title>")
}

func TestPoliciesWithoutANameAndWithTheSameAreShown(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	one := bulkhead.MustNew(bulkhead.Config{Limit: 1, Hook: p})
	two := bulkhead.MustNew(bulkhead.Config{Limit: 2, Hook: p})
	keep(t, one, two)
	permit, err := two.Acquire(t.Context())
	require.NoError(t, err)
	defer permit.Release()
	both := policy(t, status(t, p), "bulkhead", "").Instances
	require.Len(t, both, 2)
	require.Equal(t, map[string]float64{"in_flight": 0, "limit": 1, "hook_panics": 0}, both[0].Levels)
	require.Equal(t, map[string]float64{"in_flight": 1, "limit": 2, "hook_panics": 0}, both[1].Levels)
	page := get(t, p, "/")
	require.Contains(t, page, "(no name)")
	require.Contains(t, page, "1 of 2 <meter")
}

func TestTheSummarySaysWhatIsNotAsItShouldBe(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	b := breaker.MustNew(breaker.Config{Name: "db", Hook: p})
	g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", DryRun: true, Hook: p}})
	keep(t, b, g)
	g.Get("n1").ForceOpen()
	g.Get("n2")
	require.NoError(t, b.Do(t.Context(), succeed))
	s := status(t, p)
	require.Equal(t, steadydebug.Summary{
		Breakers:  3,
		NotClosed: steadydebug.Mention{Count: 1, First: []steadydebug.Ref{{Policy: "breaker", Name: "nodes", Key: "n1"}}},
		Shedding:  steadydebug.Mention{First: []steadydebug.Ref{}},
		Armed:     steadydebug.Mention{First: []steadydebug.Ref{}},
		DryRun:    steadydebug.Mention{Count: 1, First: []steadydebug.Ref{{Policy: "breaker", Name: "nodes"}}},
	}, s.Summary)
	nodes := policy(t, s, "breaker", "nodes").Instances[0]
	require.Equal(t, map[string]int{"closed": 1, "forced-open": 1}, nodes.MembersByState)
	require.Equal(t, []string{"n1", "n2"}, []string{nodes.Members[0].Key, nodes.Members[1].Key})
	page := get(t, p, "/")
	require.Contains(t, page, "1 of 3 not closed:")
	require.Contains(t, page, `data-state="forced-open"`)
	g.Get("n1").Reset()
	require.Contains(t, get(t, p, "/"), "All 3 breakers are closed.")
}

func TestChangesAreListedWithTheirTraceTheNewestFirst(t *testing.T) {
	type key struct{}
	p := steadydebug.MustNew(steadydebug.Config{TraceID: func(ctx context.Context) string {
		id, _ := ctx.Value(key{}).(string)
		return id
	}})
	b := breaker.MustNew(breaker.Config{Name: "db", ConsecutiveFailures: 1, Hook: p})
	_ = b.Do(context.WithValue(t.Context(), key{}, "4bf92f"), fail)
	b.ForceClosed()
	on := func(e steady.Event) { p.On(t.Context(), e) }
	for range 3 {
		on(steady.Event{Kind: steady.KindAbandoned, Policy: "timeout", Name: "x", Duration: time.Second})
		on(steady.Event{Kind: steady.KindLate, Policy: "timeout", Name: "x", Err: &steady.PanicError{Value: "oh no"}})
	}
	on(steady.Event{Kind: steady.KindLate, Policy: "timeout", Name: "x", Err: errBoom})
	on(steady.Event{Kind: steady.KindState, Policy: "breaker", Name: "nodes", Key: "n1", From: "open"}) // is dropped

	got := status(t, p).Moments
	for n := range got {
		require.WithinDuration(t, time.Now(), got[n].Time, time.Minute)
		got[n].Time = time.Time{}
	}
	require.Equal(t, []steadydebug.Moment{
		{Kind: "panic", Policy: "timeout", Name: "x", Reason: "steady: the call panicked: oh no", Times: 3},
		{Kind: "abandoned", Policy: "timeout", Name: "x", Times: 3},
		{Kind: "state", Policy: "breaker", Name: "db", From: "open", To: "forced-closed", Reason: "forced", Times: 1},
		{Kind: "state", Policy: "breaker", Name: "db", From: "closed", To: "open", Reason: "failures in a row", TraceID: "4bf92f", Times: 1},
	}, got)
	require.Contains(t, get(t, p, "/"), "<code>4bf92f</code>")
}
