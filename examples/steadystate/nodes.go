package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// A fault is a way for a node to fail.
type fault int

const (
	none     fault = iota
	refusing       // its connections are reset, and new ones are refused
	hanging        // it accepts requests and never answers
	erring         // it works on each request for a while and then answers 500
)

// A node is one HTTP server on loopback.
type node struct {
	addr   string
	server *http.Server

	mu       sync.Mutex
	fault    fault                 // guarded by mu
	ended    chan struct{}         // guarded by mu; closed when the present fault ends
	listener net.Listener          // guarded by mu
	conns    map[net.Conn]struct{} // guarded by mu
	empty    sync.Cond             // there are no conns
	times    *rand.Rand            // guarded by mu
	serving  sync.WaitGroup
}

// newNode starts a node whose service times are drawn from rng.
func newNode(rng *rand.Rand) (*node, error) {
	n := &node{ended: make(chan struct{}), conns: make(map[net.Conn]struct{}), times: rng}
	n.empty.L = &n.mu
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
	close(n.ended) // requests that hang do not outlive their fault
	n.ended = make(chan struct{})
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

// connState keeps count of the connections.
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
		if len(n.conns) == 0 {
			n.empty.Broadcast()
		}
	}
}

// ServeHTTP answers by the fault that the node has when the request comes.
func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	f, ended, took := n.fault, n.ended, n.serviceTime()
	n.mu.Unlock()
	switch f {
	case hanging:
		select {
		case <-ended:
		case <-r.Context().Done(): // the client has gone
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	case erring:
		pause(r.Context(), took)
		w.WriteHeader(http.StatusInternalServerError)
	default:
		pause(r.Context(), took)
		_, _ = io.WriteString(w, "ok\n")
	}
}

// serviceTime draws how long a request takes. It requires mu held.
func (n *node) serviceTime() time.Duration {
	if n.fault == erring {
		return 150*time.Millisecond + time.Duration(n.times.Float64()*float64(100*time.Millisecond))
	}
	// Lognormal with a mean of 5 ms: most are quick and a few are not, as with real
	// services, and none takes no time.
	const mean, sigma = 5 * float64(time.Millisecond), 0.5
	return time.Duration(mean * math.Exp(sigma*n.times.NormFloat64()-sigma*sigma/2))
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

// close stops the node and waits until nothing of it runs any more.
func (n *node) close() {
	n.mu.Lock()
	close(n.ended)
	n.ended = make(chan struct{})
	n.mu.Unlock()
	_ = n.server.Close() // closes the connections, which ends the handlers
	n.serving.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.conns) > 0 {
		n.empty.Wait()
	}
}

// A fleet is the nodes of one client.
type fleet []*node

func newFleet(size int, seed uint64) (fleet, error) {
	var f fleet
	for i := range size {
		n, err := newNode(rand.New(rand.NewPCG(seed, streamNodes+uint64(i))))
		if err != nil {
			f.close()
			return nil, err
		}
		f = append(f, n)
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

// set gives the first so many nodes a fault.
func (f fleet) set(count int, to fault) error {
	var errs []error
	for _, n := range f[:count] {
		errs = append(errs, n.set(to))
	}
	return errors.Join(errs...)
}

func (f fleet) close() {
	for _, n := range f {
		n.close()
	}
}
