package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/idempotency"
)

// testRetention does something with each of several keys, and looks a second later what is remembered of them.
func testRetention(s *suite) {
	does := []struct {
		name    string
		keep    time.Duration // of the claim
		then    func(c idempotency.Claim)
		attempt int // of who claims the key then; 0 if it is done
	}{
		{"an extension after the finish", long, func(c idempotency.Claim) {
			require.NoError(s, s.Finish(s.ctx(), c.Key, c.Token, idempotency.Outcome("done"), long))
			require.NoError(s, s.Extend(s.ctx(), c.Key, c.Token, short))
		}, 0},
		{"a short extension", long, func(c idempotency.Claim) { require.NoError(s, s.Extend(s.ctx(), c.Key, c.Token, short)) }, 2},
		{"an extension by 0", long, func(c idempotency.Claim) { require.NoError(s, s.Extend(s.ctx(), c.Key, c.Token, 0)) }, 2},
		{"a release", long, func(c idempotency.Claim) { require.NoError(s, s.Release(s.ctx(), c.Key, c.Token)) }, 2},
		{"a repeated claim", brief, func(c idempotency.Claim) {
			c.Keep = long
			s.requireAcquired(c, 1, false)
			require.NoError(s, s.Extend(s.ctx(), c.Key, c.Token, 0))
		}, 2},
		{"a claim after a release", brief, func(c idempotency.Claim) {
			require.NoError(s, s.Release(s.ctx(), c.Key, c.Token))
			c.Keep = long
			s.requireAcquired(c, 2, false)
			require.NoError(s, s.Release(s.ctx(), c.Key, c.Token))
		}, 3},
		{"no repeated finish", long, func(c idempotency.Claim) {
			require.NoError(s, s.Finish(s.ctx(), c.Key, c.Token, idempotency.Outcome("done"), brief))
			require.NoError(s, s.Finish(s.ctx(), c.Key, c.Token, idempotency.Outcome("done"), long))
		}, 1},
		{"no replay", long, func(c idempotency.Claim) {
			require.NoError(s, s.Finish(s.ctx(), c.Key, c.Token, idempotency.Outcome("done"), brief))
			s.requireStatus(idempotency.Done, c)
		}, 1},
		{"no refusal of an unknown", brief, func(c idempotency.Claim) {
			require.NoError(s, s.Extend(s.ctx(), c.Key, c.Token, 0))
			c.Token, c.Keep, c.RefuseUnknown = full("b"), long, true
			s.requireStatus(idempotency.Unknown, c)
		}, 1},
		{"no mismatch", brief, func(c idempotency.Claim) {
			c.Token, c.Keep, c.Fingerprint = full("b"), long, anotherFingerprint
			s.requireStatus(idempotency.Mismatch, c)
		}, 1},
		{"no late finish", long, func(c idempotency.Claim) {
			require.NoError(s, s.Extend(s.ctx(), c.Key, c.Token, 0))
			require.NoError(s, s.Finish(s.ctx(), c.Key, c.Token, idempotency.Outcome("done"), brief))
		}, 1},
	}
	of := func(n int) idempotency.Claim {
		c := shortly("a")
		c.Key, c.Keep = key(n), does[n].keep
		return c
	}
	for n, do := range does {
		s.requireAcquired(of(n), 1, false)
		do.then(of(n))
	}
	time.Sleep(briefWhile)
	for n, do := range does {
		c := of(n)
		c.Token = full("c")
		g := s.begin(c)
		if do.attempt == 0 {
			require.Equal(s, idempotency.Done.String(), g.Status.String(), do.name)
			continue
		}
		require.Equal(s, idempotency.Acquired.String(), g.Status.String(), do.name)
		require.Equal(s, do.attempt, g.Attempt, do.name)
	}
}
