package httpidempotency_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/idempotency/httpidempotency"
)

// A service is a server on a real socket whose handler is guarded, and counts.
type service struct {
	t       *testing.T
	address string
	ran     atomic.Int32
	store   *watched
	m       *httpidempotency.Middleware

	mu      sync.Mutex
	handler http.HandlerFunc
}

// A watched store fails if it is told to.
type watched struct {
	idempotency.Store
	down   atomic.Bool
	finish func() error
}

var errDown = errors.New("store down")

func (s *watched) Begin(ctx context.Context, c idempotency.Claim) (idempotency.Grant, error) {
	if s.down.Load() {
		return idempotency.Grant{}, errDown
	}
	return s.Store.Begin(ctx, c)
}

func (s *watched) Finish(ctx context.Context, key, token string, o idempotency.Outcome, keep time.Duration) error {
	if s.finish != nil {
		if err := s.finish(); err != nil {
			return err
		}
	}
	return s.Store.Finish(ctx, key, token, o, keep)
}

type options struct {
	guard idempotency.Config
	http  httpidempotency.Config
	outer func(http.Handler) http.Handler
}

func serve(t *testing.T, o options, handler http.HandlerFunc) *service {
	t.Helper()
	memory, err := idempotency.NewMemoryStore(idempotency.MemoryConfig{})
	require.NoError(t, err)
	s := &service{t: t, store: &watched{Store: memory}, handler: handler}
	o.guard.Store = s.store
	if o.guard.OnUnknown == 0 {
		o.guard.OnUnknown = idempotency.Rerun
	}
	o.http.Guard = idempotency.MustNew(o.guard)
	if o.http.Scope == nil {
		o.http.Scope = func(r *http.Request) (string, error) { return cmp.Or(r.Header.Get("Tenant"), "the tenant"), nil }
	}
	s.m = httpidempotency.MustNew(o.http)
	guarded := s.m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ran.Add(1)
		s.mu.Lock()
		h := s.handler
		s.mu.Unlock()
		h(w, r)
	}))
	if o.outer != nil {
		guarded = o.outer(guarded)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: guarded, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	s.address = listener.Addr().String()
	return s
}

func (s *service) now(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = h
}

// client follows nothing.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// A reply is a response that was read to its end.
type reply struct {
	*http.Response
	body string
}

// send sends a request of the form "METHOD path?query", with headers of the form "Name: value".
func (s *service) send(request, body string, headers ...string) reply {
	s.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.address+path, strings.NewReader(body))
	require.NoError(s.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	res, err := client.Do(r)
	require.NoError(s.t, err)
	return read(s.t, res)
}

func read(t *testing.T, res *http.Response) reply {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return reply{res, string(body)}
}

// post posts an order.
func (s *service) post(headers ...string) reply {
	s.t.Helper()
	return s.send("POST /orders", "socks", slices.Concat([]string{"Idempotency-Key: k"}, headers)...)
}

func (s *service) requireRan(n int) {
	s.t.Helper()
	require.EqualValues(s.t, n, s.ran.Load(), "times that the handler ran")
}

func requireProblem(t *testing.T, r reply, status int, code string) {
	t.Helper()
	require.Equal(t, status, r.StatusCode, r.body)
	require.Equal(t, "application/problem+json", r.Header.Get("Content-Type"))
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	require.NoError(t, json.Unmarshal([]byte(r.body), &p))
	require.Equal(t, "urn:steady:idempotency:"+code, p.Type)
	require.Equal(t, status, p.Status)
	require.Equal(t, http.StatusText(status), p.Title)
	require.NotEmpty(t, p.Detail)
	require.Empty(t, r.Header.Get("Idempotency-Replayed"))
}

func created(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Location", "/orders/1")
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Set-Cookie", "session=secret")
	w.Header().Set("X-Trace", "1")
	w.Header()["Link"] = []string{"</a>", "</b>"}
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "order of %s", body)
}

func TestARefreshGetsTheSameResponse(t *testing.T) {
	s := serve(t, options{}, created)
	first := s.post()
	require.Equal(t, 201, first.StatusCode)
	require.Equal(t, "order of socks", first.body)
	require.Equal(t, "session=secret", first.Header.Get("Set-Cookie"))
	require.Equal(t, "1", first.Header.Get("X-Trace"))
	require.Empty(t, first.Header.Get("Idempotency-Replayed"))
	for range 3 {
		again := s.post()
		require.Equal(t, 201, again.StatusCode)
		require.Equal(t, first.body, again.body)
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
		require.Equal(t, "/orders/1", again.Header.Get("Location"))
		require.Equal(t, "text/plain", again.Header.Get("Content-Type"))
		require.Equal(t, []string{"</a>", "</b>"}, again.Header.Values("Link"))
		require.Empty(t, again.Header.Get("Set-Cookie"), "never")
		require.Empty(t, again.Header.Get("X-Trace"))
	}
	s.requireRan(1)
}

