package steadydebug_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/steadydebug"
)

func TestEveryAnswerKeepsTheBrowserFromWhatItNeedNotDo(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	for path, kind := range map[string]string{
		"/":            "text/html; charset=utf-8",
		"/panel":       "text/html; charset=utf-8",
		"/status.json": "application/json",
		"/page.css":    "text/css; charset=utf-8",
		"/page.js":     "text/javascript; charset=utf-8",
		"/nothing":     "text/plain; charset=utf-8",
		"/page.html":   "text/plain; charset=utf-8",
		"/switch":      "text/plain; charset=utf-8",
	} {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		h := w.Header()
		require.Equal(t, kind, h.Get("Content-Type"), path)
		require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'", h.Get("Content-Security-Policy"))
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		require.Equal(t, "no-store", h.Get("Cache-Control"))
		require.Equal(t, "same-origin", h.Get("Referrer-Policy"))
	}
}

func TestMethodsAndPathsThatThereAreNot(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	for _, c := range []struct {
		method, path string
		code         int
		allow        string
	}{
		{http.MethodHead, "/", http.StatusOK, ""},
		{http.MethodPost, "/", http.StatusMethodNotAllowed, "GET, HEAD"},
		{http.MethodDelete, "/status.json", http.StatusMethodNotAllowed, "GET, HEAD"},
		{http.MethodOptions, "/panel", http.StatusMethodNotAllowed, "GET, HEAD"},
		{http.MethodGet, "/switch", http.StatusMethodNotAllowed, "POST"},
		{http.MethodGet, "/nothing", http.StatusNotFound, ""},
		{http.MethodPost, "/../page.go", http.StatusNotFound, ""},
	} {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		require.Equal(t, c.code, w.Code, "%s %s", c.method, c.path)
		require.Equal(t, c.allow, w.Header().Get("Allow"), "%s %s", c.method, c.path)
	}
}

// links finds what the page refers to.
var links = regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)

// Planted: no look at RequestURI → at "/stripped" the page has no style.
func TestThePageIsWholeWhereverItIsMounted(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{AllowControl: func(*http.Request) bool { return true }})
	b := breaker.MustNew(breaker.Config{Name: "db"})
	require.NoError(t, p.Register(b))
	mux := http.NewServeMux()
	mux.Handle("/debug/steady/", p)
	mux.Handle("/stripped/", http.StripPrefix("/stripped", p))
	mux.Handle("/stripped", http.StripPrefix("/stripped", p))
	mux.Handle("/bare/", http.StripPrefix("/bare/", p))
	for _, root := range []http.Handler{mux, p} {
		server := httptest.NewServer(root)
		defer server.Close()
		for _, at := range []string{"/debug/steady", "/debug/steady/", "/debug/steady/?x=/y", "/stripped", "/stripped?x=y", "/stripped/", "/bare/"} {
			if root == http.Handler(p) {
				at = "/"
			}
			page, base := fetch(t, server.URL+at)
			found := links.FindAllStringSubmatch(page, -1)
			require.Greater(t, len(found), 3)
			for _, link := range found {
				to, err := base.Parse(link[1])
				require.NoError(t, err)
				if to.Scheme == "data" || link[1] == "switch" {
					continue
				}
				body, _ := fetch(t, to.String())
				require.NotEmpty(t, body)
			}
			fetch(t, base.JoinPath("panel").String())
		}
	}
}

// fetch returns what is at a URL, and the URL to which it was sent on.
func fetch(t *testing.T, from string) (body string, at *url.URL) {
	t.Helper()
	r, err := http.Get(from)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Body.Close()) }()
	require.Equal(t, http.StatusOK, r.StatusCode, from)
	var text []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.Body.Read(buf)
		text = append(text, buf[:n]...)
		if err != nil {
			return string(text), r.Request.URL
		}
	}
}

// The script looks for what has changed by the elements' ids.
func TestEveryIDInThePageIsThereOnce(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{AllowControl: func(*http.Request) bool { return true }})
	g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", ConsecutiveFailures: 1, Hook: p}})
	a, b := breaker.MustNew(breaker.Config{Hook: p}), breaker.MustNew(breaker.Config{Hook: p})
	keep(t, g, a, b)
	for _, key := range []string{"", "a", "b"} {
		require.Error(t, g.Do(t.Context(), key, fail))
	}
	for range 10 {
		a.ForceOpen()
		b.Reset()
		a.Reset()
	}
	require.NoError(t, p.Register(foreign{{Policy: "x"}, {Policy: "x"}}, foreign{{Policy: "y"}}))
	p.On(t.Context(), steady.Event{Kind: steady.KindDone, Policy: "z"})
	seen := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(get(t, p, "/"), -1) {
		require.False(t, seen[id[1]], id[1])
		seen[id[1]] = true
	}
	require.Greater(t, len(seen), 30)
}
