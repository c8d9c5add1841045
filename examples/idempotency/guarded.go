package main

import (
	"errors"
	"io"
	"net/http"
	"time"

	"go.etcd.io/bbolt"

	steadybbolt "github.com/steady-go/steady/contrib/bbolt"
	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/idempotency/httpidempotency"
)

// newGuarded returns the service to copy.
//
// The guard keeps the keys in the file of the ledger. It lets one request with a key through at a time, and gives the others the answer of that. After a kill it cannot
// know how far the request was that was under way, so it makes the call again (Rerun), and the handler finds out: the order is in the ledger under
// the call's own key, or it is not.
func newGuarded(s *shop) (http.Handler, error) {
	store, err := steadybbolt.New(steadybbolt.Config{DB: s.db})
	if err != nil {
		return nil, err
	}
	guard, err := idempotency.New(idempotency.Config{
		Scope:     "orders",
		Store:     store,
		OnUnknown: idempotency.Rerun,
		Wait:      2 * time.Second, // who refreshes waits for the answer to the first request
	})
	if err != nil {
		return nil, err
	}
	m, err := httpidempotency.New(httpidempotency.Config{
		Guard: guard,
		Scope: func(r *http.Request) (string, error) { return "the only tenant", nil },
	})
	if err != nil {
		return nil, err
	}
	return m.Wrap(http.HandlerFunc(s.placeGuarded)), nil
}

// byKey is a bucket with the numbers of orders, by the keys under which they were placed.
var byKey = []byte("by key")

func (s *shop) placeGuarded(w http.ResponseWriter, r *http.Request) {
	what, err := io.ReadAll(r.Body)
	if err != nil {
		broken(w, err)
		return
	}
	e, ok := idempotency.FromContext(r.Context())
	if !ok {
		broken(w, errors.New("this handler needs a guard"))
		return
	}
	key := []byte(e.DownstreamKey("ledger")) // the same in each attempt
	s.at(beforeEffect)
	var number string
	err = s.db.Update(func(tx *bbolt.Tx) (err error) {
		b, err := tx.CreateBucketIfNotExists(byKey)
		if err != nil {
			return err
		}
		if n := b.Get(key); n != nil { // an earlier attempt came so far
			number = string(n)
			return nil
		}
		if number, err = place(tx, what); err != nil {
			return err
		}
		return b.Put(key, []byte(number))
	})
	if err != nil {
		broken(w, err)
		return
	}
	s.at(afterEffect)
	placed(w, number)
}
