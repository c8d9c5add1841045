package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
)

// A fault is a way for the origin to fail.
type fault int

const (
	none     fault = iota
	slow           // it answers well, but later than its callers wait
	erring         // it answers 503
	refusing       // its connections are reset, and new ones are refused
)

var (
	// Most answers are quick and a few are not, as with real services, and none takes no time.
	healthyTime = chaos.LogNormal(5*time.Millisecond, 0.5)
	slowTime    = chaos.Uniform(350*time.Millisecond, 450*time.Millisecond)
)

// An origin is one HTTP server, which knows all prices.
type origin struct {
	addr    string
	network network
	server  *http.Server
	draw    func(n uint64) float64 // of service times
	served  atomic.Uint64
	serving sync.WaitGroup

	mu       sync.Mutex
	fault    fault                 // guarded by mu
	listener net.Listener          // guarded by mu
	conns    map[net.Conn]struct{} // guarded by mu
}

// newOrigin starts the origin of a world, and plans what becomes of it. That and its draws are
// the same in the world's twin.
func newOrigin(w *lab.World, c config, n network) (*origin, error) {
	o := &origin{
		network: n,
		draw:    func(nth uint64) float64 { return w.Random("origin", nth) },
		conns:   make(map[net.Conn]struct{}),
	}
	o.server = &http.Server{Handler: o, ConnState: o.connState, ErrorLog: log.New(io.Discard, "", 0)}
	if err := o.start(); err != nil {
		return nil, fmt.Errorf("start the origin: %w", err)
	}
	w.Go(func() {
		<-w.Context().Done()
		o.close()
	})
	w.Rollback("heal the origin", func(context.Context) error { return o.set(none) })
	for _, s := range stages[firstFault : len(stages)-1] {
		w.Step(c.at(s.from)-c.at(stages[firstFault].from), s.name, func(context.Context) error { return o.set(s.fault) })
	}
	return o, nil
}

// start listens at a port below those that systems hand out by themselves, or an outgoing
// connection could take it while the origin refuses and keep it from coming back.
func (o *origin) start() (err error) {
	const first, ports, tries = 20000, 10000, 100
	for range tries {
		o.addr = fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(ports))
		if err = o.listen(); err == nil {
			return nil
		}
	}
	return err
}

// listen requires mu held, or that nobody else knows of o yet.
func (o *origin) listen() error {
	l, err := o.network.listen(o.addr)
	if err != nil {
		return err
	}
	o.listener = l
	o.serving.Go(func() { _ = o.server.Serve(l) }) // it ends when l is closed
	return nil
}

// set ends the origin's present fault and begins another.
func (o *origin) set(f fault) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.fault
	o.fault = f
	switch {
	case f == before:
		return nil
	case f == refusing:
		err := o.listener.Close()
		for c := range o.conns {
			reset(c)
		}
		return err
	case before == refusing:
		return o.listen()
	}
	return nil
}

// reset closes a connection so that the other side gets a reset (RST) instead of
// an orderly end, as when a process is killed or a host goes down.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// connState keeps account of the connections.
func (o *origin) connState(c net.Conn, s http.ConnState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch s {
	case http.StateNew:
		o.conns[c] = struct{}{}
		if o.fault == refusing { // accepted at the moment when the listener was closed
			reset(c)
		}
	case http.StateClosed:
		delete(o.conns, c)
	}
}

// ServeHTTP answers by the fault that the origin has when the request comes.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	f := o.fault
	o.mu.Unlock()
	takes := healthyTime
	if f == slow {
		takes = slowTime
	}
	n := o.served.Add(1)
	pause(r.Context(), takes.At(o.draw(n)))
	if f == erring {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	prices := make(map[string]price)
	for _, key := range r.URL.Query()["key"] {
		prices[key] = price{Cents: 100 + int(n%900), AsOf: time.Now()} // they change all the time
	}
	_ = json.NewEncoder(w).Encode(prices)
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// close stops the origin. The connections are closed, which ends the handlers.
func (o *origin) close() {
	_ = o.server.Close()
	o.serving.Wait()
}

// A network is how clients reach the origin.
type network struct {
	listen func(addr string) (net.Listener, error)
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

// loopback is that of this machine. The tests have another, of pipes in memory.
var loopback = network{
	listen: func(addr string) (net.Listener, error) { return net.Listen("tcp", addr) },
	dial:   new(net.Dialer).DialContext,
}
