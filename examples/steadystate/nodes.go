package main

import (
	"context"
	"errors"
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

// A fault is a way for a node to fail.
type fault int

const (
	none     fault = iota
	refusing       // its connections are reset, and new ones are refused
	hanging        // it accepts requests and never answers
	erring         // it works on each request for a while and then answers 500
)

var (
	// Most are quick and a few are not, as with real services, and none takes no time.
	healthyTime = chaos.LogNormal(5*time.Millisecond, 0.5)
	erringTime  = chaos.Uniform(150*time.Millisecond, 250*time.Millisecond)
)

// A node is one HTTP server on loopback.
type node struct {
	addr    string
	server  *http.Server
	draw    func(n uint64) float64 // of service times
	served  atomic.Uint64
	serving sync.WaitGroup

	mu       sync.Mutex
	fault    fault                 // guarded by mu
	listener net.Listener          // guarded by mu
	conns    map[net.Conn]struct{} // guarded by mu
}

func newNode(draw func(n uint64) float64) (*node, error) {
	n := &node{draw: draw, conns: make(map[net.Conn]struct{})}
	n.server = &http.Server{Handler: n, ConnState: n.connState, ErrorLog: log.New(io.Discard, "", 0)}
	// Below the ports that systems hand out by themselves, or an outgoing connection
	// could take the port of a node that is down and keep it from coming back.
	const first, ports, tries = 20000, 10000, 100
	var err error
	for range tries {
		n.addr = fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(ports))
		if err = n.listen(); err == nil {
			return n, nil
		}
	}
	return nil, err
}

// listen requires mu held, or that nobody else knows of n yet.
func (n *node) listen() error {
	l, err := net.Listen("tcp", n.addr)
	if err != nil {
		return err
	}
	n.listener = l
	n.serving.Go(func() { _ = n.server.Serve(l) }) // it ends when l is closed
	return nil
}

// set ends the node's present fault and begins another.
func (n *node) set(f fault) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.fault
	n.fault = f
	switch {
	case f == before:
		return nil
	case f == refusing:
		err := n.listener.Close()
		for c := range n.conns {
			reset(c)
		}
		return err
	case before == refusing:
		return n.listen()
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
func (n *node) connState(c net.Conn, s http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch s {
	case http.StateNew:
		n.conns[c] = struct{}{}
		if n.fault == refusing { // accepted at the moment when the listener was closed
			reset(c)
		}
	case http.StateClosed:
		delete(n.conns, c)
	}
}

// ServeHTTP answers by the fault that the node has when the request comes.
func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	f := n.fault
	n.mu.Unlock()
	u := n.draw(n.served.Add(1))
	switch f {
	case hanging:
		<-r.Context().Done() // the client has gone
	case erring:
		pause(r.Context(), erringTime.At(u))
		w.WriteHeader(http.StatusInternalServerError)
	default:
		pause(r.Context(), healthyTime.At(u))
		_, _ = io.WriteString(w, "ok\n")
	}
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

// close stops the node. The connections are closed, which ends the handlers.
func (n *node) close() {
	_ = n.server.Close()
	n.serving.Wait()
}

// A fleet is the nodes of one client.
type fleet []*node

// newFleet starts the nodes of a world, and plans what becomes of them. The draws of a
// world are those of its twin.
func newFleet(w *lab.World, c config) (fleet, error) {
	var f fleet
	for i := range c.nodes {
		name := fmt.Sprintf("node %d", i)
		n, err := newNode(func(nth uint64) float64 { return w.Random(name, nth) })
		if err != nil {
			f.close()
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
		f = append(f, n)
	}
	w.Go(func() {
		<-w.Context().Done()
		f.close()
	})
	w.Rollback("heal the nodes", func(context.Context) error { return f.set(none) })
	for _, s := range stages[1 : len(stages)-1] {
		w.Step(c.at(s.from)-c.baseline(), s.name, func(context.Context) error {
			return f[:c.failingNodes()].set(s.fault)
		})
	}
	return f, nil
}

func (f fleet) addrs() []string {
	addrs := make([]string, len(f))
	for i, n := range f {
		addrs[i] = n.addr
	}
	return addrs
}

func (f fleet) set(to fault) error {
	var errs []error
	for _, n := range f {
		errs = append(errs, n.set(to))
	}
	return errors.Join(errs...)
}

func (f fleet) close() {
	for _, n := range f {
		n.close()
	}
}
