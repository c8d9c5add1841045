package chaos

import (
	"context"
	"sync"
	"syscall"
	"time"
)

// strikes tell what is in force on one connection.
type strikes struct {
	mu    sync.Mutex
	plan  *plan   // of the others; guarded by mu
	drawn []int64 // by rule, the number of the window for which it has drawn, plus 1; guarded by mu
	now   *strike // guarded by mu
}

// A strike is a fault in force on a connection.
type strike struct {
	plan    *plan
	rule    *rule
	number  int64 // of the window
	in, out pace

	mu   sync.Mutex
	left int // bytes until a reset, guarded by mu
}

// is reports whether the strike is of the kind; nil is of none.
func (s *strike) is(k kind) bool { return s != nil && s.rule.effect.kind == k }

// strike returns what is in force, after drawing if there is something new to draw for. It
// returns nil if nothing is.
func (c *conn) strike() *strike {
	ctx := context.Background()
	p := c.injector.current(ctx)
	if p == nil {
		return nil
	}
	at := p.elapsed()
	for {
		now, r, number := c.strikes.next(p, c.injector.rules, c.key, at)
		if r == nil {
			return now
		}
		if _, hit := p.draws(ctx, r, inConn, c.key, at); !hit {
			continue
		}
		if r.effect.kind != reset { // which counts when it happens
			if !p.takes(r) {
				continue
			}
			c.injector.tell(ctx, c.key, r, 0, nil)
		}
		return c.strikes.put(&strike{plan: p, rule: r, number: number, left: r.effect.bytes})
	}
}

// next returns what is in force, or else the next rule to draw for and the number of its
// window, which the caller must do: neither a hook nor a When may be called with the lock held.
func (s *strikes) next(p *plan, rules []rule, key string, at time.Duration) (now *strike, r *rule, number int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plan != p {
		s.plan, s.drawn, s.now = p, make([]int64, len(rules)), nil
	}
	if s.now != nil {
		if number, _, _, open := s.now.rule.window(at); open && number == s.now.number {
			return s.now, nil, 0
		}
		s.now = nil
	}
	for n := range rules {
		r := &rules[n]
		number, _, _, open := r.window(at)
		if open && r.concerns(inConn, key) && s.drawn[n] != number+1 {
			s.drawn[n] = number + 1
			return nil, r, number
		}
	}
	return nil, nil, 0
}

// put puts x in force, and returns it.
func (s *strikes) put(x *strike) *strike {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plan == x.plan {
		s.now = x
	}
	return x
}

// portion returns as much of b as may pass at once.
func (s *strike) portion(b []byte) []byte {
	switch {
	case s.is(bandwidth):
		return b[:min(len(b), portion(s.rule.effect.bytes))]
	case s.is(reset):
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.left > 0 {
			return b[:min(len(b), s.left)]
		}
	}
	return b
}

// spend counts n bytes that have passed, and reports whether they are those that a reset
// has waited for.
func (s *strike) spend(n int) bool {
	if !s.is(reset) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.left
	s.left -= n
	return before > 0 && s.left <= 0
}

// cut counts n bytes that have passed, and resets the connection if they were enough.
func (c *conn) cut(s *strike, n int) {
	if !s.spend(n) || !s.plan.takes(s.rule) {
		return
	}
	err := &InjectedError{Fault: s.rule.name, Key: c.key, Err: syscall.ECONNRESET}
	c.broken.Store(err)
	c.injector.tell(context.Background(), c.key, s.rule, 0, err)
	abort(c.Conn)
}
