// Package httpidempotency guards the handlers of net/http by the Idempotency-Key header, so that a request that is sent again
// is answered with the response of the first and not done again.
//
//	guarded, err := httpidempotency.New(httpidempotency.Config{
//		Guard: guard,
//		Scope: func(r *http.Request) (string, error) { return tenantOf(r) }, // after authentication
//	})
//	mux.Handle("POST /orders", guarded.Wrap(placeOrder))
//
// The header is that of the IETF draft draft-ietf-httpapi-idempotency-key-header. What a handler answers decides what the next request with the same key gets:
//
//	2xx, 3xx, 4xx                        the same response
//	408, 425, 429, and 409 or 503 with   its handler runs: this one says that it did nothing
//	Retry-After
//	other 5xx, a panic, and 4xx to a     nobody knows: as OnUnknown of the guard says
//	client that has gone
//	flushed, hijacked or too large       status 409: it is done, but the response is not there any more
//
// The response is stored first and written then: a client never holds a 201 that the store has not. If it cannot be stored the
// client gets it all the same, and the outcome is unknown to the next. A handler that flushes, hijacks or writes more than MaxResponse answers while it runs.
//
// What the middleware itself answers is application/problem+json (RFC 9457), with a type of its own each:
//
//	400 key-missing, key-malformed, body-unreadable    409 in-flight (with Retry-After), outcome-unknown, not-replayable
//	403 no-scope                                       413 body-too-large
//	422 mismatch                                       500 body-consumed
//	                                                   503 store (with Retry-After)
//
// Trailers do not come back. The middleware must stand outside of whatever reads the body, and inside of authentication. When a handler times out, as under [http.TimeoutHandler], and works on, the next attempt may meet it.
package httpidempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/internal/check"
)

// Config is the configuration of a [Middleware]. Guard and Scope are required.
type Config struct {
	// Guard keeps the keys. Its MaxOutcome must leave 4 KiB for the headers beside MaxResponse. Its Codec is not used. Its Wait is how long a
	// duplicate in flight is held before it gets status 409.
	Guard *idempotency.Guard

	// Scope returns whose key it is, such as the tenant or the user, so that the keys of two of them never meet. It is called after
	// authentication, if that stands outside of this middleware. An error, and an empty scope, is answered by status 403. A service that
	// has one user only returns a constant.
	Scope func(*http.Request) (string, error)

	// Methods are those that are guarded. nil means POST and PATCH: the others are idempotent by RFC 9110.
	Methods []string

	// Optional lets requests pass, unguarded, that have no key. Otherwise they get status 400.
	Optional bool

	// MaxBody is how many bytes the body of a request may have, which is read into memory before the handler runs. 0 means 1 MiB.
	MaxBody int64

	// MaxResponse is how many bytes of a response's body are kept. 0 means 1 MiB.
	MaxResponse int

	// IgnoreFlush lets flushes of the handler do nothing, so that its response can be replayed: for handlers that flush without streaming, such as
	// [net/http/httputil.ReverseProxy] where the length of a response is not known.
	IgnoreFlush bool

	// Headers are those of a response that are stored and come back with it. nil means Content-Type, Content-Language, Content-Encoding,
	// Content-Disposition, Location, ETag, Last-Modified, Link, Vary, Cache-Control, WWW-Authenticate, Content-Security-Policy and X-Content-Type-Options. Set-Cookie never
	// is, whoever asks: it may let someone in.
	Headers []string

	// FailOpen runs the handler unguarded when the store is down. Otherwise the request gets status 503: rather no order than two. What passes is
	// counted, see [Stats]. The handler finds an execution in its context whose DownstreamKey is the same as always, and which says Recovered.
	FailOpen bool
}

const (
	defaultMaxBody     = 1 << 20
	defaultMaxResponse = 1 << 20
)

var (
	defaultMethods = []string{http.MethodPost, http.MethodPatch}
	defaultHeaders = []string{
		"Content-Type", "Content-Language", "Content-Encoding", "Content-Disposition", "Location", "Etag", "Last-Modified", "Link",
		"Vary", "Cache-Control", "Www-Authenticate", "Content-Security-Policy", "X-Content-Type-Options",
	}
)

// The headers of the protocol.
const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotency-Replayed" // "true" on a response that was stored
)

// A Middleware guards handlers. It is made by [New], and may be used by several goroutines at once.
type Middleware struct {
	c          Config
	headers    []string
	failedOpen atomic.Uint64
}

// ofTheConnection are headers that belong to one response on the wire, and those that are never stored.
var ofTheConnection = []string{"Connection", "Content-Length", "Keep-Alive", "Set-Cookie", "Trailer", "Transfer-Encoding", "Upgrade"}

