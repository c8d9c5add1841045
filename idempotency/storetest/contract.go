package storetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/idempotency"
)

// tests are the contract, a sentence each.
var tests = []struct {
	name string
	run  func(*suite)
}{
	{"a new key is acquired", func(s *suite) {
		s.requireAcquired(claim("a"), 1, false)
	}},
	{"keys do not know of each other", func(s *suite) {
		for n := range 3 {
			c := claim("a")
			c.Key = key(n)
			s.requireAcquired(c, 1, false)
		}
		require.NoError(s, s.finish("a", "done"))
		c := claim("b")
		c.Key = key(1)
		s.requireStatus(idempotency.Busy, c)
	}},
	{"a key that is claimed is busy", func(s *suite) {
		s.requireAcquired(claim("a"), 1, false)
		for range 3 {
			g := s.requireStatus(idempotency.Busy, claim("b"))
			require.Greater(s, g.LeaseLeft, long-time.Minute)
			require.LessOrEqual(s, g.LeaseLeft, long)
		}
		s.requireRefused("b")
		require.NoError(s, s.finish("a", "done"))
	}},
	{"a claim may be repeated", func(s *suite) {
		fence := s.requireAcquired(shortly("a"), 1, false)
		require.Equal(s, fence, s.requireAcquired(claim("a"), 1, false))
		time.Sleep(while)
		s.requireStatus(idempotency.Busy, claim("b")) // the repetition's lease counts
		require.NoError(s, s.extend("a", 0))
		require.Equal(s, fence, s.requireAcquired(claim("a"), 1, false), "while nobody else has claimed it")

		require.NoError(s, s.extend("a", 0))
		fence = s.requireAcquired(claim("b"), 2, true)
		require.Equal(s, fence, s.requireAcquired(claim("b"), 2, true), "it is told again of the recovery")
	}},
	{"another fingerprint is a mismatch", func(s *suite) {
		other := claim("b")
		other.Fingerprint = anotherFingerprint
		other.RefuseUnknown = true
		s.requireAcquired(shortly("a"), 1, false)
		s.requireStatus(idempotency.Mismatch, other)
		time.Sleep(while)
		s.requireStatus(idempotency.Mismatch, other) // the record outlives the lease
		require.NoError(s, s.finish("a", "done"))
		s.requireStatus(idempotency.Mismatch, other)
		s.requireDone("done")
	}},
	{"another fingerprint is a mismatch after a release", func(s *suite) {
		s.requireAcquired(claim("a"), 1, false)
		require.NoError(s, s.release("a"))
		other := claim("b")
		other.Fingerprint = anotherFingerprint
		s.requireStatus(idempotency.Mismatch, other)
		s.requireAcquired(claim("c"), 2, false)
	}},
	{"no fingerprint matches any", func(s *suite) {
		none, other := claim("b"), claim("c")
		none.Fingerprint, other.Fingerprint = "", anotherFingerprint
		s.requireAcquired(claim("a"), 1, false)
		s.requireStatus(idempotency.Busy, none)
		require.NoError(s, s.extend("a", 0))
		s.requireAcquired(none, 2, true)
		s.requireStatus(idempotency.Mismatch, other) // the record has kept its own
		require.NoError(s, s.finish("b", "done"))
		s.requireStatus(idempotency.Done, none)
		s.requireStatus(idempotency.Mismatch, other)
	}},
	{"a record without a fingerprint takes the first", func(s *suite) {
		none, other := claim("a"), claim("c")
		none.Fingerprint, other.Fingerprint = "", anotherFingerprint
		s.requireAcquired(none, 1, false)
		require.NoError(s, s.release("a"))
		s.requireAcquired(claim("b"), 2, false)
		s.requireStatus(idempotency.Mismatch, other)
	}},
	{"an outcome comes back to the byte", func(s *suite) {
		for n, want := range []string{"", "done", "\x00\xff\xfe\r\n' \" \\ \u2028 %s {1} $1 ?", strings.Repeat("ü\x00", 1<<20)} {
			c := claim("a")
			c.Key = key(n)
			s.requireAcquired(c, 1, false)
			require.NoError(s, s.Finish(s.ctx(), c.Key, c.Token, idempotency.Outcome(want), long))
			for _, token := range []string{"a", "b"} {
				c.Token = full(token)
				g := s.requireStatus(idempotency.Done, c)
				require.True(s, bytes.Equal([]byte(want), g.Outcome), "outcome %d", n)
			}
		}
	}},
	{"the first finish wins", func(s *suite) {
		s.requireAcquired(claim("a"), 1, false)
		require.NoError(s, s.finish("a", "first"))
		require.NoError(s, s.finish("a", "second"), "the owner may repeat it")
		s.requireDone("first")
		s.requireRefused("b")
		require.ErrorIs(s, s.release("a"), idempotency.ErrLost)
		require.NoError(s, s.extend("a", long), "an extension that comes late")
		require.NoError(s, s.extend("a", 0))
		s.requireDone("first")
	}},
	{"a key that is claimed is not done", func(s *suite) {
		s.requireAcquired(claim("a"), 1, false)
		s.requireStatus(idempotency.Busy, claim("b"))
		require.NoError(s, s.extend("a", 0))
		s.requireAcquired(claim("b"), 2, true)
	}},
	{"a lease that has lapsed may be taken over", func(s *suite) {
		first := s.requireAcquired(shortly("a"), 1, false)
		time.Sleep(while)
		second := s.requireAcquired(claim("b"), 2, true)
		require.Greater(s, second, first, "fence")
		s.requireStatus(idempotency.Busy, claim("c"))
	}},
	{"a stale owner is refused", func(s *suite) {
		s.requireAcquired(claim("a"), 1, false)
		require.NoError(s, s.extend("a", 0))
		s.requireAcquired(claim("b"), 2, true)
		s.requireRefused("a")
		require.NoError(s, s.finish("b", "of b"))
		s.requireRefused("a")
		s.requireDone("of b")
	}},
	{"a stale owner is refused after the release of the next", func(s *suite) {
		s.requireAcquired(claim("a"), 1, false)
		require.NoError(s, s.extend("a", 0))
		s.requireAcquired(claim("b"), 2, true)
		require.NoError(s, s.release("b"))
		s.requireRefused("a")
		s.requireAcquired(claim("c"), 3, true)
	}},
	{"a late finish that nobody contested is accepted", func(s *suite) {
		s.requireAcquired(shortly("a"), 1, false)
		time.Sleep(while)
		require.NoError(s, s.finish("a", "late"))
		s.requireDone("late")
	}},
	{"a late finish after an unknown was refused is accepted", func(s *suite) {
		s.requireAcquired(shortly("a"), 1, false)
		time.Sleep(while)
		c := claim("b")
		c.RefuseUnknown = true
		s.requireStatus(idempotency.Unknown, c)
		require.NoError(s, s.finish("a", "late"))
		s.requireDone("late")
	}},
	{"a late extension that nobody contested is accepted", func(s *suite) {
		s.requireAcquired(shortly("a"), 1, false)
		time.Sleep(while)
		require.NoError(s, s.extend("a", long))
		s.requireStatus(idempotency.Busy, claim("b"))
		require.NoError(s, s.finish("a", "done"))
	}},
	{"a late release that nobody contested is accepted", func(s *suite) {
		s.requireAcquired(shortly("a"), 1, false)
		time.Sleep(while)
		require.NoError(s, s.release("a"))
		s.requireAcquired(claim("b"), 2, false)
	}},
	{"an extension lasts from when it came", func(s *suite) {
		s.requireAcquired(claim("a"), 1, false)
		require.NoError(s, s.extend("a", short)) // shorter than what was left
		time.Sleep(while)
		s.requireAcquired(claim("b"), 2, true)
	}},
	{"an extension keeps the key claimed", func(s *suite) {
		s.requireAcquired(shortly("a"), 1, false)
		require.NoError(s, s.extend("a", long))
		time.Sleep(while)
		g := s.requireStatus(idempotency.Busy, claim("b"))
		require.Greater(s, g.LeaseLeft, long-time.Minute)
	}},
	{"an extension by 0 ends the lease", func(s *suite) {
		s.requireAcquired(claim("a"), 1, false)
		require.NoError(s, s.extend("a", 0))
		s.requireAcquired(claim("b"), 2, true)
	}},
	{"an extension outlasts retention", func(s *suite) {
		c := shortly("a")
		c.Keep = brief
		s.requireAcquired(c, 1, false)
		require.NoError(s, s.extend("a", long))
		time.Sleep(briefWhile)
		s.requireStatus(idempotency.Busy, claim("b"))
		require.NoError(s, s.finish("a", "done"))
	}},
	{"unknown is told who refuses it", func(s *suite) {
		c := claim("b")
		c.RefuseUnknown = true
		s.requireAcquired(claim("a"), 1, false)
		s.requireStatus(idempotency.Busy, c)
		require.NoError(s, s.extend("a", short))
		time.Sleep(while)
		for range 3 {
			s.requireStatus(idempotency.Unknown, c)
		}
		s.requireAcquired(claim("c"), 2, true) // no attempt was lost
		s.requireStatus(idempotency.Busy, c)
		require.NoError(s, s.release("c"))
		s.requireStatus(idempotency.Unknown, c) // as before
	}},
	{"what was released is not unknown", func(s *suite) {
		c := claim("b")
		c.RefuseUnknown = true
		s.requireAcquired(claim("a"), 1, false)
		require.NoError(s, s.release("a"))
		s.requireAcquired(c, 2, false)
	}},
	{"a release is no recovery", func(s *suite) {
		first := s.requireAcquired(claim("a"), 1, false)
		require.NoError(s, s.release("a"))
		require.NoError(s, s.release("a"), "the owner may repeat it")
		require.ErrorIs(s, s.finish("a", "done"), idempotency.ErrLost)
		require.ErrorIs(s, s.extend("a", long), idempotency.ErrLost)
		second := s.requireAcquired(claim("b"), 2, false)
		require.Greater(s, second, first, "fence")
		s.requireRefused("a")
	}},
	{"a recovery outlasts a release", func(s *suite) {
		s.requireAcquired(claim("a"), 1, false)
		require.NoError(s, s.extend("a", 0))
		s.requireAcquired(claim("b"), 2, true)
		require.NoError(s, s.release("b"))
		require.NoError(s, s.release("b"), "the owner may repeat it")
		s.requireAcquired(claim("c"), 3, true) // what the first did is as unknown as before
		require.NoError(s, s.finish("c", "done"))
		s.requireRefused("b")
		s.requireDone("done")
	}},
	{"a key may be forgotten at once", func(s *suite) {
		first := s.requireAcquired(claim("a"), 1, false)
		require.NoError(s, s.Finish(s.ctx(), key(0), full("a"), idempotency.Outcome("done"), 0))
		s.requireRefused("a")
		require.Greater(s, s.requireAcquired(claim("b"), 1, false), first, "fence")
	}},
	{"retention ends", func(s *suite) {
		c := shortly("a")
		c.Keep = short
		first := s.requireAcquired(c, 1, false)
		time.Sleep(while)
		s.requireRefused("a")
		c = claim("b")
		c.Fingerprint = anotherFingerprint
		second := s.requireAcquired(c, 1, false)
		require.Greater(s, second, first, "the fence grows, whatever was forgotten")
	}},
	{"retention of an outcome counts from the finish", func(s *suite) {
		c := shortly("a")
		c.Keep = brief
		s.requireAcquired(c, 1, false)
		require.NoError(s, s.finish("a", "done"))
		time.Sleep(briefWhile)
		s.requireDone("done")

		c = claim("a")
		c.Key = key(1)
		s.requireAcquired(c, 1, false)
		require.NoError(s, s.Finish(s.ctx(), c.Key, c.Token, idempotency.Outcome("done"), short))
		time.Sleep(while)
		s.requireAcquired(c, 1, false)
	}},
	{"retention of a claim counts from the last", func(s *suite) {
		c := shortly("a")
		c.Keep = brief
		s.requireAcquired(c, 1, false)
		require.NoError(s, s.extend("a", 0))
		s.requireAcquired(claim("b"), 2, true)
		time.Sleep(briefWhile)
		s.requireStatus(idempotency.Busy, claim("c"))
		require.NoError(s, s.finish("b", "done"))
	}},
	{"what prolongs retention, and what does not", testRetention},
	{"nobody owns a key that is not there", func(s *suite) {
		s.requireRefused("a")
		s.requireAcquired(claim("b"), 1, false)
	}},
	{"clients agree", func(s *suite) {
		a, b := s.Store, s.client()
		s.requireAcquired(claim("a"), 1, false)
		s.Store = b
		g := s.requireStatus(idempotency.Busy, claim("b"))
		require.LessOrEqual(s, g.LeaseLeft, long)
		require.Greater(s, g.LeaseLeft, long-time.Second*30)
		require.NoError(s, s.extend("a", short))
		time.Sleep(while)
		s.requireAcquired(claim("b"), 2, true)
		s.Store = a
		g = s.requireStatus(idempotency.Busy, claim("c"))
		require.LessOrEqual(s, g.LeaseLeft, long)
		s.requireRefused("a")
		require.NoError(s, s.finish("b", "done"))
		s.Store = b
		s.requireDone("done")
	}},
	{"of several claims one is granted", func(s *suite) {
		for n := range 20 {
			s.race(n, nil)
		}
	}},
	{"of several claims of an orphan one is granted", func(s *suite) {
		for n := range 20 {
			s.race(n, func(c idempotency.Claim) {
				s.requireAcquired(c, 1, false)
				require.NoError(s, s.Extend(s.ctx(), c.Key, c.Token, 0))
			})
		}
	}},
	{"of several claims of a released key one is granted", func(s *suite) {
		for n := range 20 {
			s.race(n, func(c idempotency.Claim) {
				s.requireAcquired(c, 1, false)
				require.NoError(s, s.Release(s.ctx(), c.Key, c.Token))
			})
		}
	}},
	{"a context that is done claims nothing", func(s *suite) {
		ctx, cancel := context.WithCancel(s.ctx())
		cancel()
		_, err := s.Begin(ctx, claim("a"))
		require.Error(s, err)
		s.requireAcquired(claim("b"), 1, false)
		require.Error(s, s.Extend(ctx, key(0), full("b"), 0))
		require.Error(s, s.Finish(ctx, key(0), full("b"), idempotency.Outcome("done"), long))
		require.Error(s, s.Release(ctx, key(0), full("b")))
		s.requireStatus(idempotency.Busy, claim("c"))
	}},
	{"histories are linearizable", testLinearizability},
}

// racers is how many claim a key at once.
const racers = 8

// race has several claim key n at once, after before.
func (s *suite) race(n int, before func(idempotency.Claim)) {
	s.Helper()
	c := claim("before")
	c.Key = key(n)
	if before != nil {
		before(c)
	}
	grants := make([]idempotency.Grant, racers)
	errs := make([]error, racers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range racers {
		store := s.client()
		c := c
		c.Token = full(fmt.Sprint("racer ", i))
		wg.Go(func() {
			<-start
			grants[i], errs[i] = store.Begin(s.ctx(), c)
		})
	}
	close(start)
	wg.Wait()
	acquired := 0
	for i, g := range grants {
		require.NoError(s, errs[i])
		switch g.Status {
		case idempotency.Acquired:
			acquired++
			require.NoError(s, s.Finish(s.ctx(), c.Key, full(fmt.Sprint("racer ", i)), idempotency.Outcome(fmt.Sprint(i)), long))
		default:
			require.Equal(s, idempotency.Busy.String(), g.Status.String())
		}
	}
	require.Equal(s, 1, acquired, "claims that were granted")
}
