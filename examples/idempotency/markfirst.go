package main

import (
	"io"
	"net/http"

	"go.etcd.io/bbolt"
)

// marks is a bucket with the keys that were seen.
var marks = []byte("marks")

// newMarkFirst returns the service that marks the key, and then places the order. What it has marked it takes for placed.
func newMarkFirst(s *shop) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		key, seen := []byte(r.Header.Get("Idempotency-Key")), false
		err = s.db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(marks)
			if err != nil {
				return err
			}
			seen = b.Get(key) != nil
			return b.Put(key, []byte("seen"))
		})
		if err != nil {
			broken(w, err)
			return
		}
		if seen {
			placed(w, "?") // it has no number to tell
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
