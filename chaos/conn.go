package chaos

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A conn is a connection that may be disturbed.
type conn struct {
	net.Conn
	injector *Injector
	key      string
	strikes  strikes
	in, out  direction
	broken   atomic.Pointer[InjectedError] // of a reset

	once    sync.Once
	closed  chan struct{}
	writing chan struct{} // full while somebody writes in portions
	held    held
}

// A direction is that of reads or of writes.
type direction struct {
	op string
	by limit
}

// Read reads what may pass.
func (c *conn) Read(b []byte) (int, error) {
	s, err := c.pass(&c.in)
	if err != nil {
		return 0, err
	}
	b = s.portion(b)
	n := c.held.release(b)
	fresh := 0 // what was held has been paid for
	if n == 0 {
		n, err = c.Conn.Read(b)
		fresh = n
		err = c.explain(&c.in, err)
	}
	began, late := c.pass(&c.in)
	if s == nil {
		s = began
	}
	if late == nil {
		late = c.pay(s, n, fresh, &c.in)
	}
	if late != nil {
		c.held.keep(b[:n])
		return 0, late
	}
	c.cut(s, n)
	return n, err
}

// Write writes, in portions if need be.
func (c *conn) Write(b []byte) (written int, err error) {
	// Two writes must not be mixed up because they are made in portions. A mutex will not
	// do, since who writes may have to wait.
	for taken := false; !taken; {
		if taken, err = c.turn(); err != nil {
			return 0, err
		}
	}
	defer func() { <-c.writing }()
	for {
		s, err := c.pass(&c.out)
		if err != nil {
			return written, err
		}
		n, err := c.Conn.Write(s.portion(b))
		written += n
		b = b[n:]
		if err == nil {
			err = c.pay(s, n, n, &c.out)
		}
		if err != nil {
			return written, c.explain(&c.out, err)
		}
		c.cut(s, n)
		if len(b) == 0 {
			return written, nil
		}
	}
}

// turn takes the turn to write. It returns false when the deadline has changed meanwhile.
func (c *conn) turn() (taken bool, err error) {
	select {
	case c.writing <- struct{}{}:
		return true, nil
	default:
	}
	at, changed := c.out.by.get()
	var expired <-chan time.Time
	if !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case c.writing <- struct{}{}:
		return true, nil
	case <-changed:
		return false, nil
	case <-c.closed:
		return false, c.failure(&c.out, net.ErrClosed)
	case <-expired:
		return false, c.failure(&c.out, os.ErrDeadlineExceeded)
	}
}

// pass waits while the connection is stalled, and returns what else is in force.
func (c *conn) pass(d *direction) (*strike, error) {
	for {
		if err := c.broken.Load(); err != nil {
			return nil, c.failure(d, err)
		}
		s := c.strike()
		if !s.is(stall) {
			return s, nil
		}
		_, _, left, _ := s.rule.window(s.plan.elapsed())
		c.injector.hanging.Add(1)
		err := c.wait(s, left, d)
		c.injector.hanging.Add(-1)
		if err != nil {
			return nil, err
		}
	}
}

// pay lets the time pass that n bytes take.
func (c *conn) pay(s *strike, n, fresh int, d *direction) error {
	if n == 0 || !s.is(bandwidth) {
		return nil
	}
	pace := &s.in
	if d == &c.out {
		pace = &s.out
	}
	return c.wait(s, pace.reserve(fresh, s.rule.effect.bytes), d)
}

// wait waits for a time, or until the plan is over. It returns an error if the
// deadline passes before, or the connection is closed.
func (c *conn) wait(s *strike, total time.Duration, d *direction) error {
	for start := time.Now(); ; {
		left, late := total-time.Since(start), false
		at, changed := d.by.get()
		if !at.IsZero() && time.Until(at) < left {
			left, late = time.Until(at), true
		}
		how := passed
		if left > 0 {
			how = s.plan.wait(left, changed, c.closed)
		}
		switch {
		case how == second:
			return c.failure(d, net.ErrClosed)
		case how == passed && late:
			return c.failure(d, &InjectedError{Fault: s.rule.name, Key: c.key, Err: os.ErrDeadlineExceeded})
		case how != first: // the deadline was changed
			return nil
		}
	}
}

// failure returns the error of an operation, in the form of package net.
func (c *conn) failure(d *direction, err error) error {
	e := &net.OpError{Op: d.op, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	if e.Addr != nil {
		e.Net = e.Addr.Network()
	}
	return e
}

// explain returns err, or if there is one the reset that was the cause.
func (c *conn) explain(d *direction, err error) error {
	if broken := c.broken.Load(); err != nil && broken != nil {
		return c.failure(d, broken)
	}
	return err
}

// Close ends operations that wait, and closes the connection.
func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	if err := c.Conn.Close(); c.broken.Load() == nil {
		return err
	}
	return nil // it was closed by the reset
}

// NetConn returns the connection that is disturbed.
func (c *conn) NetConn() net.Conn { return c.Conn }

// SetDeadline sets the deadline of reads and writes, those that wait included.
func (c *conn) SetDeadline(t time.Time) error {
	c.in.by.set(t)
	c.out.by.set(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline sets the deadline of reads.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.by.set(t)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline sets the deadline of writes.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.by.set(t)
	return c.Conn.SetWriteDeadline(t)
}
