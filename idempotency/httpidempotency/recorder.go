package httpidempotency

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/steady-go/steady/idempotency"
)

// A recorder keeps the response of a handler until it may be sent. From when the handler flushes, hijacks or has written too much it is live: what comes is
// passed on.
type recorder struct {
	w           http.ResponseWriter
	room        int
	ignoreFlush bool
	header      http.Header // as the handler sees it

	status  int         // 0 as long as the header is not written
	written http.Header // as it was then
	body    bytes.Buffer
	length  int64 // that the handler has announced, or -1
	wrote   int64 // by the handler
	live    bool
}

func newRecorder(w http.ResponseWriter, c Config) *recorder {
	return &recorder{w: w, room: c.MaxResponse, ignoreFlush: c.IgnoreFlush, header: w.Header().Clone(), length: -1}
}

// Header implements [http.ResponseWriter].
func (r *recorder) Header() http.Header {
	if r.header == nil {
		r.header = make(http.Header)
	}
	return r.header
}

// WriteHeader implements [http.ResponseWriter]. Statuses of 1xx but 101 are passed on at once, as net/http does.
func (r *recorder) WriteHeader(status int) {
	switch {
	case status < 100 || status > 999:
		panic(fmt.Sprintf("httpidempotency: invalid status %d", status)) // as net/http does
	case r.status != 0:
		return
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		before := r.w.Header().Clone()
		replace(r.w.Header(), r.header)
		r.w.WriteHeader(status)
		replace(r.w.Header(), before)
		return
	}
	r.status, r.written = status, r.header.Clone()
	if n, err := strconv.ParseInt(r.written.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		r.length = n
	}
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if !bodyAllowed(r.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if r.wrote += int64(len(b)); r.length >= 0 && r.wrote > r.length { // as net/http does
		return 0, http.ErrContentLength
	}
	if !r.live && r.body.Len()+len(b) > r.room {
		r.goLive()
	}
	if r.live {
		return r.w.Write(b)
	}
	return r.body.Write(b)
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// FlushError is how [http.ResponseController] flushes.
func (r *recorder) FlushError() error {
	r.WriteHeader(http.StatusOK)
	if r.ignoreFlush {
		return nil
	}
	r.goLive()
	return http.NewResponseController(r.w).Flush()
}

// Flush implements [http.Flusher].
func (r *recorder) Flush() { _ = r.FlushError() }

// Hijack implements [http.Hijacker]. What was written is sent before.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if r.status != 0 {
		r.goLive()
		_ = http.NewResponseController(r.w).Flush()
	}
	conn, rw, err := http.NewResponseController(r.w).Hijack()
	r.live = r.live || err == nil
	return conn, rw, err
}

// Unwrap lets [http.ResponseController] set deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.w }

// goLive sends what there is. From then on all is passed on.
func (r *recorder) goLive() {
	if r.live {
		return
	}
	r.live = true
	replace(r.w.Header(), r.written)
	r.w.WriteHeader(r.status)
	if r.body.Len() > 0 {
		_, _ = r.w.Write(r.body.Bytes())
	}
}

// send sends the response whose handler has returned.
func (r *recorder) send() {
	r.goLive()
	r.sendTrailer()
}

// sendTrailer sets the trailer: what the handler has set in its header after it was written, if it has announced it or says so by
// [http.TrailerPrefix].
func (r *recorder) sendTrailer() {
	var announced []string
	for _, line := range r.written.Values("Trailer") {
		for name := range strings.SplitSeq(line, ",") {
			announced = append(announced, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	for name, values := range r.header {
		if slices.Contains(announced, name) || strings.HasPrefix(name, http.TrailerPrefix) {
			r.w.Header()[name] = values
		}
	}
}

func replace(h, by http.Header) {
	clear(h)
	maps.Copy(h, by)
}

// end returns what the handler's response is to the guard. ctx is that of the handler: it is done when the client has gone or the lease is lost, and a
// status of 4xx may only tell of that.
func (r *recorder) end(ctx context.Context, headers []string) (idempotency.Outcome, error) {
	r.WriteHeader(http.StatusOK)
	comesBack := r.written.Get("Retry-After") != ""
	switch s := r.status; {
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s == http.StatusTooManyRequests,
		comesBack && (s == http.StatusConflict || s == http.StatusServiceUnavailable):
		return nil, idempotency.NotApplied(statusError(s))
	case s >= 500:
		return nil, statusError(s)
	case s >= 400 && ctx.Err() != nil:
		return nil, statusError(s)
	case r.live:
		return nil, idempotency.Unreplayable(errSent)
	case r.wrote < r.length && bodyAllowed(s):
		return nil, idempotency.Unreplayable(errShort)
	}
	res := Response{Status: r.status, Header: http.Header{}, Body: r.body.Bytes()}
	for _, name := range headers {
		if values, ok := r.written[name]; ok {
			res.Header[name] = values
		}
	}
	return res.marshal(), nil
}

// A statusError is the error of a response that is not stored.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("httpidempotency: status %d %s", int(e), http.StatusText(int(e)))
}

var errShort = errors.New("the response was shorter than its Content-Length")

var errSent = errors.New("the response was sent while its handler ran")
