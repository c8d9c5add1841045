package steadydebug_test

import (
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/steadydebug"
)

// foreign is policies from elsewhere.
type foreign []steady.Status

func (f foreign) Inspect() []steady.Status { return f }

// foreignID is an ID that no policy of this module will have.
var foreignID atomic.Uint64

func init() { foreignID.Store(1 << 40) }

// everyKind tells of all that can be told, with s wherever a text may be.
func everyKind(t *testing.T, p *steadydebug.Page, s string) {
	for k := steady.KindDone; k.String() != "unknown"; k++ {
		p.On(t.Context(), steady.Event{Kind: k, Policy: s, Name: s, Key: s, From: s, To: s, Reason: s, Err: &steady.PanicError{Value: s}})
	}
	id := foreignID.Add(1)
	require.NoError(t, p.Register(foreign{
		{Policy: s, Name: s, ID: id, State: s, DryRun: true, Levels: []steady.Level{{Name: s, Value: 1}}, Switches: []steady.Switch{{Name: s}}},
		{Policy: s, Name: s, Key: s, ID: id, State: s, States: []string{"closed"}, Switches: []steady.Switch{{Name: s}}},
	}))
}

func TestHostileTextIsShownAsText(t *testing.T) {
	for _, s := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onclick='alert(1)`, `javascript:alert(1)`, `{{.}}`, "</title><b>\x00"} {
		p := steadydebug.MustNew(steadydebug.Config{Title: s, AllowControl: func(*http.Request) bool { return true }})
		everyKind(t, p, s)
		page := get(t, p, "/")
		require.Equal(t, 1, strings.Count(page, "<script"), "the script of the page itself")
		require.NotContains(t, page, "<img")
		require.NotContains(t, page, "<b>")
		require.NotContains(t, page, `href="javascript`)
		require.NotContains(t, page, " onclick='")
		require.NotContains(t, page, "ZgotmplZ", "nothing was taken for a URL, a script or a style")
		require.NotContains(t, page, "style=")
		require.Equal(t, s, status(t, p).Policies[0].Name)
	}
}

func TestTextIsCutAndMadeValid(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	for _, s := range []string{
		strings.Repeat("x", 1<<20), strings.Repeat("é", 1<<19), "x" + strings.Repeat("é", 1<<19),
		strings.Repeat("a\xff", 1<<19), strings.Repeat("\x80", 1<<20),
	} {
		everyKind(t, p, s)
	}
	s := status(t, p)
	require.Len(t, s.Policies, 5)
	for _, of := range s.Policies {
		require.LessOrEqual(t, len(of.Name), 256)
		require.True(t, utf8.ValidString(of.Name))
		require.NotEmpty(t, of.Calls)
		require.NotEmpty(t, of.Instances)
	}
	require.Less(t, len(get(t, p, "/")), 400_000)
	require.True(t, utf8.ValidString(get(t, p, "/")))
}

// Planted: learn keeps the text that it was given → 100 MB are held by 100 names.
func TestShortTextDoesNotKeepALongOneAlive(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	before := live()
	for n := range 100 {
		long := fmt.Sprintf("%03d%s", n, strings.Repeat("x", 1<<20))
		p.On(t.Context(), steady.Event{Kind: steady.KindRejected, Policy: "p", Name: long, Reason: long})
		p.On(t.Context(), steady.Event{Kind: steady.KindState, Policy: "p", Name: long[:10], From: long[:8], To: long[:9]})
	}
	require.Less(t, live()-before, 10<<20)
	runtime.KeepAlive(p)
}

