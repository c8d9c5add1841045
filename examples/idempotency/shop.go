package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// The kinds of services.
const (
	naive     = "naive"
	markFirst = "mark-first"
	guarded   = "guarded"
)

var kinds = []string{naive, markFirst, guarded}

// A life is what a process of a service is started with.
type life struct {
	Kind    string
	File    string // of the ledger
	Address string // to listen at
	Point   string // where the process kills itself, if it does
	After   int    // when it comes there for the n-th time
}

// lifeVariable makes a process of this program a service. It holds a life as JSON.
const lifeVariable = "STEADY_EXAMPLE_SHOP"

// Where a process kills itself.
const (
	beforeEffect = "before the order is placed"
	afterEffect  = "after the order is placed"
	beforeAnswer = "before the answer is sent"
)

// A shop is the service in its process. It ends with that.
type shop struct {
	life
	db     *bbolt.DB
	passed atomic.Int32 // the point
}

// runAsShop is the process of a service, if this is one.
func runAsShop() {
	text := os.Getenv(lifeVariable)
	if text == "" {
		return
	}
	var s shop
	err := json.Unmarshal([]byte(text), &s.life)
	if err == nil {
		err = s.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (s *shop) run() (err error) {
	if s.db, err = bbolt.Open(s.File, 0o600, &bbolt.Options{Timeout: 10 * time.Second}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.db.Close()) }()
	if err := s.db.Update(createLedger); err != nil {
		return err
	}
	handler, err := map[string]func(*shop) (http.Handler, error){naive: newNaive, markFirst: newMarkFirst, guarded: newGuarded}[s.Kind](s)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.Address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.beforeAnswers(handler), ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// at is where a process may be killed. A SIGKILL cannot be handled: nothing is closed, and nothing written any more.
func (s *shop) at(point string) {
	if point == s.Point && int(s.passed.Add(1)) == s.After {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// beforeAnswers is at beforeAnswer before any answer is sent.
func (s *shop) beforeAnswers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&answer{w, s}, r) })
}

type answer struct {
	http.ResponseWriter
	s *shop
}

func (w *answer) WriteHeader(status int) {
	w.s.at(beforeAnswer)
	w.ResponseWriter.WriteHeader(status)
}

func (w *answer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// The ledger is a bucket with what was ordered, by the number of the order.
var ledger = []byte("ledger")

func createLedger(tx *bbolt.Tx) error {
	_, err := tx.CreateBucketIfNotExists(ledger)
	return err
}

// place places an order in the ledger, and returns its number.
func place(tx *bbolt.Tx, what []byte) (string, error) {
	b := tx.Bucket(ledger)
	n, err := b.NextSequence()
	if err != nil {
		return "", err
	}
	number := strconv.FormatUint(n, 10)
	return number, b.Put([]byte(number), what)
}

// placeNow places an order in a transaction of its own.
func (s *shop) placeNow(what []byte) (number string, err error) {
	err = s.db.Update(func(tx *bbolt.Tx) (err error) {
		number, err = place(tx, what)
		return err
	})
	return number, err
}

// placed answers with the number of an order.
func placed(w http.ResponseWriter, number string) {
	w.Header().Set("Location", "/orders/"+number)
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintln(w, number)
}

// broken is the answer when something fails that is none of the customer's business.
func broken(w http.ResponseWriter, err error) {
	fmt.Fprintln(os.Stderr, "shop:", err)
	http.Error(w, "the order could not be placed", http.StatusInternalServerError)
}
