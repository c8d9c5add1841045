package main

import (
	"io"
	"net/http"
)

// newNaive returns the service that does not look at the key.
func newNaive(s *shop) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.at(beforeEffect)
		number, err := s.placeNow(what)
		if err != nil {
			broken(w, err)
			return
		}
		s.at(afterEffect)
		placed(w, number)
	}), nil
}