func live() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Planted: of and learn let in 3,000 → so many are held.
func TestMemoryIsBoundedWhateverTheNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := steadydebug.MustNew(steadydebug.Config{})
		for n := range 100_000 {
			name := fmt.Sprint(n)
			p.On(t.Context(), steady.Event{Kind: steady.KindDone, Policy: "p", Name: name})
			p.On(t.Context(), steady.Event{Kind: steady.KindState, Policy: "p", Name: name, From: "a", To: "b"})
			for _, k := range []steady.Kind{steady.KindRejected, steady.KindDryRun, steady.KindInjected, steady.KindLoad, steady.KindEvicted} {
				p.On(t.Context(), steady.Event{Kind: k, Policy: "p", Name: "0", Reason: name})
			}
			p.On(t.Context(), steady.Event{Kind: steady.KindDone, Policy: "p", Name: "0", Outcome: steady.Success, Reason: name})
			if n%500 == 0 {
				p.On(t.Context(), steady.Event{Kind: steady.KindLoaded, Policy: "p", Name: "0", Err: &steady.PanicError{Value: name}})
				time.Sleep(time.Second)
				status(t, p)
			}
		}
		require.Equal(t, [5]int{500, 16, 100, 61, 12}, steadydebug.Held(p))
		s := status(t, p)
		require.Len(t, s.Policies, 500)
		require.EqualValues(t, 99_500, s.FurtherEvents)
		first := policy(t, s, "p", "0").Calls
		require.EqualValues(t, 100_000, first.Rejected.Total)
		require.Len(t, first.RejectedFor, 17)
		require.Len(t, first.SuccessFrom, 17)
		require.Len(t, first.LoadsFor, 17)
		require.Len(t, first.EvictedFor, 17)
		require.Equal(t, "other", first.RejectedFor[16].Reason)
		require.EqualValues(t, 100_000-16, first.RejectedFor[16].Total)
		require.Len(t, s.Moments, 100)
		require.Less(t, len(get(t, p, "/status.json")), 1<<20)
		require.Less(t, len(get(t, p, "/")), 1<<20)
		require.Contains(t, get(t, p, "/"), "99,500 events of further names")
	})
}

func TestOfTooManyStatusesThoseInTroubleAreShown(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	var many foreign
	for n := range 1500 {
		many = append(many, steady.Status{Policy: "p", Name: fmt.Sprint(n), State: "closed", States: []string{"closed"}})
	}
	many[1400].State = "open"
	g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes"}})
	for n := range 300 {
		g.Get(fmt.Sprintf("n%03d", n))
	}
	g.Get("n250").ForceOpen()
	require.NoError(t, p.Register(many, g))

	s := status(t, p)
	require.Equal(t, "open", policy(t, s, "p", "1400").Instances[0].State)
	nodes := policy(t, s, "breaker", "nodes").Instances[0]
	require.Len(t, nodes.Members, 200)
	require.Equal(t, steadydebug.Member{Key: "n250", State: "forced-open", Levels: nodes.Members[199].Levels}, nodes.Members[199])
	require.Equal(t, "n000", nodes.Members[0].Key)
	require.Equal(t, map[string]int{"closed": 299, "forced-open": 1}, nodes.MembersByState)
	require.Len(t, s.Policies, 1000)
	require.Equal(t, 501+100, s.FurtherStatuses)
	require.Equal(t, 1800, s.Summary.Breakers)
	require.Equal(t, 2, s.Summary.NotClosed.Count)
	require.Contains(t, get(t, p, "/"), "299 closed, 1 forced-open")
	require.Contains(t, get(t, p, "/"), "601 further policies and members")
}

func TestWhatAPolicyFromElsewhereHoldsIsBounded(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{AllowControl: func(*http.Request) bool { return true }})
	s := steady.Status{Policy: "p", Levels: []steady.Level{{Name: "none", Value: math.NaN()}, {Name: "no end", Value: math.Inf(1)}}}
	var members []steady.Status
	for n := range 1000 {
		s.Levels = append(s.Levels, steady.Level{Name: fmt.Sprint(n), Value: 1})
		s.Switches = append(s.Switches, steady.Switch{Name: fmt.Sprint(n)})
		members = append(members, steady.Status{Policy: "p", Key: fmt.Sprint(n), State: fmt.Sprint(n)})
	}
	require.NoError(t, p.Register(foreign(append([]steady.Status{s}, members...))))
	i := policy(t, status(t, p), "p", "").Instances[0]
	require.Len(t, i.Levels, 32)
	require.NotContains(t, i.Levels, "none")
	require.Len(t, i.Switches, 16)
	require.Len(t, i.Members, 200)
	require.Len(t, i.MembersByState, 17)
	require.Equal(t, 984, i.MembersByState["other"])
	get(t, p, "/")
}
