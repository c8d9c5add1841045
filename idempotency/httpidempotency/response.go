package httpidempotency

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/http"
	"slices"
)

// A response is what is stored of one.
type response struct {
	Status int
	Header http.Header
	Body   []byte

	sent bool // it was sent while its handler ran, and cannot be replayed
}

// MarshalBinary returns the status, the number of headers, each with the number of its values, all strings with their lengths, and the body.
func (r response) MarshalBinary() ([]byte, error) {
	if r.sent {
		return nil, errSent
	}
	b := binary.AppendUvarint(nil, uint64(r.Status))
	b = binary.AppendUvarint(b, uint64(len(r.Header)))
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		b = appendString(b, name)
		b = binary.AppendUvarint(b, uint64(len(r.Header[name])))
		for _, v := range r.Header[name] {
			b = appendString(b, v)
		}
	}
	return append(b, r.Body...), nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errBroken = errors.New("httpidempotency: what was stored is no response")

// UnmarshalBinary is the reverse of MarshalBinary.
func (r *response) UnmarshalBinary(b []byte) error {
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
	got := response{Status: int(status), Header: http.Header{}}
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
func (r *response) replay(w http.ResponseWriter) {
	maps.Copy(w.Header(), r.Header)
	w.Header().Set(replayedHeader, "true")
	w.WriteHeader(r.Status)
	if bodyAllowed(r.Status) {
		_, _ = w.Write(r.Body)
	}
}
