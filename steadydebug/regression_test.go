package steadydebug_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/steadydebug"
)

func look(t *testing.T, p *steadydebug.Page) (s steadydebug.Status, text string) {
	t.Helper()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/status.json", nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &s))
	return s, w.Body.String()
}

// A script that goes through a list must not find null there.
func TestListsInJSONAreNeverNull(t *testing.T) {
	_, text := look(t, steadydebug.MustNew(steadydebug.Config{}))
	require.NotContains(t, text, "null")
}

// The look that was remembered lay in the future, so that no other was remembered, and all rates
// were 0 for ever.
func TestAPageThatIsCarriedIntoABubbleBeginsAfresh(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	synctest.Test(t, func(t *testing.T) {
		for range 30 {
			for range 100 {
				p.On(t.Context(), steady.Event{Kind: steady.KindDone, Policy: "x", Name: "y", Outcome: steady.Success})
			}
			look(t, p)
			time.Sleep(time.Second)
		}
		s, _ := look(t, p)
		require.EqualValues(t, 3000, s.Policies[0].Calls.Success.Total)
		require.InDelta(t, 100, s.Policies[0].Calls.Success.PerSecond, 11)
	})
}

func TestATraceIDThatPanicsCostsNoMoment(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{TraceID: func(context.Context) string { panic("bad") }})
	p.On(t.Context(), steady.Event{Kind: steady.KindState, Policy: "breaker", Name: "db", From: "closed", To: "open"})
	s, _ := look(t, p)
	require.Len(t, s.Moments, 1)
}

// Of events that came out of order, the later one is on top.
func TestChangesAreListedInTheirOrder(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	state := func(name string, seq uint64, from, to string) {
		p.On(t.Context(), steady.Event{Kind: steady.KindState, Policy: "breaker", Name: name, Seq: seq, From: from, To: to})
	}
	state("db", 1, "half-open", "closed")
	state("db", 3, "open", "half-open")
	state("other", 1, "closed", "open")
	state("db", 2, "closed", "open")
	s, _ := look(t, p)
	var order []string
	for _, m := range s.Moments {
		order = append(order, m.Name+" "+m.To)
	}
	require.Equal(t, []string{"other open", "db half-open", "db open", "db closed"}, order)
}

// A hundred nodes whose calls are abandoned pushed out why.
func TestAbandonedCallsOfAllMembersAreOneMoment(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	p.On(t.Context(), steady.Event{Kind: steady.KindState, Policy: "breaker", Name: "db", From: "closed", To: "open"})
	for n := range 200 {
		p.On(t.Context(), steady.Event{Kind: steady.KindAbandoned, Policy: "timeout", Name: "db", Key: string(rune('a' + n%26))})
	}
	s, _ := look(t, p)
	require.Len(t, s.Moments, 2)
	require.Equal(t, 200, s.Moments[0].Times)
}

type fromElsewhere steady.Status

func (f fromElsewhere) Inspect() []steady.Status { return []steady.Status{steady.Status(f)} }

func TestKeyedPoliciesFromElsewhereAreNoGroup(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	require.NoError(t, p.Register(fromElsewhere{Policy: "cb", Name: "db", Key: "h1", State: "open"}, fromElsewhere{Policy: "cb", Name: "db", Key: "h2", State: "closed"}))
	s, _ := look(t, p)
	require.Len(t, s.Policies[0].Instances, 2)
}
