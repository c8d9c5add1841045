package httpidempotency

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/internal/check"
)

// A Response is what is stored of one.
type Response struct {
	Status int         // from 200 to 999
	Header http.Header // those of Config.Headers that it had
	Body   []byte
}

// check returns an error that names every fault of a response that somebody has made up. headers are those that are stored.
func (r Response) check(headers []string) error {
	f := check.Config("httpidempotency: Response")
	f.Require(r.Status >= 200 && r.Status <= 999, "Status", "be between 200 and 999", r.Status)
	f.Require(len(r.Body) == 0 || bodyAllowed(r.Status), "Body", "be empty with this status", fmt.Sprintf("%d bytes", len(r.Body)))
	for name := range r.Header {
		f.Require(slices.Contains(headers, name), "Header", "hold only those of Config.Headers, in canonical form", fmt.Sprintf("%q", name))
	}
	return f.Err()
}

// marshal returns the status, the number of headers, each with the number of its values, all strings with their lengths, and the body.
func (r Response) marshal() idempotency.Outcome {
	b := binary.AppendUvarint(nil, uint64(r.Status))
	b = binary.AppendUvarint(b, uint64(len(r.Header)))
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		b = appendString(b, name)
		b = binary.AppendUvarint(b, uint64(len(r.Header[name])))
		for _, v := range r.Header[name] {
			b = appendString(b, v)
		}
	}
	return append(b, r.Body...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errBroken = errors.New("httpidempotency: what was stored is no response")

// unmarshal is the reverse of marshal.
func (r *Response) unmarshal(b []byte) error {
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			b, v = nil, 1<<63 // too much of anything
			return v
		}
		b = b[n:]
		return v
	}
	text := func() (s string, ok bool) {
		n := number()
		if n > uint64(len(b)) {
			return "", false
		}
		s, b = string(b[:n]), b[n:]
		return s, true
	}
	status, headers := number(), number()
	if status < 200 || status > 999 || headers > uint64(len(b)) {
		return errBroken
	}
	got := Response{Status: int(status), Header: http.Header{}}
	for range headers {
		name, ok := text()
		values := number()
		if !ok || values > uint64(len(b)) {
			return errBroken
		}
		got.Header[name] = make([]string, 0, values)
		for range values {
			v, ok := text()
			if !ok {
				return errBroken
			}
			got.Header[name] = append(got.Header[name], v)
		}
	}
	got.Body = b
	*r = got
	return nil
}

// replay sends a response that was stored. Headers that were set outside of the middleware stay.
func (r *Response) replay(w http.ResponseWriter) {
	maps.Copy(w.Header(), r.Header)
	w.Header().Set(replayedHeader, "true")
	w.WriteHeader(r.Status)
	if bodyAllowed(r.Status) {
		_, _ = w.Write(r.Body)
	}
}
