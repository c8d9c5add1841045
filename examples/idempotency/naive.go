package main

import (
	"io"
	"net/http"

	"go.etcd.io/bbolt"
)

// newNaive returns the service that does not look at the key.
func newNaive(s *shop) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.at(beforeEffect)
		var number string
		err = s.db.Update(func(tx *bbolt.Tx) (err error) {
			number, err = place(tx, what)
			return err
		})
		if err != nil {
			broken(w, err)
			return
		}
		s.at(afterEffect)
		placed(w, number)
	}), nil
}
