package steadysql

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/steady-go/steady/idempotency"
)

// beginTries is how often a claim is tried whose key others claim and give back meanwhile.
const beginTries = 100

// Begin claims a key, or says who holds it; see [idempotency.Store].
func (s *Store) Begin(ctx context.Context, c idempotency.Claim) (idempotency.Grant, error) {
	for range beginTries {
		g, ok, err := s.claim(ctx, c)
		if err == nil && !ok {
			g, ok, err = s.whyNot(ctx, c)
		}
		if err != nil {
			return idempotency.Grant{}, fmt.Errorf("steadysql: Begin: %w", err)
		}
		if ok {
			return g, nil
		}
	}
	return idempotency.Grant{}, fmt.Errorf("steadysql: Begin: others were quicker %d times", beginTries)
}

// claim claims the key if it may be taken.
func (s *Store) claim(ctx context.Context, c idempotency.Claim) (g idempotency.Grant, ok bool, err error) {
	order := hash(s.table, c.Key)
	if s.dialect == SQLite {
		order = time.Now().UnixMicro()
	}
	ok, err = s.row(ctx, s.sql.claim,
		[]any{c.Key, c.Token, c.Fingerprint, microseconds(c.Lease), microseconds(max(c.Keep, c.Lease)), c.RefuseUnknown, order},
		&g.Fence, &g.Attempt, &g.Recovered)
	g.Status = idempotency.Acquired
	return g, ok, err
}

// whyNot says why a claim found the key taken, or false if it may be taken by now.
func (s *Store) whyNot(ctx context.Context, c idempotency.Claim) (g idempotency.Grant, ok bool, err error) {
	var r idempotency.Record
	var now, leaseUntil, keepUntil int64
	found, err := s.row(ctx, s.sql.read, []any{c.Key},
		&now, &r.Fingerprint, &r.Token, &r.Fence, &r.Attempt, &r.Recovered, &r.State, &leaseUntil, &keepUntil, (*[]byte)(&r.Outcome))
	if err != nil || !found {
		return g, false, err
	}
	r.LeaseUntil, r.KeepUntil = duration(leaseUntil), duration(keepUntil)
	g = r.Begin(duration(now), c)
	return g, g.Status != idempotency.Acquired, nil
}

// row runs a statement to its end, and scans its row if it has one.
func (s *Store) row(ctx context.Context, statement string, args []any, into ...any) (found bool, err error) {
	rows, err := s.conn.QueryContext(ctx, statement, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return false, err
		}
		found = true
	}
	return found, rows.Err()
}

// Extend makes the lease of the owner last for lease from now; see [idempotency.Store].
func (s *Store) Extend(ctx context.Context, key, token string, lease time.Duration) error {
	return s.own(ctx, "Extend", s.sql.extend, key, token, microseconds(lease))
}

// Finish stores the outcome of the owner's call; see [idempotency.Store].
func (s *Store) Finish(ctx context.Context, key, token string, o idempotency.Outcome, keep time.Duration) error {
	return s.own(ctx, "Finish", s.sql.finish, key, token, append([]byte{}, o...), microseconds(keep))
}

// Release says that the owner's call did nothing; see [idempotency.Store].
func (s *Store) Release(ctx context.Context, key, token string) error {
	return s.own(ctx, "Release", s.sql.release, key, token)
}

// own runs a statement that changes the row of a key if the token is that of its owner.
func (s *Store) own(ctx context.Context, method, statement string, args ...any) error {
	r, err := s.conn.ExecContext(ctx, statement, args...)
	if err != nil {
		return fmt.Errorf("steadysql: %s: %w", method, err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		return fmt.Errorf("steadysql: %s: %w", method, err)
	}
	if n == 0 {
		return idempotency.ErrLost
	}
	return nil
}

// microseconds rounds up: what is not over must not count as over. Added to a time of this age, no duration overflows.
func microseconds(d time.Duration) int64 {
	us := d.Microseconds()
	if d > time.Duration(us)*time.Microsecond {
		us++
	}
	return us
}

// duration returns microseconds as a duration, or the longest there is.
func duration(us int64) time.Duration {
	return time.Duration(min(us, math.MaxInt64/int64(time.Microsecond))) * time.Microsecond
}