// headersRoom is how much of MaxOutcome is left for headers.
const headersRoom = 4 << 10

// New returns a middleware, or an error that names every fault of c.
func New(c Config) (*Middleware, error) {
	f := check.Config("httpidempotency: Config")
	f.Require(c.Guard != nil, "Guard", "be set", "nil")
	f.Require(c.Scope != nil, "Scope", "be set", "nil")
	f.Require(c.Methods == nil || len(c.Methods) > 0, "Methods", "be nil, or name one", c.Methods)
	for _, m := range c.Methods {
		f.Require(m != "" && m == strings.ToUpper(m), "Methods", "be in capitals", fmt.Sprintf("%q", m))
	}
	f.Require(c.MaxBody >= 0, "MaxBody", "be >= 0", c.MaxBody)
	f.Require(c.MaxResponse >= 0, "MaxResponse", "be >= 0", c.MaxResponse)
	if c.MaxResponse == 0 {
		c.MaxResponse = defaultMaxResponse
	}
	if c.Guard != nil {
		most := c.Guard.MaxOutcome() - headersRoom
		f.Require(c.MaxResponse <= most, "MaxResponse", fmt.Sprintf("be <= %d, which MaxOutcome of the guard leaves", most), c.MaxResponse)
	}
	headers := make([]string, 0, len(c.Headers))
	for _, h := range c.Headers {
		h = http.CanonicalHeaderKey(h)
		f.Require(!slices.Contains(ofTheConnection, h), "Headers", "not hold "+strings.Join(ofTheConnection, ", "), fmt.Sprintf("%q", h))
		f.Require(h != "" && !strings.ContainsFunc(h, notOfToken), "Headers", "hold names of headers", fmt.Sprintf("%q", h))
		headers = append(headers, h)
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	if c.Headers == nil {
		headers = defaultHeaders
	}
	if c.Methods == nil {
		c.Methods = defaultMethods
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	return &Middleware{c: c, headers: headers}, nil
}

// notOfToken reports whether a name of a header may not have c (RFC 9110, section 5.6.2).
func notOfToken(c rune) bool {
	return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
}

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Middleware { return check.Must(New(c)) }

// Stats is what a [Middleware] has done so far, beside what [idempotency.Guard.Stats] tells.
type Stats struct {
	FailedOpen uint64 // requests that ran unguarded since the store was down
}

// Stats returns the present counts. It is cheap, and safe at any time.
func (m *Middleware) Stats() Stats { return Stats{FailedOpen: m.failedOpen.Load()} }

// Wrap returns next, guarded. It gets the whole body of the request, and a context that ends when the lease of its key is lost.
func (m *Middleware) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(m.c.Methods, r.Method) {
			next.ServeHTTP(w, r)
			return
		}
		values := r.Header.Values(keyHeader)
		if len(values) == 0 && m.c.Optional {
			next.ServeHTTP(w, r)
			return
		}
		if p := m.serve(w, r, values, next); p != nil {
			p.write(w)
		}
	})
}

// serve answers a request that is to be guarded, or returns the problem that it has.
func (m *Middleware) serve(w http.ResponseWriter, r *http.Request, values []string, next http.Handler) *problem {
	key, p := keyOf(values)
	if p != nil {
		return p
	}
	body, p := m.read(w, r)
	if p != nil {
		return p
	}
	asked := fingerprint(r, body)
	whole := func() io.ReadCloser { return io.NopCloser(bytes.NewReader(body)) }
	r.Body, r.ContentLength, r.TransferEncoding = whole(), int64(len(body)), nil
	scope, err := m.c.Scope(r)
	if err != nil || scope == "" {
		return &problem{status: http.StatusForbidden, code: "no-scope", detail: "nobody is known to whom the key belongs"}
	}
	r.Body = whole() // Scope may have read it
	if key = idempotency.Join(scope, key); m.c.Guard.Holds(r.Context(), key) {
		next.ServeHTTP(w, r) // it is guarded already, further out
		return nil
	}

	rec := newRecorder(w, m.c)
	o, info, err := idempotency.Do(r.Context(), m.c.Guard, key, asked, func(ctx context.Context) (idempotency.Outcome, error) {
		r := r.WithContext(ctx)
		defer func() {
			if r.MultipartForm != nil { // net/http removes those of its own request alone
				_ = r.MultipartForm.RemoveAll()
			}
		}()
		next.ServeHTTP(rec, r)
		return rec.end(ctx, m.headers)
	})
	switch {
	case info.Attempt > 0 && !errors.Is(err, idempotency.ErrLost):
		rec.send() // store first, write then
		return nil
	case info.Attempt > 0:
		if rec.live {
			return nil // it is sent
		}
		return inFlight(time.Second) // who has taken over knows the answer that counts
	case err == nil:
		var res Response
		if err := res.unmarshal(o); err != nil {
			return notReplayable()
		}
		res.replay(w)
		return nil
	case errors.Is(err, idempotency.ErrStore) && m.c.FailOpen && r.Context().Err() == nil:
		m.failedOpen.Add(1)
		next.ServeHTTP(w, r.WithContext(m.c.Guard.Unguarded(r.Context(), key)))
		return nil
	}
	return problemOf(err)
}

