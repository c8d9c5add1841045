// Package storetest tests stores of package idempotency: what any [idempotency.Store] must obey ([TestStore]), and what must hold of
// one that outlives its process when that is killed ([TestCrashes]).
//
//	func TestConformance(t *testing.T) {
//		storetest.TestStore(t, func(t *testing.T) func() idempotency.Store {
//			table := newTable(t)
//			return func() idempotency.Store { return connect(t, table) }
//		})
//	}
package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/idempotency"
)

// TestStore tests a store against the contract of [idempotency.Store]. open makes a store, empty, and returns a func that returns
// a client of it; it may return the same each time, if one process is all that can use it. The test takes some seconds, in which leases lapse.
func TestStore(t *testing.T, open func(t *testing.T) (client func() idempotency.Store)) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { run(t, test.run, open) })
	}
}

// TestStoreInBubbles is TestStore for a store whose clock is that of its process, and that waits for nothing outside: each test runs in a
// [synctest] bubble of its own, and open in that, so that leases lapse at once.
func TestStoreInBubbles(t *testing.T, open func(t *testing.T) (client func() idempotency.Store)) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { run(t, test.run, open) })
		})
	}
}

func run(t *testing.T, test func(*suite), open func(t *testing.T) (client func() idempotency.Store)) {
	client := open(t)
	test(&suite{T: t, Store: client(), client: client})
}

// The times of the tests. A short lease or retention has lapsed after a while, and not yet after a few calls, on a busy machine neither.
const (
	short = 250 * time.Millisecond
	while = 320 * time.Millisecond

	// The same where a test has to get something done before the time has lapsed.
	brief      = time.Second
	briefWhile = 1100 * time.Millisecond
	long       = time.Hour
)

// A suite is one test of a store.
type suite struct {
	*testing.T
	idempotency.Store
	client func() idempotency.Store
}

func (s *suite) ctx() context.Context { return s.Context() }

// key returns the form that all keys have.
func key(n int) string { return fmt.Sprintf("%x", sha256.Sum256([]byte{byte(n), byte(n >> 8)})) }

// full returns a token as long as one may be, that differs from others at its end.
func full(token string) string { return strings.Repeat(".", 64-len(token)) + token }

var (
	oneFingerprint     = strings.Repeat("1", 64)
	anotherFingerprint = strings.Repeat("2", 64)
)

// claim returns one of key 0, by a token.
func claim(token string) idempotency.Claim {
	return idempotency.Claim{Key: key(0), Token: full(token), Fingerprint: oneFingerprint, Lease: long, Keep: 2 * long}
}

// shortly is claim with a lease that soon lapses.
func shortly(token string) idempotency.Claim {
	c := claim(token)
	c.Lease = short
	return c
}

func (s *suite) begin(c idempotency.Claim) idempotency.Grant {
	s.Helper()
	g, err := s.Begin(s.ctx(), c)
	require.NoError(s, err)
	return g
}

// requireStatus claims and requires that status.
func (s *suite) requireStatus(want idempotency.Status, c idempotency.Claim) idempotency.Grant {
	s.Helper()
	g := s.begin(c)
	require.Equal(s, want.String(), g.Status.String())
	return g
}

// requireAcquired claims and requires that it succeeds as that attempt.
func (s *suite) requireAcquired(c idempotency.Claim, attempt int, recovered bool) (fence uint64) {
	s.Helper()
	g := s.requireStatus(idempotency.Acquired, c)
	require.Equal(s, attempt, g.Attempt, "attempt")
	require.Equal(s, recovered, g.Recovered, "recovered")
	require.Positive(s, g.Fence)
	return g.Fence
}

// requireDone requires the outcome of key 0.
func (s *suite) requireDone(want string) {
	s.Helper()
	g := s.requireStatus(idempotency.Done, claim("who asks"))
	require.Equal(s, want, string(g.Outcome))
}

func (s *suite) finish(token, outcome string) error {
	return s.Finish(s.ctx(), key(0), full(token), idempotency.Outcome(outcome), long)
}
func (s *suite) extend(token string, lease time.Duration) error {
	return s.Extend(s.ctx(), key(0), full(token), lease)
}
func (s *suite) release(token string) error { return s.Release(s.ctx(), key(0), full(token)) }

// requireRefused requires that a token may do nothing.
func (s *suite) requireRefused(token string) {
	s.Helper()
	require.ErrorIs(s, s.extend(token, long), idempotency.ErrLost, "Extend")
	require.ErrorIs(s, s.extend(token, 0), idempotency.ErrLost, "Extend by 0")
	require.ErrorIs(s, s.finish(token, "refused"), idempotency.ErrLost, "Finish")
	require.ErrorIs(s, s.release(token), idempotency.ErrLost, "Release")
}
