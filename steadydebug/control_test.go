package steadydebug_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/steadydebug"
)

func anybody(*http.Request) bool { return true }

// form is what the button of a switch sends.
func form(t *testing.T, s steadydebug.Status, kind, name, key, thrown string) url.Values {
	t.Helper()
	of := policy(t, s, kind, name)
	f := url.Values{"policy": {kind}, "name": {name}, "id": {strconv.FormatUint(of.Instances[0].ID, 10)}, "switch": {thrown}}
	if key != "" {
		f.Set("key", key)
		f.Set("member", "1")
	}
	return f
}

// post sends a form, after changes to the request.
func post(p http.Handler, f url.Values, changes ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/debug/steady/switch", strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func TestEverySwitchOfEveryPolicyIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := steadydebug.MustNew(steadydebug.Config{AllowControl: anybody})
		b := breaker.MustNew(breaker.Config{Name: "db", Hook: p})
		g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", Hook: p}})
		g.Get("a")
		g.Get("n 1&2")
		full := bulkhead.MustNew(bulkhead.Config{Name: "full", Limit: 1, Hook: p})
		faults := chaos.MustNew(chaos.Config{Name: "faults", Hook: p})
		keep(t, b, g, full, faults)
		require.NoError(t, faults.Arm(time.Hour))
		require.Contains(t, get(t, p, "/"), "Chaos is armed.")

		throw := func(kind, name, key, thrown string) {
			t.Helper()
			w := post(p, form(t, status(t, p), kind, name, key, thrown))
			require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
			require.Equal(t, "./", w.Header().Get("Location"))
			time.Sleep(time.Second)
		}
		for thrown, becomes := range map[string]breaker.State{
			"force open": breaker.ForcedOpen, "force closed": breaker.ForcedClosed, "disable": breaker.Disabled, "reset": breaker.Closed,
		} {
			b.Disable()
			if becomes == breaker.Disabled {
				b.Reset()
			}
			throw("breaker", "db", "", thrown)
			require.Equal(t, becomes, b.State(), thrown)
			throw("breaker", "nodes", "n 1&2", thrown)
			require.Equal(t, becomes, g.Get("n 1&2").State(), thrown)
			require.Equal(t, breaker.Closed, g.Get("a").State(), "another member")
		}
		for _, of := range []struct {
			kind, name string
			dryRun     func() bool
		}{
			{"breaker", "db", func() bool { return b.Stats().DryRun }},
			{"breaker", "nodes", func() bool { return g.Get("a").Stats().DryRun }},
			{"bulkhead", "full", func() bool { return full.Stats().DryRun }},
		} {
			throw(of.kind, of.name, "", "begin dry run")
			require.True(t, of.dryRun(), of)
			throw(of.kind, of.name, "", "end dry run")
			require.False(t, of.dryRun(), of)
		}
		throw("chaos", "faults", "", "disarm")
		require.False(t, faults.Stats().Armed)

		last := status(t, p).Moments
		require.Equal(t, steadydebug.Moment{Time: last[0].Time, Times: 1, Kind: "switch", Policy: "chaos", Name: "faults", Switch: "disarm", By: "192.0.2.1"}, last[0])
		require.Contains(t, get(t, p, "/"), "switch: disarm")
		offered := get(t, p, "/")
		require.Contains(t, offered, `data-switch="force open"`)
		require.Contains(t, offered, `name="key" value="n 1&amp;2"`)
	})
}

func TestBySayingNothingNobodyMayThrowASwitch(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	b := breaker.MustNew(breaker.Config{Name: "db", Hook: p})
	keep(t, b)
	f := form(t, status(t, p), "breaker", "db", "", "force open")
	w := post(p, f)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Equal(t, "steadydebug: Config.AllowControl does not allow this\n", w.Body.String())
	require.Equal(t, breaker.Closed, b.State())
	require.NotContains(t, get(t, p, "/"), "<button")
	require.NotContains(t, get(t, p, "/"), "<form")
	require.Nil(t, policy(t, status(t, p), "breaker", "db").Instances[0].Switches)
	require.Empty(t, status(t, p).Moments)
}

func TestWhoMayNotIsOfferedNoSwitch(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{AllowControl: func(r *http.Request) bool { return r.Header.Get("X-Operator") != "" }})
	b := breaker.MustNew(breaker.Config{Name: "db", Hook: p})
	keep(t, b)
	require.NotContains(t, get(t, p, "/panel"), "<button")
	r := httptest.NewRequest(http.MethodGet, "/panel", nil)
	r.Header.Set("X-Operator", "yes")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	require.Contains(t, w.Body.String(), "<button")
	require.Equal(t, breaker.Closed, b.State())
}

