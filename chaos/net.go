package chaos

import (
	"context"
	"net"
	"syscall"
)

// Listener returns a listener whose connections go through [Injector.Conn] with the key,
// and are refused while a [Refuse] fault says so.
func (i *Injector) Listener(l net.Listener, key string) net.Listener {
	return &listener{l, i, key}
}

type listener struct {
	net.Listener
	injector *Injector
	key      string
}

// Accept returns the next connection that is not refused.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !l.injector.refuses(l.key) {
			return l.injector.Conn(c, l.key), nil
		}
		abort(c)
	}
}

// refuses reports whether a connection to key is to be refused.
func (i *Injector) refuses(key string) bool {
	ctx := context.Background()
	p := i.current(ctx)
	if p == nil {
		return false
	}
	at := p.elapsed()
	for n := range i.rules {
		r := &i.rules[n]
		if _, hit := p.draws(ctx, r, inAccept, key, at); hit && p.takes(r) {
			i.tell(ctx, key, r, 0, &InjectedError{Fault: r.name, Key: key, Err: syscall.ECONNREFUSED})
			return true
		}
	}
	return false
}

// abort closes a connection in such a way that the other side sees it reset (RST), if it
// is one of TCP, or stands on one.
func abort(c net.Conn) {
	lowest := c
	for {
		over, ok := lowest.(interface{ NetConn() net.Conn }) // such as a tls.Conn
		if !ok {
			break
		}
		lowest = over.NetConn()
	}
	if tcp, ok := lowest.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = lowest.Close()
	_ = c.Close()
}

// Conn returns c with the injector's faults that concern connections: [Reset], [Stall]
// and [Bandwidth]. A connection draws when it is first read from or written to while a fault's
// window is open, so that those that were opened before are hit too; the first fault
// that is drawn is in force until its window closes. A read that was waiting when a stall
// began gets nothing until it is over.
//
// Of the methods of c only those of a [net.Conn] are left, and NetConn, which returns c, as
// that of a [crypto/tls.Conn] does. Injected errors are
// [*net.OpError]s that match [ErrInjected]. The hook hears of injections alone: a connection
// has no outcome. While the injector is not armed an operation
// costs a few atomic loads, and a write its turn besides.
func (i *Injector) Conn(c net.Conn, key string) net.Conn {
	return &conn{
		Conn: c, injector: i, key: key, in: direction{op: "read"}, out: direction{op: "write"},
		closed: make(chan struct{}), writing: make(chan struct{}, 1),
	}
}