// read returns the body of a request.
func (m *Middleware) read(w http.ResponseWriter, r *http.Request) ([]byte, *problem) {
	tooLarge := &problem{status: http.StatusRequestEntityTooLarge, code: "body-too-large", detail: "the body has more than " + strconv.FormatInt(m.c.MaxBody, 10) + " bytes"}
	if r.ContentLength > m.c.MaxBody {
		return nil, tooLarge // and who expects a 100 sends nothing
	}
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, m.c.MaxBody))
	_, over := errors.AsType[*http.MaxBytesError](err)
	switch {
	case over:
		return nil, tooLarge
	case err != nil:
		return nil, &problem{status: http.StatusBadRequest, code: "body-unreadable", detail: "the body could not be read to its end"}
	case r.MultipartForm != nil, len(r.PostForm) == 0 && r.ContentLength > int64(len(body)):
		// A fingerprint of what is left would be the same for all bodies. Of a body without a length it cannot be seen.
		return nil, &problem{status: http.StatusInternalServerError, code: "body-consumed", detail: "the body was read before it came to the guard"}
	}
	return body, nil
}

// fingerprint tells requests apart that have the same key. A form that was parsed already is not in the body any more.
func fingerprint(r *http.Request, body []byte) string {
	sum := sha256.Sum256(body)
	return idempotency.Join(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("Content-Type"), r.PostForm.Encode(), string(sum[:]))
}

// Resolve says what became of a request whose outcome is unknown, where the guard refuses it: later ones get res, or, if its status is 0, the
// request was not carried out, and the next one is. key is what the client has sent, without quotes. See [idempotency.Resolve].
func (m *Middleware) Resolve(ctx context.Context, scope, key string, res Response) error {
	key = idempotency.Join(scope, key)
	if res.Status == 0 {
		return idempotency.Resolve(ctx, m.c.Guard, key, idempotency.Outcome(nil), idempotency.NotApplied(errors.New("not carried out")))
	}
	if err := res.check(m.headers); err != nil {
		return err
	}
	return idempotency.Resolve(ctx, m.c.Guard, key, res.marshal(), nil)
}

// A problem is an answer of the middleware's own.
type problem struct {
	status     int
	code       string
	detail     string
	retryAfter time.Duration // 0: none
}

// typePrefix makes the types of problems, which are names and lead nowhere.
const typePrefix = "urn:steady:idempotency:"

func (p *problem) write(w http.ResponseWriter) {
	body, _ := json.Marshal(map[string]any{ // of strings and a number, which cannot fail
		"type": typePrefix + p.code, "title": http.StatusText(p.status), "status": p.status, "detail": p.detail,
	})
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retryAfter+time.Second-1)/time.Second)))
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(body)
}

func inFlight(after time.Duration) *problem {
	return &problem{status: http.StatusConflict, code: "in-flight", detail: "a request with this key is being handled", retryAfter: max(after, 1)}
}

func notReplayable() *problem {
	return &problem{status: http.StatusConflict, code: "not-replayable", detail: "a request with this key was carried out, and its response is not there any more"}
}

// problemOf returns the answer to a request whose handler was not run.
func problemOf(err error) *problem {
	after, _ := steady.RetryAfterOf(err)
	switch {
	case errors.Is(err, idempotency.ErrInFlight):
		return inFlight(after)
	case errors.Is(err, idempotency.ErrMismatch):
		return &problem{status: http.StatusUnprocessableEntity, code: "mismatch", detail: "this key was used for another request"}
	case errors.Is(err, idempotency.ErrUnknown):
		return &problem{status: http.StatusConflict, code: "outcome-unknown", detail: "nobody knows whether an earlier request with this key was carried out"}
	case errors.Is(err, idempotency.ErrNotReplayable), idempotency.IsFinal(err): // the latter is of no handler
		return notReplayable()
	default: // the store is down, or the client has gone, who will not read it
		return &problem{status: http.StatusServiceUnavailable, code: "store", detail: "it cannot be told whether this request was carried out before", retryAfter: time.Second}
	}
}