// at is a request that came in at a local address, under the name of a host.
func at(ip, host string) func(*http.Request) {
	return func(r *http.Request) {
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(ip), Port: 6060}))
		r.Host = host
	}
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// Planted: rebound always false → evil.example:6060 throws the switch.
func TestWhatAnotherSiteSendsIsRefused(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{AllowControl: anybody})
	b := breaker.MustNew(breaker.Config{Name: "db", Hook: p})
	keep(t, b)
	f := form(t, status(t, p), "breaker", "db", "", "force open")
	for says, change := range map[string]func(*http.Request){
		"cross-site":          header("Sec-Fetch-Site", "cross-site"),
		"same-site":           header("Sec-Fetch-Site", "same-site"),
		"other origin":        header("Origin", "http://evil.example"),
		"no origin to see":    header("Origin", "null"),
		"rebound":             at("127.0.0.1", "evil.example:6060"),
		"rebound on v6":       at("::1", "evil.example"),
		"rebound, close name": at("127.0.0.1", "localhost.evil.example"),
		"rebound, no name":    at("127.0.0.1", ""),
	} {
		w := post(p, f, change)
		require.Equal(t, http.StatusForbidden, w.Code, says)
		require.Equal(t, breaker.Closed, b.State(), says)
	}
	for says, change := range map[string]func(*http.Request){
		"same origin":           header("Sec-Fetch-Site", "same-origin"),
		"the address bar":       header("Sec-Fetch-Site", "none"),
		"same origin by name":   header("Origin", "http://example.com"),
		"localhost":             at("127.0.0.1", "localhost:6060"),
		"localhost, upper case": at("127.0.0.1", "LOCALHOST"),
		"localhost, absolute":   at("127.0.0.1", "localhost.:6060"),
		"under localhost":       at("127.0.0.1", "debug.localhost"),
		"an address":            at("127.0.0.1", "10.0.0.1"),
		"no address":            at("::1", "[::]:9300"),
		"loopback":              at("127.0.0.1", "127.0.0.1:6060"),
		"loopback v6":           at("::1", "[::1]:6060"),
		"loopback v6, no port":  at("::1", "[::1]"),
		"elsewhere":             at("10.0.0.1", "debug.example:6060"),
	} {
		b.Reset()
		w := post(p, f, change)
		require.Equal(t, http.StatusSeeOther, w.Code, "%s: %s", says, w.Body)
		require.Equal(t, breaker.ForcedOpen, b.State(), says)
	}
}

func TestAPolicyOrASwitchThatThereIsNotIsNamed(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{AllowControl: anybody})
	g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", Hook: p}})
	keep(t, g)
	g.Get("a")
	f := form(t, status(t, p), "breaker", "nodes", "b", "force open")
	refused := func(code int, says string) {
		t.Helper()
		w := post(p, f)
		require.Equal(t, code, w.Code)
		require.Contains(t, w.Body.String(), says)
	}
	refused(http.StatusNotFound, `steadydebug: there is no switch "force open" of breaker "nodes", member "b"`)
	f.Set("key", "a")
	f.Set("switch", "explode")
	refused(http.StatusNotFound, `there is no switch "explode" of breaker "nodes", member "a"`)
	f.Set("id", "-1")
	refused(http.StatusBadRequest, `id must be a number, got "-1"`)
	f.Set("id", "123456789")
	f.Set("switch", "force open")
	refused(http.StatusNotFound, `there is no switch`)
	f.Set("name", strings.Repeat("x", 10_000))
	refused(http.StatusBadRequest, "request body too large")
	require.Equal(t, breaker.Closed, g.Get("a").State())
}

func TestASwitchThatPanicsOrThatThereIsTwiceIsAnError(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{AllowControl: anybody})
	bad := steady.Status{Policy: "x", Name: "bad", Switches: []steady.Switch{{Name: "go", Throw: func() { panic("oh no") }}, {Name: "none"}}}
	long := strings.Repeat("k", 256)
	thrown := 0
	member := func(key string) steady.Status {
		return steady.Status{Policy: "x", Name: "twice", Key: key, Switches: []steady.Switch{{Name: "go", Throw: func() { thrown++ }}}}
	}
	require.NoError(t, p.Register(foreign{bad, {Policy: "x", Name: "twice"}, member(long + "1"), member(long + "2"), member("ok")}))

	w := post(p, form(t, status(t, p), "x", "bad", "", "go"))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, w.Body.String(), "it panicked: oh no")
	require.Equal(t, http.StatusNotFound, post(p, form(t, status(t, p), "x", "bad", "", "none")).Code)
	w = post(p, form(t, status(t, p), "x", "twice", long, "go"))
	require.Equal(t, http.StatusConflict, w.Code)
	require.Zero(t, thrown)
	require.Equal(t, http.StatusSeeOther, post(p, form(t, status(t, p), "x", "twice", "ok", "go")).Code)
	require.Equal(t, 1, thrown)
}