func TestHeadersThatComeBackCanBeChosen(t *testing.T) {
	s := serve(t, options{http: httpidempotency.Config{Headers: []string{"x-trace"}}}, created)
	s.post()
	again := s.post()
	require.Equal(t, "1", again.Header.Get("X-Trace"))
	require.Empty(t, again.Header.Get("Location"))
}

func TestKeysInTheHeader(t *testing.T) {
	for name, test := range map[string]struct {
		keys []string
		code string
	}{
		"missing":                {nil, "key-missing"},
		"two":                    {[]string{"a", "b"}, "key-malformed"},
		"two that are the same":  {[]string{"a", "a"}, "key-malformed"},
		"empty":                  {[]string{""}, "key-malformed"},
		"empty quotes":           {[]string{`""`}, "key-malformed"},
		"255 bytes":              {[]string{strings.Repeat("a", 255)}, ""},
		"256 bytes":              {[]string{strings.Repeat("a", 256)}, "key-malformed"},
		"255 bytes in quotes":    {[]string{`"` + strings.Repeat("a", 255) + `"`}, ""},
		"256 bytes in quotes":    {[]string{`"` + strings.Repeat("a", 256) + `"`}, "key-malformed"},
		"a UUID":                 {[]string{"8e03978e-40d5-43dd-bc93-6894a57f9324"}, ""},
		"spaces around":          {[]string{"  abc\t"}, ""},
		"a space":                {[]string{"a b"}, "key-malformed"},
		"a space in quotes":      {[]string{`"a b"`}, ""},
		"a list":                 {[]string{"a, b"}, "key-malformed"},
		"a list of strings":      {[]string{`"a", "b"`}, "key-malformed"},
		"a parameter":            {[]string{`"a";b=1`}, "key-malformed"},
		"an open quote":          {[]string{`"a`}, "key-malformed"},
		"a quote alone":          {[]string{`"`}, "key-malformed"},
		"a quote inside":         {[]string{`a"b`}, "key-malformed"},
		"an escaped quote":       {[]string{`"a\"b"`}, ""},
		"an escape of nothing":   {[]string{`"a\`}, "key-malformed"},
		"an escape of a letter":  {[]string{`"a\b"`}, "key-malformed"},
		"a letter beyond ASCII":  {[]string{"ä"}, "key-malformed"},
		"the same within quotes": {[]string{`"ä"`}, "key-malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, options{}, created)
			var headers []string
			for _, k := range test.keys {
				headers = append(headers, "Idempotency-Key: "+k)
			}
			r := s.send("POST /orders", "socks", headers...)
			if test.code == "" {
				require.Equal(t, 201, r.StatusCode, r.body)
				return
			}
			requireProblem(t, r, 400, test.code)
			s.requireRan(0)
		})
	}
}

func TestQuotedAndBareAreTheSameKey(t *testing.T) {
	s := serve(t, options{}, created)
	require.Equal(t, 201, s.send("POST /orders", "socks", "Idempotency-Key: abc").StatusCode)
	require.Equal(t, "true", s.send("POST /orders", "socks", `Idempotency-Key: "abc"`).Header.Get("Idempotency-Replayed"))
	s.requireRan(1)
}

func TestOnlySomeMethodsAreGuarded(t *testing.T) {
	s := serve(t, options{}, created)
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		require.Equal(t, 201, s.send(method+" /orders", "").StatusCode)
		require.Equal(t, 201, s.send(method+" /orders", "", "Idempotency-Key: k").StatusCode)
	}
	s.requireRan(8)
	require.Equal(t, 400, s.send("PATCH /orders", "").StatusCode)
	require.Equal(t, 400, s.send("POST /orders", "").StatusCode)
	s.requireRan(8)

	s = serve(t, options{http: httpidempotency.Config{Methods: []string{"PUT"}}}, created)
	require.Equal(t, 400, s.send("PUT /orders", "").StatusCode)
	require.Equal(t, 201, s.send("POST /orders", "").StatusCode)
}

func TestTheKeyMayBeOptional(t *testing.T) {
	s := serve(t, options{http: httpidempotency.Config{Optional: true}}, created)
	for range 2 {
		require.Equal(t, 201, s.send("POST /orders", "socks").StatusCode)
	}
	s.requireRan(2)
	require.Equal(t, 400, s.send("POST /orders", "socks", "Idempotency-Key: ").StatusCode, "a bad one is bad all the same")
	s.post()
	require.Equal(t, "true", s.post().Header.Get("Idempotency-Replayed"))
}

func TestTheSameKeyOfTwoTenantsNeverMeets(t *testing.T) {
	s := serve(t, options{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "order of ", r.Header.Get("Tenant")) })
	for range 2 {
		for _, tenant := range []string{"a", "b", "ab", "ba"} {
			require.Equal(t, "order of "+tenant, s.post("Tenant: "+tenant).body)
		}
	}
	s.requireRan(4)
	// What is joined must not be another pair.
	s.send("POST /orders", "socks", "Idempotency-Key: bk", "Tenant: a")
	s.send("POST /orders", "socks", "Idempotency-Key: k", "Tenant: ab")
	s.requireRan(5)
}

func TestWithoutAScopeNothingRuns(t *testing.T) {
	for _, err := range []error{nil, errors.New("secret")} {
		s := serve(t, options{http: httpidempotency.Config{Scope: func(*http.Request) (string, error) { return "", err }}}, created)
		r := s.post()
		requireProblem(t, r, 403, "no-scope")
		require.NotContains(t, r.body, "secret")
		s.requireRan(0)
	}
}

func TestAnotherRequestWithTheSameKeyIsAMismatch(t *testing.T) {
	s := serve(t, options{}, created)
	require.Equal(t, 201, s.send("POST /orders?a=1", "socks", "Idempotency-Key: k", "Content-Type: text/plain").StatusCode)
	for name, send := range map[string]func() reply{
		"method": func() reply {
			return s.send("PATCH /orders?a=1", "socks", "Idempotency-Key: k", "Content-Type: text/plain")
		},
		"path": func() reply {
			return s.send("POST /order?a=1", "socks", "Idempotency-Key: k", "Content-Type: text/plain")
		},
		"escaped path": func() reply {
			return s.send("POST /%6frders?a=1", "socks", "Idempotency-Key: k", "Content-Type: text/plain")
		},
		"query": func() reply {
			return s.send("POST /orders?a=2", "socks", "Idempotency-Key: k", "Content-Type: text/plain")
		},
		"content type": func() reply {
			return s.send("POST /orders?a=1", "socks", "Idempotency-Key: k", "Content-Type: text/html")
		},
		"body": func() reply {
			return s.send("POST /orders?a=1", "shoes", "Idempotency-Key: k", "Content-Type: text/plain")
		},
		"no body": func() reply { return s.send("POST /orders?a=1", "", "Idempotency-Key: k", "Content-Type: text/plain") },
	} {
		t.Run(name, func(t *testing.T) { requireProblem(t, send(), 422, "mismatch") })
	}
	s.requireRan(1)
}

// What a handler answers, and what the next request gets.
func TestWhatAHandlerAnswersDecidesWhatTheNextRequestGets(t *testing.T) {
	const stored, runs, unknown = "stored", "runs", "unknown"
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		status  int
		next    string
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, 200, stored},
		{"200 without WriteHeader", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, 200, stored},
		{"204", status(204), 204, stored},
		{"303", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(303)
		}, 303, stored},
		{"400", status(400), 400, stored},
		{"401", status(401), 401, stored},
		{"404", status(404), 404, stored},
		{"408", status(408), 408, runs},
		{"409", status(409), 409, stored},
		{"409 with Retry-After", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "1"); w.WriteHeader(409) }, 409, runs},
		{"422", status(422), 422, stored},
		{"425", status(425), 425, runs},
		{"429", status(429), 429, runs},
		{"500", status(500), 500, unknown},
		{"502", status(502), 502, unknown},
		{"503", status(503), 503, unknown},
		{"503 with Retry-After", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "1"); w.WriteHeader(503) }, 503, runs},
		{"504", status(504), 504, unknown},
	} {
		for _, onUnknown := range []idempotency.OnUnknown{idempotency.Rerun, idempotency.Refuse} {
			t.Run(fmt.Sprint(test.name, "/", onUnknown), func(t *testing.T) {
				s := serve(t, options{guard: idempotency.Config{OnUnknown: onUnknown}}, test.handler)
				require.Equal(t, test.status, s.post().StatusCode)
				s.now(func(w http.ResponseWriter, r *http.Request) {
					e, ok := idempotency.FromContext(r.Context())
					require.True(t, ok)
					fmt.Fprint(w, "again, recovered: ", e.Recovered)
				})
				next := s.post()
				switch {
				case test.next == stored:
					require.Equal(t, test.status, next.StatusCode)
					require.Equal(t, "true", next.Header.Get("Idempotency-Replayed"))
				case test.next == runs:
					require.Equal(t, "again, recovered: false", next.body)
				case onUnknown == idempotency.Rerun:
					require.Equal(t, "again, recovered: true", next.body)
				default:
					requireProblem(t, next, 409, "outcome-unknown")
					require.Empty(t, next.Header.Get("Retry-After"))
				}
			})
		}
	}
}

func status(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) }
}

func TestAPanicIsUnknown(t *testing.T) {
	s := serve(t, options{guard: idempotency.Config{OnUnknown: idempotency.Refuse}}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(201)
		panic(http.ErrAbortHandler)
	})
	conn := s.dial()
	conn.request("POST /orders HTTP/1.1", "Idempotency-Key: k", "Content-Length: 5", "", "socks")
	_, err := conn.r.ReadByte()
	require.ErrorIs(t, err, io.EOF, "the client has seen no 201")
	requireProblem(t, s.post(), 409, "outcome-unknown")
	s.requireRan(1)
}

func TestADuplicateInFlight(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	s := serve(t, options{}, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-end
		created(w, r)
	})
	first := make(chan reply)
	go func() { first <- s.post() }()
	<-begun
	r := s.post()
	requireProblem(t, r, 409, "in-flight")
	require.Equal(t, "1", r.Header.Get("Retry-After"))
	requireProblem(t, s.send("POST /orders", "shoes", "Idempotency-Key: k"), 422, "mismatch")
	close(end)
	require.Equal(t, 201, (<-first).StatusCode)
	require.Equal(t, "true", s.post().Header.Get("Idempotency-Replayed"))
	s.requireRan(1)
}

func TestADuplicateMayWait(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	s := serve(t, options{guard: idempotency.Config{Wait: time.Minute}}, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-end
		created(w, r)
	})
	replies := make(chan reply, 10)
	for range cap(replies) {
		go func() { replies <- s.post() }()
	}
	<-begun
	close(end)
	replayed := 0
	for range cap(replies) {
		r := <-replies
		require.Equal(t, 201, r.StatusCode)
		if r.Header.Get("Idempotency-Replayed") == "true" {
			replayed++
		}
	}
	require.Equal(t, cap(replies)-1, replayed)
	s.requireRan(1)
}

func TestWhenTheStoreIsDown(t *testing.T) {
	s := serve(t, options{}, created)
	s.store.down.Store(true)
	r := s.post()
	requireProblem(t, r, 503, "store")
	require.Equal(t, "1", r.Header.Get("Retry-After"))
	s.requireRan(0)
	s.store.down.Store(false)
	require.Equal(t, 201, s.post().StatusCode)

	s = serve(t, options{http: httpidempotency.Config{FailOpen: true}}, created)
	s.store.down.Store(true)
	for range 2 {
		require.Equal(t, "order of socks", s.post().body, "with its body")
	}
	s.requireRan(2)
	require.EqualValues(t, 2, s.m.Stats().FailedOpen)
	s.store.down.Store(false)
	s.post()
	s.post()
	s.requireRan(3)
	require.EqualValues(t, 2, s.m.Stats().FailedOpen)
}

// A client never holds a 201 that the store has not.
func TestTheOutcomeIsStoredBeforeItIsSent(t *testing.T) {
	var mu sync.Mutex
	var order []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	s := serve(t, options{outer: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(noting{w, note}, r) })
	}}, created)
	s.store.finish = func() error { note("stored"); return nil }
	s.post()
	require.Equal(t, []string{"stored", "header", "body"}, order)
}

type noting struct {
	http.ResponseWriter
	note func(string)
}

func (w noting) WriteHeader(s int) { w.note("header"); w.ResponseWriter.WriteHeader(s) }

func (w noting) Write(b []byte) (int, error) { w.note("body"); return w.ResponseWriter.Write(b) }

func TestAnOutcomeThatCannotBeStoredIsSentAllTheSame(t *testing.T) {
	s := serve(t, options{guard: idempotency.Config{Lease: 200 * time.Millisecond, OnUnknown: idempotency.Refuse, Wait: time.Minute}}, created)
	s.store.finish = func() error { return errDown }
	require.Equal(t, 201, s.post().StatusCode)
	s.store.finish = nil
	requireProblem(t, s.post(), 409, "outcome-unknown") // as soon as the lease has lapsed
	s.requireRan(1)
}

// Somebody else has taken the key over, and what that came to is what counts.
func TestWhoHasLostTheKeyTellsNothing(t *testing.T) {
	s := serve(t, options{}, created)
	s.store.finish = func() error { return idempotency.ErrLost }
	r := s.post()
	requireProblem(t, r, 409, "in-flight")
	require.NotContains(t, r.body, "socks")
	require.Empty(t, r.Header.Get("Location"))
}

func TestWhatWasSentWhileTheHandlerRanIsNeverRunAgain(t *testing.T) {
	const room = 1 << 20
	large := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", "yes")
			w.WriteHeader(201)
			for left := n; left > 0; left -= 1 << 10 {
				_, _ = io.WriteString(w, strings.Repeat("a", min(left, 1<<10)))
			}
		}
	}
	for name, test := range map[string]struct {
		handler    http.HandlerFunc
		status     int
		size       int
		replayable bool
	}{
		"1 MiB":            {large(room), 201, room, true},
		"1 MiB and 1 byte": {large(room + 1), 201, room + 1, false},
		"3 MiB":            {large(3 * room), 201, 3 * room, false},
		"in one piece": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", "yes")
			w.WriteHeader(201)
			_, _ = w.Write(make([]byte, room+1))
		}, 201, room + 1, false},
		"flushed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", "yes")
			w.WriteHeader(201)
			_, _ = io.WriteString(w, "first ")
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "second")
		}, 201, 12, false},
		"flushed before anything is written": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", "yes")
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
		}, 200, 0, false},
		"hijacked": {func(w http.ResponseWriter, _ *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			if _, err := w.Write(nil); err != http.ErrHijacked {
				panic(err)
			}
			_, _ = rw.WriteString("HTTP/1.1 201 Created\r\nX-Large: yes\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmine")
			_ = rw.Flush()
		}, 201, 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, options{}, test.handler)
			r := s.post()
			require.Equal(t, test.status, r.StatusCode)
			require.Equal(t, "yes", r.Header.Get("X-Large"))
			require.Len(t, r.body, test.size)
			for range 2 {
				again := s.post()
				if test.replayable {
					require.Equal(t, r.body, again.body)
					continue
				}
				requireProblem(t, again, 409, "not-replayable")
				require.Empty(t, again.Header.Get("Retry-After"))
			}
			s.requireRan(1)
		})
	}
}

func TestAFailureThatWasFlushedIsUnknown(t *testing.T) {
	s := serve(t, options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		w.(http.Flusher).Flush()
	})
	require.Equal(t, 500, s.post().StatusCode)
	s.post()
	s.requireRan(2)
}

func TestBodiesUpToTheLimit(t *testing.T) {
	const limit = 1 << 20
	for name, chunked := range map[string]bool{"with a length": false, "chunked": true} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, options{}, func(w http.ResponseWriter, r *http.Request) {
				n, err := io.Copy(io.Discard, r.Body)
				fmt.Fprint(w, n, r.ContentLength, err)
			})
			send := func(key string, n int) reply {
				var body io.Reader = bytes.NewReader(make([]byte, n))
				if chunked {
					body = struct{ io.Reader }{body}
				}
				r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.address, body)
				require.NoError(t, err)
				r.Header.Set("Idempotency-Key", key)
				res, err := client.Do(r)
				require.NoError(t, err)
				return read(t, res)
			}
			require.Equal(t, fmt.Sprint(limit, limit, nil), send("a", limit).body)
			requireProblem(t, send("b", limit+1), 413, "body-too-large")
			s.requireRan(1)
			require.Equal(t, "00<nil>", strings.ReplaceAll(send("b", 0).body, " ", ""))
		})
	}
}

// A wire is a client that sees what comes to the byte.
type wire struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (s *service) dial() *wire {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(s.t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	return &wire{s.t, conn, bufio.NewReader(conn)}
}

// request sends lines; what follows an empty one is the body.
func (w *wire) request(lines ...string) {
	w.t.Helper()
	at := slices.Index(lines, "")
	head := append([]string{lines[0], "Host: localhost"}, lines[1:at]...)
	_, err := io.WriteString(w, strings.Join(head, "\r\n")+"\r\n\r\n"+strings.Join(lines[at+1:], "\r\n"))
	require.NoError(w.t, err)
}

func (w *wire) response() reply {
	w.t.Helper()
	res, err := http.ReadResponse(w.r, nil)
	require.NoError(w.t, err)
	return read(w.t, res)
}

func TestExpectContinue(t *testing.T) {
	s := serve(t, options{}, created)
	c := s.dial()
	for n := range 2 {
		c.request("POST /orders HTTP/1.1", "Idempotency-Key: k", "Expect: 100-continue", "Content-Length: 5", "")
		line, err := c.r.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
		_, err = c.r.ReadString('\n')
		require.NoError(t, err)
		_, err = io.WriteString(c, "socks")
		require.NoError(t, err)
		r := c.response()
		require.Equal(t, "order of socks", r.body)
		require.Equal(t, n > 0, r.Header.Get("Idempotency-Replayed") == "true")
	}
	s.requireRan(1)

	c = s.dial()
	c.request("POST /orders HTTP/1.1", "Idempotency-Key: l", "Expect: 100-continue", "Content-Length: 1048577", "")
	requireProblem(t, c.response(), 413, "body-too-large") // no 100: nothing is sent for nothing
	c = s.dial()
	c.request("POST /orders HTTP/1.1", "Expect: 100-continue", "Content-Length: 5", "")
	requireProblem(t, c.response(), 400, "key-missing")
	s.requireRan(1)
}

func TestAChunkedBodyIsReadToItsEnd(t *testing.T) {
	s := serve(t, options{}, created)
	c := s.dial()
	for _, chunks := range []string{"5\r\nsocks\r\n0\r\n\r\n", "2\r\nso\r\n3\r\ncks\r\n0\r\n\r\n"} {
		c.request("POST /orders HTTP/1.1", "Idempotency-Key: k", "Transfer-Encoding: chunked", "", chunks)
		require.Equal(t, "order of socks", c.response().body)
	}
	require.Equal(t, "order of socks", s.post().body, "the same with a length")
	s.requireRan(1)
}

// An upload that is cut off is no request: the key is as if it had never come.
func TestAnUploadThatIsCutOffRunsNothing(t *testing.T) {
	s := serve(t, options{}, created)
	c := s.dial()
	c.request("POST /orders HTTP/1.1", "Idempotency-Key: k", "Content-Length: 5", "", "soc")
	require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
	requireProblem(t, c.response(), 400, "body-unreadable")
	s.requireRan(0)
	require.Equal(t, 201, s.post().StatusCode)
}

// The customer has refreshed before the answer came: the connection is cut while the handler runs.
func TestAClientThatHasGone(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc // when the client has gone
		next    string
	}{
		"done all the same":        {created, "replayed"},
		"given up with status 4xx": {status(499), "recovered"},
		"given up with status 5xx": {status(500), "recovered"},
		"did nothing":              {status(429), "ran"},
	} {
		t.Run(name, func(t *testing.T) {
			begun, ended := make(chan struct{}), make(chan struct{})
			s := serve(t, options{guard: idempotency.Config{Wait: time.Minute}}, func(w http.ResponseWriter, r *http.Request) {
				close(begun)
				<-r.Context().Done() // net/http sees the connection close
				test.handler(w, r)
				close(ended)
			})
			c := s.dial()
			c.request("POST /orders HTTP/1.1", "Idempotency-Key: k", "Content-Length: 5", "", "socks")
			<-begun
			require.NoError(t, c.Close())
			<-ended
			s.now(func(w http.ResponseWriter, r *http.Request) {
				e, _ := idempotency.FromContext(r.Context())
				w.Header().Set("Location", map[bool]string{true: "recovered", false: "ran"}[e.Recovered])
			})
			r := s.post()
			if test.next == "replayed" {
				require.Equal(t, "order of socks", r.body)
				require.Equal(t, "true", r.Header.Get("Idempotency-Replayed"))
				return
			}
			require.Equal(t, test.next, r.Header.Get("Location"))
		})
	}
}

func TestWhatNetHTTPOffersIsThereStill(t *testing.T) {
	s := serve(t, options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(200)
		w.WriteHeader(500) // too late
		w.Header().Set("X-Late", "too late")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-More", "2")
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			panic(err)
		}
	})
	c := s.dial()
	c.request("POST / HTTP/1.1", "Idempotency-Key: k", "Content-Length: 0", "")
	line, err := c.r.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 103 Early Hints\r\n", line)
	for line != "\r\n" {
		line, err = c.r.ReadString('\n')
		require.NoError(t, err)
	}
	r := c.response()
	require.Equal(t, "body", r.body)
	require.Equal(t, 200, r.StatusCode)
	require.Empty(t, r.Header.Get("X-Late"))
	require.Equal(t, http.Header{"X-Sum": {"1"}, "X-More": {"2"}}, r.Trailer)

	s = serve(t, options{}, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(204)
		if _, err := w.Write([]byte("body")); err != http.ErrBodyNotAllowed {
			panic(err)
		}
	})
	require.Equal(t, 204, s.post().StatusCode)
	require.Equal(t, 204, s.post().StatusCode)
	s.requireRan(1)

	s = serve(t, options{}, status(42))
	c = s.dial()
	c.request("POST / HTTP/1.1", "Idempotency-Key: k", "Content-Length: 0", "")
	_, err = c.r.ReadByte()
	require.Error(t, err, "an invalid status is a panic, as without us")
}

func TestAHeaderThatWasSetOutsideStays(t *testing.T) {
	s := serve(t, options{outer: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Strict-Transport-Security", "max-age=1")
			next.ServeHTTP(w, r)
		})
	}}, created)
	for _, key := range []string{"k", "k", ""} {
		require.Equal(t, "max-age=1", s.send("POST /orders", "socks", "Idempotency-Key: "+key).Header.Get("Strict-Transport-Security"))
	}
}

func TestAllFaultsOfAConfigurationAreTold(t *testing.T) {
	_, err := httpidempotency.New(httpidempotency.Config{Methods: []string{}, MaxBody: -1, MaxResponse: -1, Headers: []string{"set-cookie", "a b"}})
	require.EqualError(t, err, strings.Join([]string{
		"httpidempotency: Config.Guard must be set, got nil",
		"httpidempotency: Config.Scope must be set, got nil",
		"httpidempotency: Config.Methods must be nil, or name one, got []",
		"httpidempotency: Config.MaxBody must be >= 0, got -1",
		"httpidempotency: Config.MaxResponse must be >= 0, got -1",
		`httpidempotency: Config.Headers must not hold Connection, Content-Length, Keep-Alive, Set-Cookie, Trailer, Transfer-Encoding, Upgrade, got "Set-Cookie"`,
		`httpidempotency: Config.Headers must hold names of headers, got "a b"`,
	}, "\n"))
	guard := idempotency.MustNew(idempotency.Config{OnUnknown: idempotency.Rerun, MaxOutcome: 10_000})
	scope := func(*http.Request) (string, error) { return "the tenant", nil }
	_, err = httpidempotency.New(httpidempotency.Config{Guard: guard, Scope: scope, Methods: []string{"post"}})
	require.EqualError(t, err, `httpidempotency: Config.Methods must be in capitals, got "post"`+"\n"+
		"httpidempotency: Config.MaxResponse must be <= 5904, which MaxOutcome of the guard leaves, got 1048576")
	_, err = httpidempotency.New(httpidempotency.Config{Guard: guard, Scope: scope, MaxResponse: 5904})
	require.NoError(t, err)
	require.Panics(t, func() { httpidempotency.MustNew(httpidempotency.Config{}) })
}

// Planted: middleware.go: no look at PostForm, or at what is left of the body; Scope before the body is read → one order gets the response of another
func TestABodyThatWasReadBefore(t *testing.T) {
	form := "Content-Type: application/x-www-form-urlencoded"
	handler := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "order of ", r.FormValue("what")) }
	requireBoth := func(t *testing.T, s *service) {
		t.Helper()
		for range 2 {
			require.Equal(t, "order of socks", s.send("POST /orders", "what=socks", "Idempotency-Key: k", form).body)
		}
		requireProblem(t, s.send("POST /orders", "what=shoes", "Idempotency-Key: k", form), 422, "mismatch")
		s.requireRan(1)
	}
	before := func(look func(*http.Request)) options {
		return options{outer: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { look(r); next.ServeHTTP(w, r) })
		}}
	}
	t.Run("as a form", func(t *testing.T) {
		requireBoth(t, serve(t, before(func(r *http.Request) { _ = r.PostFormValue("token") }), handler))
	})
	t.Run("by Scope", func(t *testing.T) {
		requireBoth(t, serve(t, options{http: httpidempotency.Config{Scope: func(r *http.Request) (string, error) { return "tenant" + r.FormValue("tenant"), nil }}}, handler))
	})
	t.Run("as it is", func(t *testing.T) {
		s := serve(t, before(func(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }), handler)
		requireProblem(t, s.post(), 500, "body-consumed")
		require.Equal(t, 200, s.send("POST /orders", "", "Idempotency-Key: k").StatusCode, "there was none")
		s.requireRan(1)
	})
	t.Run("as it is, after a look for a form", func(t *testing.T) {
		s := serve(t, before(func(r *http.Request) { _ = r.FormValue("debug"); _, _ = io.Copy(io.Discard, r.Body) }), handler)
		requireProblem(t, s.post("Content-Type: application/json"), 500, "body-consumed")
	})
	t.Run("as a form in parts", func(t *testing.T) {
		s := serve(t, before(func(r *http.Request) { _ = r.ParseMultipartForm(1 << 20) }), handler)
		body := "--b\r\nContent-Disposition: form-data; name=what\r\n\r\nsocks\r\n--b--\r\n"
		requireProblem(t, s.send("POST /orders", body, "Idempotency-Key: k", "Content-Type: multipart/form-data; boundary=b"), 500, "body-consumed")
		s.requireRan(0)
	})
}

func TestARequestWithoutABody(t *testing.T) {
	s := serve(t, options{outer: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { r.Body = nil; r.ContentLength = 0; next.ServeHTTP(w, r) })
	}}, created)
	require.Equal(t, "order of ", s.post().body)
}

// A group of routes is guarded, and one of them once more.
func TestAHandlerThatIsGuardedTwiceRunsOnce(t *testing.T) {
	var s *service
	s = serve(t, options{}, func(w http.ResponseWriter, r *http.Request) { s.m.Wrap(http.HandlerFunc(created)).ServeHTTP(w, r) })
	require.Equal(t, "order of socks", s.post().body)
	require.Equal(t, "true", s.post().Header.Get("Idempotency-Replayed"))
	s.requireRan(1)
}

func TestAnUnknownOutcomeCanBeResolved(t *testing.T) {
	s := serve(t, options{guard: idempotency.Config{OnUnknown: idempotency.Refuse}}, status(500))
	require.Equal(t, 500, s.post().StatusCode)
	requireProblem(t, s.post(), 409, "outcome-unknown")
	err := s.m.Resolve(t.Context(), "the tenant", "k", httpidempotency.Response{Status: 100, Body: []byte("a")})
	require.EqualError(t, err, "httpidempotency: Response.Status must be between 200 and 999, got 100\nhttpidempotency: Response.Body must be empty with this status, got 1 bytes")
	for _, name := range []string{"Set-Cookie", "Content-Length", "location", "X-Trace"} {
		err := s.m.Resolve(t.Context(), "the tenant", "k", httpidempotency.Response{Status: 200, Header: http.Header{name: {"1"}}})
		require.EqualError(t, err, fmt.Sprintf("httpidempotency: Response.Header must hold only those of Config.Headers, in canonical form, got %q", name))
	}
	require.ErrorContains(t, s.m.Resolve(t.Context(), "the tenant", "k", httpidempotency.Response{Status: 200, Body: make([]byte, 3<<20)}), "more than MaxOutcome")
	require.NoError(t, s.m.Resolve(t.Context(), "the tenant", "k", httpidempotency.Response{Status: 201, Header: http.Header{"Location": {"/orders/1"}}, Body: []byte("order")}))
	r := s.post()
	require.Equal(t, 201, r.StatusCode)
	require.Equal(t, "order", r.body)
	require.Equal(t, "/orders/1", r.Header.Get("Location"))
	require.ErrorIs(t, s.m.Resolve(t.Context(), "the tenant", "k", httpidempotency.Response{Status: 201}), idempotency.ErrNothingToResolve)

	require.Equal(t, 500, s.send("POST /orders", "socks", "Idempotency-Key: l").StatusCode)
	require.NoError(t, s.m.Resolve(t.Context(), "the tenant", "l", httpidempotency.Response{}))
	s.now(created)
	require.Equal(t, 201, s.send("POST /orders", "socks", "Idempotency-Key: l").StatusCode)
	s.requireRan(3)
}

// A codec knows nothing of responses.
type noCodec struct{}

func (noCodec) Marshal(any) ([]byte, error) { return nil, errors.New("no codec") }
func (noCodec) Unmarshal([]byte, any) error { return errors.New("no codec") }

func TestTheCodecOfTheGuardIsNotUsed(t *testing.T) {
	s := serve(t, options{guard: idempotency.Config{Codec: noCodec{}}}, created)
	s.post()
	require.Equal(t, "order of socks", s.post().body)
	s.now(func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() })
	s.send("POST /orders", "", "Idempotency-Key: l")
	requireProblem(t, s.send("POST /orders", "", "Idempotency-Key: l"), 409, "not-replayable")
}

func TestContentLengthIsKept(t *testing.T) {
	s := serve(t, options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "hello")
		if _, err := io.WriteString(w, " world"); err != http.ErrContentLength {
			panic(err)
		}
	})
	for range 2 {
		require.Equal(t, "hello", s.post().body)
	}
	s.requireRan(1)
}

func TestFlushesMayBeIgnored(t *testing.T) {
	s := serve(t, options{http: httpidempotency.Config{IgnoreFlush: true}}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
	})
	require.Equal(t, "hello", s.post().body)
	again := s.post()
	require.Equal(t, "hello", again.body)
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
}

// What a handler has set for hints must not be on another answer.
func TestHintsLeaveNothingBehind(t *testing.T) {
	s := serve(t, options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "session=secret")
		w.WriteHeader(http.StatusEarlyHints)
	})
	s.store.finish = func() error { return idempotency.ErrLost }
	r := s.post()
	requireProblem(t, r, 409, "in-flight")
	require.Empty(t, r.Header.Get("Set-Cookie"))
}

func TestWhatWasWrittenIsSentBeforeAHijack(t *testing.T) {
	s := serve(t, options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "hello")
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = rw.WriteString("world")
		_ = rw.Flush()
	})
	require.Equal(t, "helloworld", s.post().body)
	requireProblem(t, s.post(), 409, "not-replayable")
}

func TestHeadersOfSecurityComeBack(t *testing.T) {
	s := serve(t, options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		http.Error(w, "bad", 400)
	})
	s.post()
	again := s.post()
	require.Equal(t, "no-store", again.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", again.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "default-src 'none'", again.Header.Get("Content-Security-Policy"))
}

// The store is down, and yet the next system can tell the requests apart, and together.
func TestWhoPassesUnguardedHasItsDownstreamKey(t *testing.T) {
	s := serve(t, options{http: httpidempotency.Config{FailOpen: true}}, func(w http.ResponseWriter, r *http.Request) {
		e, ok := idempotency.FromContext(r.Context())
		fmt.Fprint(w, e.DownstreamKey("ledger"), ok)
	})
	guarded := s.post().body
	s.store.down.Store(true)
	require.Equal(t, guarded, s.post().body)
	require.NotEqual(t, guarded, s.post("Tenant: another").body)
}

func TestScopeMayReadTheBody(t *testing.T) {
	s := serve(t, options{http: httpidempotency.Config{Scope: func(r *http.Request) (string, error) {
		body, err := io.ReadAll(r.Body)
		return "tenant " + string(body), err
	}}}, created)
	require.Equal(t, "order of socks", s.post().body)
}

// net/http removes the files of its own request alone, and the handler has another.
func TestFilesOfAFormAreRemoved(t *testing.T) {
	var path string
	s := serve(t, options{}, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1); err != nil {
			panic(err)
		}
		f, err := r.MultipartForm.File["file"][0].Open()
		if err != nil {
			panic(err)
		}
		path = f.(*os.File).Name()
		_ = f.Close()
	})
	body := "--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n" + strings.Repeat("socks", 1000) + "\r\n--b--\r\n"
	require.Equal(t, 200, s.send("POST /orders", body, "Idempotency-Key: k", "Content-Type: multipart/form-data; boundary=b").StatusCode)
	require.NotEmpty(t, path)
	require.NoFileExists(t, path)
}

func TestAResponseThatWasCutShortIsNotReplayed(t *testing.T) {
	s := serve(t, options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "50")
		_, _ = io.WriteString(w, "too short")
	})
	c := s.dial()
	c.request("POST /orders HTTP/1.1", "Idempotency-Key: k", "Content-Length: 5", "", "socks")
	res, err := http.ReadResponse(c.r, nil)
	require.NoError(t, err)
	_, err = io.ReadAll(res.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	requireProblem(t, s.post(), 409, "not-replayable")
	s.requireRan(1)
}

// The outer guard lets pass what it cannot ask about; the inner one can.
func TestAnInnerGuardWithTheSameScopeStillGuards(t *testing.T) {
	inner := serve(t, options{}, created) // its middleware is borrowed
	s := serve(t, options{http: httpidempotency.Config{FailOpen: true}}, func(w http.ResponseWriter, r *http.Request) {
		inner.m.Wrap(http.HandlerFunc(created)).ServeHTTP(w, r)
	})
	s.store.down.Store(true)
	require.Empty(t, s.post().Header.Get("Idempotency-Replayed"))
	require.Equal(t, "true", s.post().Header.Get("Idempotency-Replayed"))
}
